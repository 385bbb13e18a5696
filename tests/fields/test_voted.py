"""The voted field: interpolated shares in closed form, the background's remainder, and what is no such field."""

import pytest
import torch

from sanerf.fields.voted import VotedField, VotedVolume
from sanerf.geometry.contraction import uncontract

LOW, HIGH = torch.tensor([-0.5, 0.0, 1.0]), torch.tensor([0.5, 0.25, 1.5])


def field() -> VotedField:
    """The first object's share rises along x from 0.1 to 0.8 between the outermost cells' centres; the second has 0.6
    in the half of the same box with larger z."""
    rising = ((torch.arange(8) + 1) / 10)[:, None, None].expand(8, 2, 4)
    upper = 0.6 * (torch.arange(4) >= 2).float().expand(8, 2, 4)
    return VotedField([VotedVolume.of_shares(LOW, HIGH, share) for share in (rising, upper)])


def at(x: float, y: float, z: float) -> torch.Tensor:
    """The world point at these parts of the way through the box, which lies in contracted space."""
    return uncontract(LOW + torch.tensor([[x, y, z]]) * (HIGH - LOW))


@pytest.mark.parametrize("x", [1 / 16, 0.3, 0.5, 15 / 16])
def test_shares_are_interpolated_between_the_centres_of_cells(x):
    rising, upper = 0.1 + 0.7 * (x - 1 / 16) / (14 / 16), 0.6
    background = max(1 - rising - upper, 0)
    expected = 5 * torch.tensor([[background, rising, upper]])
    # A share is stored in 255ths.
    torch.testing.assert_close(field()(at(x, 0.4, 0.9)), expected, atol=5 / 255, rtol=0)
    # Half way between the second and the third cell's centre along z.
    torch.testing.assert_close(field()(at(x, 0.4, 0.5))[:, 2], torch.tensor([1.5]), atol=5 / 255, rtol=0)


def test_outside_of_the_box_all_is_background():
    outside = torch.cat([at(-0.01, 0.5, 0.5), at(0.5, 1.02, 0.5), at(0.5, 0.5, 1.01), torch.zeros(1, 3)])
    assert field()(outside).tolist() == [[5.0, 0.0, 0.0]] * 4
    assert field()(outside[:0]).shape == (0, 3)
    assert not field().may_be(0, outside).any()


def test_an_object_may_be_where_it_has_more_than_a_tenth():
    points = torch.cat([at(0.5, 0.5, 0.9), at(0.5, 0.5, 0.1), at(0.02, 0.5, 0.9), at(1.5, 0.5, 0.9)])
    assert field().may_be(1, points).tolist() == [True, False, True, False]
    assert field().may_be(0, points).tolist() == [True, True, True, False]
    # Between the second and the third cell's centre its share along z rises from nothing to 0.6: a sixth of the way.
    near = torch.cat([at(0.5, 0.5, (1.5 + part) / 4) for part in (0.16, 0.18)])
    assert field().may_be(1, near).tolist() == [False, True]


def test_it_comes_back_from_its_tensors_and_nothing_else_does():
    tensors = field().state_dict()
    again = VotedField.from_tensors(tensors)
    points = at(0.3, 0.4, 0.6)
    assert torch.equal(again(points), field()(points))
    for damaged in (
        {name: value for name, value in tensors.items() if name != "share_1"},
        {**tensors, "share_2": tensors["share_1"]},
        {**tensors, "high": tensors["high"][:1]},
        {**tensors, "share_0": tensors["share_0"].float()},
        {**tensors, "share_0": tensors["share_0"][0]},
    ):
        with pytest.raises(ValueError, match=r"voted field|bytes on three axes"):
            VotedField.from_tensors(damaged)
