"""The noisy oracle: what it may change and how far, exact shares, and the same noise whatever the order."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.ndimage import distance_transform_edt

from sanerf.evaluation.masks import count_masks
from sanerf.evaluation.noisy_masks import (
    MaskNoise,
    jittered,
    noisy_view,
    smooth_field,
    view_fates,
    view_generator,
    with_holes,
    with_islands,
)

NOISE = MaskNoise()
STEMS = [f"view_{index:03d}" for index in range(60)]
H, W = 240, 320
DIAGONAL = 400.0


def disc(x: float, y: float, radius: float) -> torch.Tensor:
    rows, columns = torch.meshgrid(torch.arange(H) + 0.5, torch.arange(W) + 0.5, indexing="ij")
    return (columns - x) ** 2 + (rows - y) ** 2 < radius**2


def made_by(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def from_other_side(mask: torch.Tensor) -> np.ndarray:
    """Each pixel's distance to the nearest pixel that is on the other side of the border."""
    inside = mask.numpy()
    return np.where(inside, np.asarray(distance_transform_edt(inside)), np.asarray(distance_transform_edt(~inside)))


@pytest.mark.parametrize("noise", [NOISE, replace(NOISE, jitter_rms=0.05), replace(NOISE, jitter=0.005)])
def test_jitter_changes_no_pixel_farther_from_the_border_than_its_bound(noise):
    for seed in range(3):
        mask = disc(150.3, 110.7, 60.0)
        changed = (jittered(mask, noise, made_by(seed)) != mask).numpy()
        assert changed.any()
        assert from_other_side(mask)[changed].max() <= noise.jitter * DIAGONAL


def test_jitter_beyond_all_bounds_goes_up_to_its_bound():
    """Steps so long that all are cut: some border pixel wanders nearly all of the two per cent."""
    noise = replace(NOISE, jitter_rms=1.0)
    mask = disc(150.3, 110.7, 60.0)
    changed = (jittered(mask, noise, made_by(0)) != mask).numpy()
    assert from_other_side(mask)[changed].max() > 0.8 * noise.jitter * DIAGONAL


def test_no_jitter_changes_nothing_and_even_masks_have_no_border():
    mask = disc(100, 100, 40)
    assert torch.equal(jittered(mask, replace(NOISE, jitter_rms=0.0), made_by(0)), mask)
    for even in (torch.zeros(H, W, dtype=torch.bool), torch.ones(H, W, dtype=torch.bool)):
        assert torch.equal(jittered(even, NOISE, made_by(0)), even)


def test_the_smooth_field_has_unit_variance_and_changes_little_from_pixel_to_pixel():
    field = smooth_field(H, W, 20.0, made_by(3))
    assert field.shape == (H, W, 2)
    assert float(field.square().mean()) == pytest.approx(1.0, rel=1e-5)
    # Cubic between numbers 20 pixels apart: from one to the next the steepest step is an eighth, not all of the range.
    most = float(field.max() - field.min()) / 8
    assert float(field.diff(dim=0).abs().max()) < most and float(field.diff(dim=1).abs().max()) < most


def test_a_hole_is_a_disc_of_the_share_asked_for():
    """One disc, a tenth of the mask's radius wide: its area is a hundredth, where it lies wholly inside."""
    noise = replace(NOISE, holes=1, islands=1, least_radius=0.1, most_radius=0.1)
    mask = disc(160, 120, 100)
    for seed in range(4):
        lost = mask & ~with_holes(mask, noise, made_by(seed))
        assert 0 < int(lost.sum()) <= 345
        rows, columns = lost.nonzero().unbind(1)
        assert int(rows.max() - rows.min()) <= 20 and int(columns.max() - columns.min()) <= 20
        if int(lost.sum()) > 300:
            assert int(lost.sum()) == pytest.approx(np.pi * 100, rel=0.03)
        holed = with_holes(mask, noise, made_by(seed))
        assert not bool((holed & ~mask).any())
        more = with_islands(mask, noise, made_by(seed))
        assert not bool((mask & ~more).any()) and 0 < int((more & ~mask).sum()) <= 345


def test_an_empty_mask_stays_empty():
    nothing = torch.zeros(H, W, dtype=torch.bool)
    given = noisy_view(NOISE, {"a": nothing}, "a", "own", made_by(0))
    assert given is not None and not bool(given.any())


def test_the_shares_are_exact_and_views_are_drawn_anew_for_each_object_and_seed():
    fates = view_fates(NOISE, 0, "a", STEMS)
    counts = {fate: list(fates.values()).count(fate) for fate in ("own", "another", "missing")}
    assert counts == {"own": 42, "another": 12, "missing": 6}
    assert view_fates(NOISE, 1, "a", STEMS) != fates and view_fates(NOISE, 0, "b", STEMS) != fates
    assert set(view_fates(replace(NOISE, another=0.0, missing=0.0), 0, "a", STEMS).values()) == {"own"}


def test_nothing_depends_on_the_order_of_views_or_objects():
    assert view_fates(NOISE, 4, "a", STEMS[::-1]) == view_fates(NOISE, 4, "a", STEMS)
    a, b, c = disc(100, 100, 40), disc(200, 100, 30), disc(200, 180, 25)
    for fate in ("own", "another"):
        one = noisy_view(NOISE, {"a": a, "b": b, "c": c}, "a", fate, view_generator(0, "a", "x"))
        other = noisy_view(NOISE, {"c": c, "b": b, "a": a}, "a", fate, view_generator(0, "a", "x"))
        assert one is not None and other is not None and torch.equal(one, other)
        elsewhere = noisy_view(NOISE, {"a": a, "b": b, "c": c}, "a", fate, view_generator(0, "a", "y"))
        assert elsewhere is not None and not torch.equal(one, elsewhere)


def test_another_object_is_shown_where_there_is_one_that_is_seen():
    a, b, hidden = disc(80, 100, 40), disc(230, 100, 30), torch.zeros(H, W, dtype=torch.bool)
    quiet = MaskNoise(jitter_rms=0.0, holes=0, islands=0)
    truths = {"a": a, "b": b, "c": hidden}
    for seed in range(5):
        shown = noisy_view(quiet, truths, "a", "another", made_by(seed))
        assert shown is not None and torch.equal(shown, b)
    alone = noisy_view(quiet, {"a": a, "c": hidden}, "a", "another", made_by(0))
    assert alone is not None and not bool(alone.any())
    assert noisy_view(quiet, truths, "a", "missing", made_by(0)) is None
    same = noisy_view(quiet, truths, "a", "own", made_by(0))
    assert same is not None and torch.equal(same, a)


def test_the_noise_of_an_object_of_usual_size_leaves_an_iou_of_about_four_fifths():
    """A disc of a tenth of the picture's diagonal across, as the bundled objects are: the documented 0.8."""
    mask = disc(150, 120, 20)
    ious = []
    for seed in range(40):
        noisy = noisy_view(NOISE, {"a": mask}, "a", "own", made_by(seed))
        assert noisy is not None
        ious.append(count_masks(noisy, mask).iou)
    assert 0.75 < sum(ious) / len(ious) < 0.88
