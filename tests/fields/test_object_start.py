"""An object field that starts from a vote: what it answers at first, what it learns, and what it leaves alone."""

import pytest
import torch

from analytic_scene import numba_kernels
from sanerf.aggregate.ray_bank import PixelLattice, RayBank
from sanerf.aggregate.training import train_object_field
from sanerf.fields.object import ObjectConfig, ObjectField
from sanerf.fields.voted import VotedField, VotedVolume

CONFIG = ObjectConfig(levels=3, entries_log2=10, coarsest=4, finest=32, hidden=8)


@pytest.fixture
def voted() -> VotedField:
    """One object with all votes where x < 0 of the cube from -0.5 to 0.5, and none where x > 0."""
    share = torch.zeros(16, 16, 16)
    share[:8] = 1.0
    return VotedField([VotedVolume.of_shares(torch.full((3,), -0.5), torch.full((3,), 0.5), share)])


def field_from(voted: VotedField | None) -> ObjectField:
    return ObjectField(CONFIG, 2, numba_kernels, torch.Generator().manual_seed(3), voted)


POINTS = torch.rand(500, 3, generator=torch.Generator().manual_seed(0)) * 2 - 1


def test_at_first_it_is_the_vote_to_the_bit(voted):
    assert torch.equal(field_from(voted)(POINTS), voted(POINTS))
    assert not torch.equal(field_from(None)(POINTS), voted(POINTS))


def test_it_learns_on_top_of_the_vote_which_stays(voted):
    """Half of the left half, y < 0, turns out to be background: that is learnt, the rest is as it was."""
    points = POINTS[(POINTS.abs() < 0.45).all(dim=1)]
    truth = (points[:, 0] < 0) & (points[:, 1] > 0)
    rays = len(points)
    bank = RayBank(
        points, torch.ones(rays), torch.arange(rays + 1), torch.ones(rays), torch.ones(rays),
        torch.stack([~truth, truth], dim=1), {0: PixelLattice(0, 1, rays, 0, 0, 1)},
    )  # fmt: skip
    before = {name: value.clone() for name, value in voted.state_dict().items()}
    field = field_from(voted)
    wrong = int(((field(points).argmax(dim=1) == 1) != truth).sum())
    train_object_field(
        field, bank, steps=150, rays=rays, learning_rate=2e-2, generator=torch.Generator().manual_seed(0)
    )
    found = field(points).argmax(dim=1) == 1
    assert wrong > 5 and torch.equal(found, truth)
    assert all(torch.equal(value, before[name]) for name, value in voted.state_dict().items())
    # Far from all that was trained on it is the vote's to a share of the certainty it has: no speckles.
    far = torch.tensor([[30.0, 2.0, 1.0], [0.0, -50.0, 8.0]])
    assert (field(far).argmax(dim=1) == 0).all()


def test_its_tensors_are_those_of_the_vote_and_its_own(voted):
    field = field_from(voted)
    tensors = field.state_dict()
    assert {name for name in tensors if name.startswith("start.")} == {"start.low", "start.high", "start.share_0"}
    start = VotedField.from_tensors(
        {name.removeprefix("start."): value for name, value in tensors.items() if name.startswith("start.")}
    )
    again = ObjectField(CONFIG, 2, numba_kernels, torch.Generator(), start)
    again.load_state_dict(tensors)
    assert torch.equal(again(POINTS), field(POINTS))
    with pytest.raises(AssertionError):
        ObjectField(CONFIG, 3, numba_kernels, torch.Generator(), start)
