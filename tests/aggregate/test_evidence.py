"""What masks say of places: where they looked, who was voted for there, and that both outlive the disk."""

from dataclasses import replace

import pytest
import torch

from analytic_scene import camera_at, cast, stage_renderer
from sanerf.aggregate.evidence import Evidence, claims, gather_evidence, known_space
from sanerf.aggregate.ray_bank import PixelLattice, RayBank, build_ray_bank, with_masks
from sanerf.aggregate.view_masks import ViewMask, ViewMasks
from sanerf.fields.known import KnownSpace, known_to_any
from sanerf.geometry.contraction import contract

SIDE = 16


def bank_of(points: list[list[float]], weights: list[float], possible: list[list[bool]]) -> RayBank:
    """One ray a sample."""
    rays = len(points)
    return RayBank(
        torch.tensor(points), torch.tensor(weights), torch.arange(rays + 1), torch.ones(rays), torch.ones(rays),
        torch.tensor(possible), {0: PixelLattice(0, 1, rays, 0, 0, 1)},
    )  # fmt: skip


def test_known_are_the_cells_of_solid_samples_of_telling_rays_and_those_next_to_them():
    """Cells have a side of a quarter of a unit. Far away space is contracted: 1.9 along x is at (2 - 1 / 1.9)."""
    bank = bank_of(
        [[0.1, 0.1, 0.1], [-1.0, 0.6, 0.6], [-0.6, -0.6, -0.6], [1.9, 0.0, 0.0]],
        [0.5, 0.1, 0.9, 0.9],
        [[True, False], [True, False], [True, True], [False, True]],
    )
    found = known_space(bank, SIDE).cells
    expected = torch.zeros(SIDE, SIDE, SIDE, dtype=torch.bool)
    expected[7:10, 7:10, 7:10] = True
    far = int((2 - 1 / 1.9 + 2) * 4)
    expected[far - 1 : far + 2, 7:10, 7:10] = True
    assert torch.equal(found, expected), "fog says nothing, nor does a view that knows no mask"


def test_points_are_known_as_their_cells_are_and_bits_are_kept():
    generator = torch.Generator().manual_seed(0)
    space = KnownSpace(torch.rand(SIDE, SIDE, SIDE, generator=generator) < 0.3)
    points = 6 * torch.rand(500, 3, generator=generator) - 3
    x, y, z = ((contract(points) + 2) / 4 * SIDE).long().unbind(1)
    assert torch.equal(space.at(points), space.cells[x, y, z])
    packed = space.packed()
    assert packed.shape == (SIDE**3 // 8,) and torch.equal(KnownSpace.unpacked(packed, SIDE).cells, space.cells)
    with pytest.raises(ValueError, match="known space has 512 bytes"):
        KnownSpace.unpacked(packed[1:], SIDE)
    other = KnownSpace(~space.cells)
    assert bool(known_to_any([space, other]).cells.all()) and not bool(space.cells.all())


@pytest.fixture(scope="module")
def ball_bank() -> tuple[RayBank, ViewMasks]:
    """The stage from six sides; masks of the ball."""
    cameras = {view: camera_at(*xy, size=40) for view, xy in enumerate(
        [(0.0, 0.0), (-0.5, 0.1), (0.5, -0.1), (0.1, -0.5), (-0.1, 0.5), (0.3, 0.3)]
    )}  # fmt: skip
    bank = build_ray_bank(
        cameras, stage_renderer(),
        total_rays=10**6, weight_threshold=0.01, generator=torch.Generator().manual_seed(0),
    )  # fmt: skip
    masks: ViewMasks = {
        view: {"ball": ViewMask(cast(camera)[1].reshape(40, 40).float(), 1.0)} for view, camera in cameras.items()
    }
    return bank, masks


def test_what_masks_contradict_is_not_allowed_and_where_nobody_voted_an_object_may_be(ball_bank):
    """The ball's front is its own; the wall behind it, seen beside the ball, is not; its inside nobody saw."""
    bank, masks = ball_bank
    masked = with_masks(bank, masks, ["ball"])
    evidence = gather_evidence(masked, ["ball"], voted=False)
    ray_index = torch.repeat_interleave(bank.first_sample.diff())
    solid, is_ball = bank.weights > 0.1, masked.possible[ray_index, 1]
    allowed = evidence.allows(0, bank.p_world)
    assert float(allowed[solid & is_ball].float().mean()) > 0.98
    assert float(allowed[solid & ~is_ball].float().mean()) < 0.02
    inside = torch.zeros(1, 3)
    assert evidence.allows(0, inside).item() and not evidence.known.at(inside).item()
    assert not evidence.allows(0, torch.tensor([[0.0, 0.0, 3.0]])).item(), "beyond the box of its own votes"
    assert bool(evidence.known.at(bank.p_world[solid]).all())
    assert gather_evidence(masked, ["ball"], voted=True).claims is None


def test_evidence_is_read_back_as_it_was_stored(ball_bank):
    bank, masks = ball_bank
    masked = with_masks(bank, masks, ["ball"])
    evidence = gather_evidence(masked, ["ball"], voted=False)
    again = Evidence.from_tensors(evidence.tensors())
    assert torch.equal(again.known.cells, evidence.known.cells)
    assert torch.equal(again.allows(0, bank.p_world), evidence.allows(0, bank.p_world))
    alone = Evidence.from_tensors(replace(evidence, claims=None).tensors())
    assert alone.claims is None and bool(alone.allows(0, torch.full((1, 3), 9.0)).all())
    with pytest.raises(KeyError):
        Evidence.from_tensors({})
    assert claims(masked, ["ball"]).volume(0).share.dtype == torch.uint8
