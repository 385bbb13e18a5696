"""Revision of masks: prompts from its rendering, and what becomes of the decoder's answers."""

import math

import pytest
import torch
from torch import Tensor

from analytic_scene import camera_at, numba_kernels, stage_renderer
from sanerf.aggregate.ray_bank import PixelLattice, build_ray_bank
from sanerf.aggregate.revise import (
    RenderedIdentities,
    Revisions,
    fit_and_revise,
    mean_mask_iou,
    nearest_hypothesis,
    prompts_from_mask,
    render_identities,
    revise_masks,
    with_lost_objects,
)
from sanerf.aggregate.view_masks import ViewMask
from sanerf.fields.object import ObjectConfig, ObjectField
from sanerf.render.images import render_image
from sanerf.segmenter.protocol import ImageFeatures, MaskHypotheses

SIZE = 20
CAMERA = camera_at(0.0, 0.0, size=SIZE)


def rectangle(x0: int, y0: int, x1: int, y1: int) -> Tensor:
    mask = torch.zeros(SIZE, SIZE, dtype=torch.bool)
    mask[y0:y1, x0:x1] = True
    return mask


def test_a_soft_mask_becomes_its_box_its_logits_and_the_point_deepest_inside():
    probability = torch.full((SIZE, SIZE), 0.0)
    probability[4:9, 6:13] = 0.75
    probability[4:9, 12] = 0.5  # not above one half: outside
    probability[6, 8] = 1.0
    prompts = prompts_from_mask(probability)
    assert prompts.box is not None and prompts.box.tolist() == [6.0, 4.0, 12.0, 9.0]
    # Six columns by five rows: the middle row, in one of the two middle columns' depth of 3.
    assert prompts.points.tolist() in ([[8.5, 6.5]], [[9.5, 6.5]])
    assert prompts.labels.tolist() == [1]
    logits = prompts.mask_logits
    assert logits is not None and logits.shape == (SIZE, SIZE)
    assert float(logits[5, 7]) == pytest.approx(math.log(3), rel=1e-5)
    assert float(logits[5, 12]) == pytest.approx(0.0, abs=1e-6)
    # Certainty stays finite.
    assert float(logits[6, 8]) == pytest.approx(math.log(999), rel=1e-3)
    assert float(logits[0, 0]) == pytest.approx(-math.log(999), rel=1e-3)


def test_one_pixel_and_the_whole_picture_are_masks_too():
    for mask, box in ((rectangle(3, 17, 4, 18), [3, 17, 4, 18]), (rectangle(0, 0, SIZE, SIZE), [0, 0, SIZE, SIZE])):
        prompts = prompts_from_mask(mask.float())
        assert prompts.box is not None and prompts.box.tolist() == box
        assert mask[tuple(prompts.points[0].long().flip(0).tolist())]


def logits_of(*masks: Tensor) -> Tensor:
    return torch.stack([torch.where(mask, 2.0, -3.0) for mask in masks])


def test_the_hypothesis_that_overlaps_the_field_most_is_taken_whatever_the_decoder_believes():
    rendered = rectangle(4, 4, 14, 14)
    answer = MaskHypotheses(
        logits_of(rectangle(4, 4, 8, 8), rectangle(6, 4, 16, 14), rectangle(0, 0, SIZE, SIZE)),
        torch.tensor([0.9, 0.2, 0.8]),
    )
    logits, predicted_iou, agreement = nearest_hypothesis(answer, rendered)
    assert torch.equal(logits, answer.mask_logits[1])
    assert predicted_iou == pytest.approx(0.2)
    assert agreement == pytest.approx(80 / 120)  # against 16 / 100 and 100 / 400
    nothing = nearest_hypothesis(MaskHypotheses(logits_of(rectangle(0, 0, 0, 0)), torch.tensor([0.9])), rendered)
    assert nothing[2] == 0.0


class Scripted:
    """Answers with given masks, by view, one for each prompt; the features' height carries the view."""

    name = fingerprint = "scripted"

    def __init__(self, answers: dict[int, list[Tensor]]):
        self.answers, self.asked = answers, {}

    def encode(self, image):
        raise AssertionError("features are given")

    def decode(self, features, prompts):
        view = int(features.maps["view"])
        self.asked[view] = [tuple(entry.box.tolist()) for entry in prompts]
        assert len(prompts) == len(self.answers[view]), (view, self.asked)
        return [MaskHypotheses(logits_of(mask), torch.tensor([0.6])) for mask in self.answers[view]]


def features_of(view: int) -> ImageFeatures:
    return ImageFeatures({"view": torch.tensor(float(view))}, SIZE, SIZE)


