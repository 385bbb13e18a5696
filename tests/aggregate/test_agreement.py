"""Masks held against the field: how far they agree, which are left out, and that good ones lose nothing."""

import pytest
import torch

from analytic_scene import numba_kernels
from sanerf.aggregate.agreement import agreeing_masks, fit_and_review, mask_agreement
from sanerf.aggregate.ray_bank import PixelLattice, RayBank
from sanerf.aggregate.revise import RenderedIdentities
from sanerf.aggregate.view_masks import ViewMask, ViewMasks
from sanerf.fields.object import ObjectConfig, ObjectField

SIDE = 10
FIELD = ObjectField(
    ObjectConfig(levels=1, entries_log2=4, coarsest=2, finest=2, hidden=2), 2, numba_kernels, torch.Generator()
)
"""Stands where a field is asked for; what it renders is made up."""


def square(x0: int, x1: int) -> ViewMask:
    """The columns from x0 to x1 of rows 2 to 8."""
    probability = torch.zeros(SIDE, SIDE)
    probability[2:8, x0:x1] = 1.0
    return ViewMask(probability, 1.0)


def seen(view: int, *squares: ViewMask, sure: float = 0.98) -> RenderedIdentities:
    """A field that is sure of some objects' squares, and of background elsewhere."""
    rest = (1 - sure) / len(squares)
    probability = torch.full((SIDE, SIDE, 1 + len(squares)), rest)
    probability[..., 0] = sure
    for index, mask in enumerate(squares, start=1):
        inside = mask.probability > 0.5
        probability[inside] = rest
        probability[..., index][inside] = sure
    return RenderedIdentities(PixelLattice(view * SIDE**2, SIDE, SIDE, 0, 0, 1), probability)


def bank(views: int) -> RayBank:
    """Rays through every pixel of some views, without samples."""
    rays = views * SIDE**2
    lattices = {view: PixelLattice(view * SIDE**2, SIDE, SIDE, 0, 0, 1) for view in range(views)}
    nothing = torch.zeros(0)
    first_sample = torch.zeros(rays + 1, dtype=torch.int64)
    end = torch.zeros(rays)
    return RayBank(torch.zeros(0, 3), nothing, first_sample, end, end, torch.ones(rays, 1).bool(), lattices)


def test_agreement_is_the_iou_with_what_is_rendered():
    rendered = {0: seen(0, square(2, 6)), 1: seen(1, square(2, 6)), 2: seen(2, square(2, 6))}
    masks = {0: {"a": square(2, 6)}, 1: {"a": square(4, 8)}, 2: {"a": square(6, 10)}}
    found = mask_agreement(rendered, masks, ["a"])
    # Four columns of each, two in common of six in all, none in common.
    assert found == {0: {"a": 1.0}, 1: {"a": pytest.approx(2 / 6)}, 2: {"a": 0.0}}


def test_an_object_that_neither_sees_is_agreed_upon_and_a_missing_mask_is_no_entry():
    empty = square(0, 0)
    rendered = {0: seen(0, empty, square(2, 6)), 1: seen(1, empty, square(2, 6))}
    found = mask_agreement(rendered, {0: {"a": empty}, 1: {"b": square(2, 6)}}, ["a", "b"])
    assert found == {0: {"a": 1.0}, 1: {"b": 1.0}}


def test_the_share_is_of_the_objects_own_median():
    """b agrees badly everywhere, as a thin thing does: what is half of a's usual is b's usual."""
    agreement = {
        view: {"a": a, "b": b} for view, (a, b) in enumerate([(0.9, 0.3), (0.8, 0.3), (0.8, 0.2), (0.39, 0.1)])
    }
    masks = {view: {"a": square(2, 6), "b": square(6, 8)} for view in range(4)}
    kept = agreeing_masks(masks, agreement, 0.5)
    # Medians 0.8 and 0.25: 0.39 and 0.1 are below their halves.
    assert {view: sorted(of_view) for view, of_view in kept.items()} == {0: ["a", "b"], 1: ["a", "b"], 2: ["a", "b"]}
    assert agreeing_masks(masks, agreement, 0.0) == masks


def test_an_object_that_the_field_lost_keeps_all_its_masks():
    masks = {view: {"a": square(2, 6)} for view in range(3)}
    assert agreeing_masks(masks, {view: {"a": 0.0} for view in range(3)}, 0.5) == masks


@pytest.mark.parametrize("wrong", ["another", "empty", "cut off"])
def test_of_five_views_the_one_that_contradicts_is_left_out_of_the_second_fit(wrong, monkeypatch):
    masks = {view: {"a": square(2, 6)} for view in range(5)}
    masks[3] = {"a": {"another": square(7, 10), "empty": square(0, 0), "cut off": square(2, 3)}[wrong]}
    rendered = {view: seen(view, square(2, 6)) for view in range(5)}
    monkeypatch.setattr("sanerf.aggregate.agreement.render_identities", lambda field, bank: rendered)
    taught: list[RayBank] = []
    told: list[ViewMasks] = []
    kept = fit_and_review(
        FIELD,
        bank(5),
        masks=masks,
        names=["a"],
        reviews=1,
        least_agreement=0.5,
        fit=lambda masked, given, number, rendered: (taught.append(masked), told.append(given)),
    )
    assert sorted(kept) == [0, 1, 2, 4] and len(taught) == 2
    assert told == [masks, kept]
    of_view = taught[1].possible.reshape(5, SIDE**2, 2)
    assert bool(of_view[3].all())
    for view in (0, 1, 2, 4):
        assert torch.equal(of_view[view], taught[0].possible.reshape(5, SIDE**2, 2)[view])


def test_where_all_masks_agree_they_are_fitted_once(monkeypatch):
    masks = {view: {"a": square(2, 6), "b": square(7, 9)} for view in range(3)}
    rendered = {view: seen(view, square(2, 6), square(7, 9)) for view in range(3)}
    monkeypatch.setattr("sanerf.aggregate.agreement.render_identities", lambda field, bank: rendered)
    taught: list[RayBank] = []
    kept = fit_and_review(
        FIELD,
        bank(3),
        masks=masks,
        names=["a", "b"],
        reviews=2,
        least_agreement=0.5,
        fit=lambda masked, given, number, rendered: taught.append(masked),
    )
    assert kept == masks and len(taught) == 1
