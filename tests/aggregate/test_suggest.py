"""The suggested click: the deepest point of the largest expected error, in the right view and at the right pixel."""

import math

import pytest
import torch
from torch import Tensor

from analytic_scene import camera_at, stage_renderer
from sanerf.aggregate.ray_bank import PixelLattice
from sanerf.aggregate.revise import RenderedIdentities
from sanerf.aggregate.suggest import InsideClicks, inside_clicks, largest_disc, on_trust, suggest_click
from sanerf.aggregate.view_masks import Prompting, ViewMask
from sanerf.geometry.cameras import Camera, project
from sanerf.prompts.lift import IN_SPACE, LiftedPrompts
from sanerf.segmenter.protocol import ImageFeatures

SIDE = 40
CAMERA = Camera(SIDE, SIDE, 40.0, 40.0, 20.0, 20.0, torch.eye(4, dtype=torch.float64))


def rendered(of_object: Tensor, stride: int = 1) -> RenderedIdentities:
    """Every `stride`-th pixel of a picture with that probability of the only object, from pixel (1, 1) where it is
    more than one."""
    first = min(1, stride - 1)
    values = of_object[first::stride, first::stride]
    rows, columns = values.shape
    lattice = PixelLattice(0, rows, columns, first, first, stride)
    return RenderedIdentities(lattice, torch.stack([1 - values, values], dim=-1))


def square(row: int, column: int, size: int, value: float = 1.0) -> Tensor:
    out = torch.zeros(SIDE, SIDE)
    out[row : row + size, column : column + size] = value
    return out


def test_the_largest_disc_of_a_square():
    """The centre of an odd square of side 9 is 5 pixels from the nearest pixel outside."""
    expected, place = largest_disc(square(10, 20, 9, 0.5))
    assert place == (14, 24)
    assert expected == pytest.approx(0.5 * math.pi * 25)


def test_a_smaller_and_surer_error_counts_by_its_expected_pixels():
    # 0.9 within 3 pixels is 8.1 pi, 0.2 within 5 pixels is 5 pi; with 0.4 there they are 10 pi.
    surer, larger = square(2, 2, 5, 0.9), square(20, 20, 9, 0.2)
    assert largest_disc(surer + larger)[1] == (4, 4)
    assert largest_disc(surer + 2 * larger)[1] == (24, 24)


def test_nothing_wrong_is_no_click():
    sure = {0: rendered(square(5, 5, 20))}
    assert suggest_click(sure, {}, index=1, name="a", cameras={0: CAMERA}) is None


@pytest.mark.parametrize("stride", [1, 3])
def test_the_view_and_pixel_of_the_largest_error_and_what_the_field_believes_there(stride: int):
    """View 0 is unsure of a small patch outside of the object, view 7 of a large one inside of it."""
    views = {
        0: rendered(square(5, 5, 12) + square(25, 25, 5, 0.4), stride),
        7: rendered(square(5, 5, 30) - square(10, 13, 13, 0.45), stride),
    }
    click = suggest_click(views, {}, index=1, name="a", cameras={0: CAMERA, 7: CAMERA})
    assert click is not None
    assert (click.view, click.label, click.name) == (7, 1, "a")
    assert (click.x, click.y) == pytest.approx((19.5, 16.5), abs=stride - 1)
    if stride == 1:
        # 13 pixels wide: 7 to the nearest pixel outside. Looked at in steps of a tenth.
        assert click.expected_error == pytest.approx(0.4 * math.pi * 49)


def test_a_view_without_a_camera_is_not_asked_about():
    views = {0: rendered(square(20, 20, 5, 0.4)), 7: rendered(square(10, 10, 13, 0.4))}
    click = suggest_click(views, {}, index=1, name="a", cameras={0: CAMERA})
    assert click is not None
    assert (click.view, click.x, click.y, click.label) == (0, 22.5, 22.5, 0)


def test_what_was_clicked_is_answered():
    """The second largest patch comes next, then nothing is left."""
    views = {0: rendered(square(2, 2, 3, 0.4) + square(30, 30, 3, 0.3))}
    clicked: list[tuple[int, float, float]] = []
    for expected in ((3.5, 3.5), (31.5, 31.5)):
        click = suggest_click(views, {}, index=1, name="a", cameras={0: CAMERA}, clicked=clicked)
        assert click is not None
        assert (click.x, click.y) == expected
        clicked.append((click.view, click.x, click.y))
    assert suggest_click(views, {}, index=1, name="a", cameras={0: CAMERA}, clicked=clicked) is None


def test_a_mask_that_contradicts_a_sure_field_is_asked_about():
    """The field is sure of a square, the view's mask has a part more that it agrees with but for that."""
    views = {0: rendered(square(5, 5, 25))}
    mask = ViewMask((square(5, 5, 25) + square(32, 32, 7)).clamp(max=1), 1.0)
    click = suggest_click(views, {0: {"a": mask}}, index=1, name="a", cameras={0: CAMERA})
    assert click is not None
    assert (click.x, click.y, click.label) == (35.5, 35.5, 0)


