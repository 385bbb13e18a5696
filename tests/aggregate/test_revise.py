"""Revision of masks: what a field renders at its lattices, and the loop of fits and answers."""

import math

import pytest
import torch

from analytic_scene import camera_at, numba_kernels, stage_renderer
from sanerf.aggregate.ray_bank import PixelLattice, build_ray_bank
from sanerf.aggregate.revise import (
    RenderedIdentities,
    Revisions,
    fit_and_revise,
    mean_mask_iou,
    render_identities,
    with_lost_objects,
)
from sanerf.aggregate.view_masks import ViewMask
from sanerf.fields.object import ObjectConfig, ObjectField
from sanerf.render.images import render_image

SIZE = 20
CAMERA = camera_at(0.0, 0.0, size=SIZE)


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
