"""How much masks count: powers of predicted and of found IoU by hand, the rays they weigh, and the fit."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from analytic_scene import numba_kernels
from sanerf.aggregate.losses import identity_cross_entropy
from sanerf.aggregate.ray_bank import PixelLattice, RayBank, with_masks
from sanerf.aggregate.revise import RenderedIdentities
from sanerf.aggregate.training import train_object_field
from sanerf.aggregate.trust import TrustConfig, agreeing, believed, with_trust
from sanerf.aggregate.view_masks import ViewMask, ViewMasks
from sanerf.fields.object import ObjectConfig, ObjectField

SIDE = 4
LATTICES = {view: PixelLattice(view * SIDE * SIDE, SIDE, SIDE, 0, 0, 1) for view in range(4)}
LEFT = torch.arange(SIDE).expand(SIDE, SIDE) < 2
UPPER = LEFT.T


def mask(picture: Tensor, predicted_iou: float = 1.0) -> ViewMask:
    return ViewMask(picture.float(), predicted_iou)


def rendered_of(view: int, picture: Tensor) -> RenderedIdentities:
    """One object, certain to be where the picture is."""
    return RenderedIdentities(LATTICES[view], torch.stack([~picture, picture], dim=-1).float())


def bank(views: int) -> RayBank:
    """Every view sees the same 16 points, one solid sample a ray."""
    x, y = torch.meshgrid(torch.linspace(-0.6, 0.6, SIDE), torch.linspace(-0.6, 0.6, SIDE), indexing="xy")
    points = torch.stack([x, y, torch.zeros_like(x)], dim=-1).reshape(-1, 3).repeat(views, 1)
    rays = len(points)
    return RayBank(
        points, torch.ones(rays), torch.arange(rays + 1), torch.ones(rays), torch.ones(rays),
        torch.ones(rays, 1, dtype=torch.bool), {view: LATTICES[view] for view in range(views)},
    )  # fmt: skip


def test_a_masks_trust_falls_with_a_power_of_its_agreement():
    masks: ViewMasks = {0: {"a": mask(LEFT)}, 1: {"a": mask(LEFT & UPPER)}, 2: {"a": mask(~LEFT)}}
    masks[3] = {"a": mask(torch.zeros_like(LEFT))}
    trust = {view: {"a": 0.8} for view in masks}
    rendered = {view: rendered_of(view, LEFT if view < 3 else torch.zeros_like(LEFT)) for view in range(4)}
    found = agreeing(trust, masks, names=["a"], rendered=rendered, power=4.0, least=0.5)
    expected = {0: 0.8, 1: 0.8 * 0.5**4, 2: 0.0, 3: 0.8}
    assert {view: of_view["a"] for view, of_view in found.items()} == pytest.approx(expected)
    # An object that no mask agrees about keeps all it has.
    none = {2: masks[2]}
    assert agreeing({2: trust[2]}, none, names=["a"], rendered=rendered, power=4.0, least=0.5) == {2: {"a": 0.8}}


def test_belief_is_a_power_of_the_predicted_iou_and_never_nothing():
    masks: ViewMasks = {0: {"a": mask(LEFT, 0.5), "b": mask(LEFT, -0.2)}, 1: {"a": mask(LEFT, 1.3)}}
    assert believed(masks) == {0: {"a": 0.5, "b": 0.05}, 1: {"a": 1.0}}
    assert believed(masks, 2.0)[0]["a"] == 0.25 and believed(masks, 0.0) == {0: {"a": 1.0, "b": 1.0}, 1: {"a": 1.0}}


def test_rays_count_as_the_mask_of_their_pixel_and_background_as_the_least_trusted():
    """View 0: a is the left half, 0.5 predicted, b the lower right quarter, 0.8; the upper right quarter is background
    that a may have missed. View 1: only b. View 2: nothing known."""
    masks: ViewMasks = {0: {"a": mask(LEFT, 0.5), "b": mask(~LEFT & ~UPPER, 0.8)}, 1: {"b": mask(UPPER, 0.9)}}
    masked = with_masks(bank(3), masks, ["a", "b"])
    config = TrustConfig(predicted_iou_power=2.0)
    weighed = with_trust(masked, masks, names=["a", "b"], rendered=None, config=config)
    first, second, third = weighed.trust.reshape(3, SIDE, SIDE)
    torch.testing.assert_close(first, torch.where(LEFT | UPPER, 0.25, 0.64))
    torch.testing.assert_close(second, torch.full((SIDE, SIDE), 0.81))
    torch.testing.assert_close(third, torch.ones(SIDE, SIDE))
    # Where decoders leave a pixel out of all masks it counts less still.
    decoded = {view: {name: replace(of, left_out=0.5) for name, of in masks[view].items()} for view in masks}
    again = with_trust(
        with_masks(bank(3), decoded, ["a", "b"]), decoded, names=["a", "b"], rendered=None, config=config
    )
    first, second, third = again.trust.reshape(3, SIDE, SIDE)
    torch.testing.assert_close(first, torch.where(LEFT, 0.25, torch.where(UPPER, 0.125, 0.64)))
    torch.testing.assert_close(second, torch.where(UPPER, 0.81, 0.405))
    torch.testing.assert_close(third, torch.ones(SIDE, SIDE))
    # What the field rendered of a and of b in views 0 and 1: a twice as large, b where it is.
    double = torch.ones_like(LEFT)
    probability = torch.stack([~double, double, torch.zeros_like(double)], dim=-1).float()
    of_b = torch.stack([~UPPER, torch.zeros_like(UPPER), UPPER], dim=-1).float()
    rendered = {0: RenderedIdentities(LATTICES[0], probability), 1: RenderedIdentities(LATTICES[1], of_b)}
    config = TrustConfig(predicted_iou_power=0.0, agreement_power=1.0)
    weighed = with_trust(masked, masks, names=["a", "b"], rendered=rendered, config=config)
    first, second, _ = weighed.trust.reshape(3, SIDE, SIDE)
    # b is rendered nowhere in view 0: it counts nothing, and neither does that view's background.
    torch.testing.assert_close(first, torch.where(LEFT, 0.5, 0.0))
    torch.testing.assert_close(second, torch.ones(SIDE, SIDE))
    assert torch.equal(with_trust(masked, masks, names=["a", "b"], rendered=None, config=config).trust, torch.ones(48))


def test_a_weighted_cross_entropy_is_the_weighted_mean():
    logits = torch.tensor([[0.0, 1.0], [0.0, -2.0], [3.0, 0.0]])
    possible = torch.tensor([[True, False], [False, True], [False, True]])
    each = [float(identity_cross_entropy(logits[i : i + 1], possible[i : i + 1])) for i in range(3)]
    weighted = identity_cross_entropy(logits, possible, torch.tensor([0.2, 0.0, 0.6]))
    assert float(weighted) == pytest.approx((0.2 * each[0] + 0.6 * each[2]) / 0.8)
    assert float(identity_cross_entropy(logits, possible, torch.ones(3))) == pytest.approx(sum(each) / 3)


def test_the_field_follows_the_masks_that_count():
    """One view says that the left half is the object, three that the right half is: unweighted these win, and where
    they count a tenth the one does. With no trust at all they are not even drawn: their samples weigh NaN."""
    masks: ViewMasks = {view: {"a": mask(~LEFT, 0.1)} for view in range(1, 4)}
    masks[0] = {"a": mask(LEFT)}
    four = bank(4)
    masked = with_masks(four, masks, ["a"])

    def learnt(given: RayBank) -> Tensor:
        generator = torch.Generator().manual_seed(0)
        config = ObjectConfig(levels=2, entries_log2=8, coarsest=4, finest=8, hidden=8)
        field = ObjectField(config, 2, numba_kernels, generator)
        train_object_field(field, given, steps=60, rays=64, learning_rate=3e-2, generator=generator)
        with torch.no_grad():
            return field(four.p_world[: SIDE**2]).argmax(dim=1).reshape(SIDE, SIDE).bool()

    assert torch.equal(learnt(masked), ~LEFT)
    weighed = with_trust(masked, masks, names=["a"], rendered=None, config=TrustConfig(predicted_iou_power=1.0))
    assert torch.equal(learnt(weighed), LEFT)
    none = replace(weighed, trust=torch.where(weighed.trust < 1, 0.0, 1.0))
    nan = replace(none, weights=torch.where(none.trust > 0, none.weights, torch.nan))
    assert torch.equal(learnt(nan), LEFT)


def test_an_object_that_is_rendered_nowhere_keeps_its_trust():
    """The background's rays of its views count as its masks: they must not all come to nothing."""
    masks = {0: {"cup": ViewMask(torch.tensor([[0.9, 0.9, 0.1, 0.1]]), 0.5)}}
    nowhere = torch.zeros(1, 4, 2)
    nowhere[..., 0] = 1.0
    rendered = {0: RenderedIdentities(PixelLattice(0, 1, 4, 0, 0, 1), nowhere)}
    found = agreeing(believed(masks), masks, names=["cup"], rendered=rendered, power=2.0, least=0.0)
    assert found == {0: {"cup": 0.5}}