def test_what_is_far_from_every_click_is_taken_on_trust():
    """By hand: a disc of 100 pixels has the radius r = sqrt(100 / pi); 4 (1 - 0.9) t / (1 + t) at t = 5 / r."""
    shown = square(10, 10, 10) > 0
    clicks = torch.tensor([[12.5, 14.5], [30.5, 30.5]])
    doubt = on_trust(shown, _pixel_centres(), clicks, predicted_iou=0.9, count=1)
    far = 5 / math.sqrt(100 / math.pi)
    assert doubt[14, 12] == 0
    assert doubt[14, 17] == pytest.approx(0.4 * far / (1 + far))
    assert float(doubt[~shown].abs().max()) == 0
    assert on_trust(shown, _pixel_centres(), clicks, predicted_iou=0.9, count=2)[14, 17] == pytest.approx(
        float(doubt[14, 17]) / 2
    )
    # The same mask at every second pixel has the same radius.
    coarse = on_trust(shown[::2, ::2], _pixel_centres()[::2, ::2], clicks, predicted_iou=0.9, count=1)
    assert coarse[7, 8] == pytest.approx(float(doubt[14, 16]))


def test_a_large_mask_that_its_decoder_doubts_is_asked_about_far_from_the_click():
    """Sure of itself: only the decoder's doubt says that the mask may be something larger."""
    views, masks = {7: rendered(square(5, 5, 30))}, {7: {"a": ViewMask(square(5, 5, 30), 0.6)}}
    inside = InsideClicks(1, {7: torch.tensor([[9.5, 9.5]])})
    assert suggest_click(views, masks, index=1, name="a", cameras={7: CAMERA}) is None
    click = suggest_click(views, masks, index=1, name="a", cameras={7: CAMERA}, inside=inside)
    assert click is not None
    assert (click.view, click.label) == (7, 1)
    assert math.hypot(click.x - 9.5, click.y - 9.5) > 10
    sure = {7: {"a": ViewMask(square(5, 5, 30), 1.0)}}
    assert suggest_click(views, sure, index=1, name="a", cameras={7: CAMERA}, inside=inside) is None


@pytest.mark.parametrize(("size", "view"), [(11, 7), (21, 0)])
def test_a_view_that_sees_no_click_inside_is_suggested_for_four_times_the_error_alone(size: int, view: int):
    """Discs of radius 4 in view 7, which sees the click, and of 6 and 11 in view 0: 36 / 16 < 4 < 121 / 16."""
    views = {0: rendered(square(2, 2, size, 0.4)), 7: rendered(square(20, 20, 7, 0.4))}
    inside = InsideClicks(1, {7: torch.tensor([[38.5, 2.5]])})
    click = suggest_click(views, {}, index=1, name="a", cameras={0: CAMERA, 7: CAMERA}, inside=inside)
    assert click is not None
    assert click.view == view
    alone = suggest_click(views, {}, index=1, name="a", cameras={0: CAMERA, 7: CAMERA})
    assert alone is not None
    assert alone.view == 0


def test_clicks_inside_are_counted_everywhere_and_kept_where_they_are_seen():
    """One on the ball's front, set in view 0, one on the wall behind it, given in space; one outside of the object."""
    p_world = torch.tensor([[0.0, 0.0, -0.35], [0.0, 0.0, 0.8], [0.5, 0.0, 0.8]])
    lifted = LiftedPrompts("a", p_world, torch.tensor([1, 1, 0]), (0, IN_SPACE, 0))
    front = camera_at(0.0, 0.0, size=20)
    aside = camera_at(-1.2, 0.0, size=20, towards=(0.0, 0.0, 0.2))
    prompting = Prompting(
        _Silent(), lambda view: ImageFeatures({}, 20, 20), [lifted], {0: front, 5: aside}, stage_renderer()
    )
    found = inside_clicks(lifted, prompting)
    assert found.count == 2
    torch.testing.assert_close(found.seen_in(0), project(front, p_world[:1])[0])
    torch.testing.assert_close(found.seen_in(5), project(aside, p_world[:2])[0])
    assert len(found.seen_in(3)) == 0


class _Silent:
    """A segmenter that nobody should ask."""

    name = fingerprint = "silent"

    def encode(self, image):
        raise AssertionError

    def decode(self, features, prompts):
        raise AssertionError


def _pixel_centres() -> Tensor:
    rows, columns = torch.meshgrid(torch.arange(SIDE), torch.arange(SIDE), indexing="ij")
    return torch.stack([columns, rows], dim=-1) + 0.5