def identities_of(*masks: Tensor) -> RenderedIdentities:
    """A field that is sure to nine tenths of the objects in `masks`, in this order, seen at every pixel."""
    objects = torch.stack([mask.float() * 0.9 for mask in masks], dim=-1)
    probability = torch.cat([1 - objects.sum(-1, keepdim=True), objects], dim=-1)
    return RenderedIdentities(PixelLattice(0, SIZE, SIZE, 0, 0, 1), probability)


def test_agreeing_masks_are_taken_contradicting_ones_left_out_and_unseen_objects_not_asked_about():
    nothing, cup, hat = rectangle(0, 0, 0, 0), rectangle(2, 3, 8, 9), rectangle(10, 10, 20, 20)
    better_cup = rectangle(2, 3, 8, 10)  # IoU 36 / 42
    rendered = {3: identities_of(cup, hat), 5: identities_of(nothing, hat), 8: identities_of(nothing, nothing)}
    # In view 3 the decoder sees the hat elsewhere; in view 5 half of it, an IoU of 50 / 100, which still agrees.
    segmenter = Scripted({3: [better_cup, rectangle(0, 10, 10, 20)], 5: [rectangle(10, 10, 20, 15)]})
    steps = []
    cameras = {3: CAMERA, 5: CAMERA, 8: CAMERA}
    found = revise_masks(
        segmenter, features_of, rendered, ["cup", "hat"], cameras,
        on_progress=lambda done, total: steps.append((done, total)),
    )  # fmt: skip
    assert segmenter.asked == {3: [(2, 3, 8, 9), (10, 10, 20, 20)], 5: [(10, 10, 20, 20)]}
    assert {view: list(masks) for view, masks in found.items()} == {3: ["cup"], 5: ["hat"]}
    assert found[3]["cup"].predicted_iou == pytest.approx(0.6)
    expected = torch.where(better_cup, torch.sigmoid(torch.tensor(2.0)), torch.sigmoid(torch.tensor(-3.0)))
    torch.testing.assert_close(found[3]["cup"].probability, expected)
    assert steps == [(1, 3), (2, 3), (3, 3)]


def test_speckles_are_not_asked_about():
    """A hundredth of a per cent of the picture: one pixel of 150 x 150 is less."""
    camera = camera_at(0.0, 0.0, size=150)
    probability = torch.zeros(150, 150, 2)
    probability[..., 0] = 1.0
    probability[70, 70] = torch.tensor([0.0, 1.0])
    identities = RenderedIdentities(PixelLattice(0, 150, 150, 0, 0, 1), probability)
    assert revise_masks(Scripted({}), features_of, {0: identities}, ["dust"], {0: camera}) == {}
    probability[70:72, 70:72] = torch.tensor([0.0, 1.0])
    with pytest.raises(KeyError):
        revise_masks(Scripted({}), features_of, {0: identities}, ["dust"], {0: camera})


def test_between_the_lattices_pixels_a_probability_is_linear_and_beyond_them_constant():
    """At pixel (x, y) the probability is (2 x + y) / 100, which a lattice of any offset must give back."""
    y, x = torch.meshgrid(torch.arange(float(SIZE)), torch.arange(float(SIZE)), indexing="ij")
    values = (2 * x + y) / 100
    for first_row, first_column, stride in ((0, 0, 1), (0, 2, 3), (2, 1, 4), (4, 4, 5)):
        rows, columns = len(range(first_row, SIZE, stride)), len(range(first_column, SIZE, stride))
        lattice = PixelLattice(0, rows, columns, first_row, first_column, stride)
        picked = lattice.pick(values)
        identities = RenderedIdentities(lattice, torch.stack([1 - picked, picked], dim=-1))
        last_row, last_column = first_row + stride * (rows - 1), first_column + stride * (columns - 1)
        expected = (2 * x.clamp(first_column, last_column) + y.clamp(first_row, last_row)) / 100
        torch.testing.assert_close(identities.upsampled(1, CAMERA), expected, rtol=0, atol=1e-5)


def test_identities_at_the_lattice_are_what_the_field_renders():
    cameras = {2: CAMERA, 4: camera_at(0.3, 0.1, size=SIZE)}
    renderer = stage_renderer()
    bank = build_ray_bank(
        cameras, renderer, total_rays=10**6, weight_threshold=1e-3, generator=torch.Generator().manual_seed(0)
    )
    generator = torch.Generator().manual_seed(1)
    config = ObjectConfig(levels=2, entries_log2=8, coarsest=4, finest=8, hidden=8)
    field = ObjectField(config, 3, numba_kernels, generator)
    with torch.no_grad():
        field.grid.table.copy_(torch.randn(field.grid.table.shape, generator=generator))
    found = render_identities(field, bank)
    assert list(found) == [2, 4]
    for view, camera in cameras.items():
        image = render_image(renderer, camera, head=field)
        assert image.values is not None
        logits = image.values.reshape(-1, 3), image.accumulation.reshape(-1)
        expected = torch.softmax(
            torch.cat([logits[0][:, :1] + 5 * (1 - logits[1][:, None]).clamp(min=0), logits[0][:, 1:]], dim=1), dim=1
        )
        torch.testing.assert_close(found[view].probability.reshape(-1, 3), expected, rtol=0, atol=1e-4)
        assert float(expected.std(dim=0).min()) > 0.01


