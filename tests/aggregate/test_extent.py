"""The boxes that hold the objects: about what the field calls them where samples matter, and nothing beyond."""

import pytest
import torch
from torch import Tensor

from analytic_scene import numba_kernels
from sanerf.aggregate import extent
from sanerf.aggregate.extent import fit_within_extent, limit_to_extent, support_of
from sanerf.aggregate.ray_bank import RayBank
from sanerf.fields.object import SUPPORT_SIDE, ObjectConfig, ObjectField

INF = torch.inf


class Octants(ObjectField):
    """Object 1 where x > 0 and y > 0, object 2 where x > 0 and y < 0, background elsewhere; object 3 nowhere."""

    def __init__(self):
        torch.nn.Module.__init__(self)
        self.register_buffer("box_low", torch.full((3, 3), -INF))
        self.register_buffer("box_high", torch.full((3, 3), INF))
        self.register_buffer("support", torch.ones(3, SUPPORT_SIDE, SUPPORT_SIDE, SUPPORT_SIDE, dtype=torch.bool))

    def forward(self, p_world):
        x, y = p_world[:, 0], p_world[:, 1]
        logits = torch.full((len(p_world), 4), -1.0)
        logits[:, 0] = 0.0
        logits[(x > 0) & (y > 0), 1] = logits[(x > 0) & (y < 0), 2] = 1.0
        return logits


def bank_of(p_world: Tensor, weights: Tensor) -> RayBank:
    """One ray a sample, with true masks of the octants."""
    rays = len(p_world)
    possible = torch.nn.functional.one_hot(Octants()(p_world).argmax(dim=1), 4).bool()
    return RayBank(
        p_world,
        weights,
        torch.arange(rays + 1),
        torch.ones(rays),
        torch.ones(rays),
        possible,
        {},
    )


def grid(low: tuple[float, ...], high: tuple[float, ...], steps: int = 11) -> Tensor:
    """The points of a regular grid over a box, faces included; each face has a share of 1 / steps."""
    axes = [torch.linspace(a, b, steps) for a, b in zip(low, high, strict=True)]
    return torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1).reshape(-1, 3)


@pytest.mark.parametrize("chunk", [1 << 18, 1000])
def test_each_objects_box_is_that_of_its_samples_grown_by_a_tenth_of_its_longest_side(monkeypatch, chunk):
    monkeypatch.setattr(extent, "_CHUNK", chunk)
    first, second = grid((0.1, 0.1, -0.5), (0.3, 0.5, 0.5)), grid((0.2, -0.8, 0.0), (0.4, -0.6, 0.1))
    background = grid((-1.0, -1.0, -1.0), (-0.1, 1.0, 1.0))
    points = torch.cat([background, second, first])
    field = Octants()
    limit_to_extent(field, bank_of(points, torch.ones(len(points))))
    # Longest sides 1.0 and 0.2.
    torch.testing.assert_close(field.box_low[:2], torch.tensor([[0.0, 0.0, -0.6], [0.18, -0.82, -0.02]]))
    torch.testing.assert_close(field.box_high[:2], torch.tensor([[0.4, 0.6, 0.6], [0.42, -0.58, 0.12]]))
    assert field.box_low[2].tolist() == [-INF] * 3 and field.box_high[2].tolist() == [INF] * 3


def test_faint_samples_do_not_widen_a_box():
    """A weight of 0.1 and less is fog before the object, or what is seen through its edge."""
    solid, faint = grid((0.1, 0.1, 0.1), (0.2, 0.2, 0.2)), grid((0.1, 0.1, 0.1), (0.9, 0.9, 0.9))
    weights = torch.cat([torch.full((len(solid),), 0.11), torch.full((len(faint),), 0.1)])
    field = Octants()
    limit_to_extent(field, bank_of(torch.cat([solid, faint]), weights))
    torch.testing.assert_close(field.box_low[0], torch.full((3,), 0.09))
    torch.testing.assert_close(field.box_high[0], torch.full((3,), 0.21))


@pytest.mark.parametrize(("strays", "stays_out"), [(6, True), (7, False)])
def test_up_to_half_a_per_cent_of_strays_on_a_side_are_cut_off(strays, stays_out):
    """Of 1331 samples of the object and the strays, 6 may lie beyond each side."""
    object_samples = grid((0.1, 0.1, 0.1), (0.2, 0.2, 0.2))
    points = torch.cat([object_samples, torch.full((strays, 3), 0.25)])
    field = Octants()
    limit_to_extent(field, bank_of(points, torch.ones(len(points))))
    assert int(0.005 * len(points)) == 6
    far = field.box_high[0]
    torch.testing.assert_close(far, torch.full((3,), 0.21 if stays_out else 0.265))
    torch.testing.assert_close(field.box_low[0], torch.full((3,), 0.09 if stays_out else 0.085))