class ConstantField(ObjectField):
    """Everywhere logit 0 for the background and `logit` for the one object."""

    def __init__(self):
        torch.nn.Module.__init__(self)
        self.logit = 0.0

    def forward(self, p_world):
        return torch.tensor([0.0, self.logit]).expand(len(p_world), 2)


def test_each_revision_asks_about_the_field_just_fitted_and_fits_it_to_the_answers():
    """A "fit" adds 3 to the object's logit, so that on a surface its probability is the sigmoid of 3, then of 6."""
    cameras = {2: camera_at(0.0, 0.0, size=6), 4: camera_at(0.3, 0.1, size=6)}
    bank = build_ray_bank(
        cameras, stage_renderer(), total_rays=72, weight_threshold=0.0, generator=torch.Generator().manual_seed(0)
    )
    field = ConstantField()
    whole = {"thing": ViewMask(torch.ones(6, 6), 0.9)}
    answers = [{4: whole}, {2: whole, 4: whole}]
    fits, asked, before = [], [], []

    def fit(masked, masks, revision, rendered):
        field.logit += 3.0
        before.append(None if rendered is None else float(rendered[2].probability[3, 3, 1]))
        fits.append((revision, [view for view, of in bank.lattices.items() if not masked.possible[of.rays].all()]))

    def revise(rendered):
        asked.append([float(identities.probability[3, 3, 1]) for identities in rendered.values()])
        return answers[len(asked) - 1]

    def run(most: int, settled: float = 2.0):
        return fit_and_revise(
            field, bank, masks={2: whole}, names=["thing"], revisions=Revisions(most, settled), fit=fit, revise=revise
        )

    assert run(2) == answers[1]
    assert fits == [(0, [2]), (1, [4]), (2, [2, 4])]
    sigmoids = [[1 / (1 + math.exp(-logit))] * 2 for logit in (3.0, 6.0)]
    torch.testing.assert_close(torch.tensor(asked), torch.tensor(sigmoids), rtol=0, atol=1e-3)
    assert before == [None, asked[0][0], asked[1][0]]
    fits.clear()
    assert run(0) == {2: whole}
    assert fits == [(0, [2])] and len(asked) == 2
    # The second answer has view 4 in common with the first, out of two: a mean IoU of one half.
    for settled, expected in ((0.51, [(0, [2]), (1, [4]), (2, [2, 4])]), (0.5, [(0, [2]), (1, [4])])):
        fits.clear()
        asked.clear()
        assert run(5 if settled == 0.5 else 2, settled) == (answers[1] if settled > 0.5 else answers[0])
        assert fits == expected


def test_the_mean_iou_of_two_sets_of_masks():
    """Of the cup 4 of 6 pixels in common in view 1, of the hat nothing in view 2, where both are empty; a mask that
    only one set has agrees with nothing."""
    first = {1: {"cup": view_mask(0, 5)}, 2: {"hat": view_mask(0, 0), "cup": view_mask(0, 2)}}
    second = {1: {"cup": view_mask(1, 6)}, 2: {"hat": view_mask(0, 0)}}
    assert mean_mask_iou(first, second) == pytest.approx((4 / 6 + 1 + 0) / 3)
    assert mean_mask_iou(second, first) == mean_mask_iou(first, second)
    assert mean_mask_iou({}, {}) == mean_mask_iou(first, first) == 1.0


def view_mask(first: int, end: int) -> ViewMask:
    """Of a row of eight pixels, those from `first` to before `end`."""
    probability = torch.zeros(1, 8)
    probability[0, first:end] = 0.9
    return ViewMask(probability, 0.5)


def test_an_object_that_is_lost_everywhere_keeps_its_masks_in_all_views():
    old, new = ViewMask(torch.zeros(2, 2), 0.1), ViewMask(torch.ones(2, 2), 0.9)
    before = {3: {"cup": old, "hat": old}, 5: {"hat": old}, 8: {"cup": old, "hat": old}}
    found = with_lost_objects({5: {"cup": new}, 8: {"cup": new}}, before)
    assert found == {3: {"hat": old}, 5: {"cup": new, "hat": old}, 8: {"cup": new, "hat": old}}
    assert with_lost_objects({}, before) == before
    agreed = {8: {"cup": new, "hat": new}}
    assert with_lost_objects(agreed, before) == agreed