def test_what_masks_know_nothing_of_does_not_widen_a_box():
    """A quarter of the samples are sky: the field calls them the object, and masks call them background or either."""
    solid, sky = grid((0.1, 0.1, 0.1), (0.2, 0.2, 0.2)), grid((0.5, 0.5, 0.5), (90.0, 90.0, 90.0))[::4]
    bank = bank_of(torch.cat([solid, sky]), torch.ones(len(solid) + len(sky)))
    for of_sky in ([True, False, False, False], [True, True, False, False]):
        bank.possible[len(solid) :] = torch.tensor(of_sky)
        field = Octants()
        limit_to_extent(field, bank)
        torch.testing.assert_close(field.box_low[0], torch.full((3,), 0.09))
        torch.testing.assert_close(field.box_high[0], torch.full((3,), 0.21))


def test_what_is_seen_past_an_edge_in_one_view_is_what_others_say():
    """A mask a little wider than its object takes in some samples of what lies behind it; four other views know that
    for background."""
    solid, behind = grid((0.1, 0.1, 0.1), (0.2, 0.2, 0.2)), grid((0.2, 0.2, 0.2), (0.4, 0.4, 0.4))
    seen_past, behind = behind[::5], behind.repeat(4, 1)
    bank = bank_of(torch.cat([solid, seen_past, behind]), torch.ones(len(solid) + len(seen_past) + len(behind)))
    bank.possible[-len(behind) :] = torch.tensor([True, False, False, False])
    field = Octants()
    limit_to_extent(field, bank)
    torch.testing.assert_close(field.box_low[0], torch.full((3,), 0.09))
    torch.testing.assert_close(field.box_high[0], torch.full((3,), 0.21))


def test_beyond_its_box_an_object_loses_to_the_background_by_five_or_by_what_it_lost_before():
    generator = torch.Generator().manual_seed(0)
    config = ObjectConfig(levels=2, entries_log2=6, coarsest=4, finest=8, hidden=8)
    field = ObjectField(config, 4, numba_kernels, generator)
    everywhere = 2 * torch.rand(2000, 3, generator=generator) - 1
    with torch.no_grad():
        field.grid.table.copy_(torch.randn(field.grid.table.shape, generator=generator))
        before = field(everywhere)
        near = everywhere[:200] * 0.2
        bank = bank_of(near, torch.ones(200))
        bank.possible[:] = torch.nn.functional.one_hot(field(near).argmax(dim=1), 4).bool()
        limit_to_extent(field, bank)
        after = field(everywhere)
    limited = field.box_low.isfinite().all(dim=1)
    assert limited.any()
    for k in range(3):
        inside = field.may_be(k, everywhere)
        boxed = ((everywhere >= field.box_low[k]) & (everywhere <= field.box_high[k])).all(dim=1)
        assert bool((boxed | ~inside).all())
        assert torch.equal(after[inside, k + 1], before[inside, k + 1])
        torch.testing.assert_close(after[~inside, k + 1], torch.minimum(before[~inside, k + 1], before[~inside, 0] - 5))
        assert bool(inside.all()) or bool(limited[k])


def test_the_support_is_the_samples_cells_and_two_beyond_without_small_pieces():
    """In a box of 64 units: 98 samples in one cell, and one in a cell of its own, which is less than two per cent."""
    low, high = torch.zeros(3), torch.full((3,), 64.0)
    many = torch.tensor([[10.5, 20.5, 30.5]]).expand(98, 3)
    support = support_of(torch.cat([many, torch.tensor([[50.5, 50.5, 50.5]])]), low, high)
    expected = torch.zeros(64, 64, 64, dtype=torch.bool)
    expected[8:13, 18:23, 28:33] = True
    assert torch.equal(support, expected)


def test_a_piece_of_two_per_cent_stays():
    low, high = torch.zeros(3), torch.full((3,), 64.0)
    points = torch.cat([torch.full((98, 3), 10.5), torch.full((2, 3), 50.5)])
    support = support_of(points, low, high)
    assert bool(support[50, 50, 50]) and int(support.sum()) == 2 * 125


def test_an_object_may_be_in_its_support_alone():
    field = Octants()
    field.box_low[0], field.box_high[0] = torch.zeros(3), torch.ones(3)
    field.support[0] = False
    field.support[0, 32, 0, 63] = True
    points = torch.tensor([[0.51, 0.001, 0.999], [0.51, 0.02, 0.999], [0.51, 0.001, 1.001]])
    assert field.may_be(0, points).tolist() == [True, False, False]
    assert field.may_be(1, points).tolist() == [True, True, True]


def test_after_a_fit_an_object_is_where_its_masks_show_it_and_before_the_next_it_may_be_anywhere():
    """The field calls all of an octant the object, also far beyond the samples, which no mask has seen."""
    field, bank, seen = Octants(), bank_of(grid((0.1, 0.1, 0.1), (0.3, 0.3, 0.3)), torch.ones(11**3)), []
    far = torch.tensor([[5.0, 5.0, 5.0], [0.2, 0.2, 0.2]])

    def fit(masked, masks, number, rendered):
        assert masked is bank and masks == {} and rendered is None
        seen.append((number, field.may_be(0, far).tolist()))

    limited = fit_within_extent(field, fit)
    for number in range(2):
        limited(bank, {}, number, None)
        assert field.may_be(0, far).tolist() == [False, True]
    assert seen == [(0, [True, True]), (1, [True, True])]
