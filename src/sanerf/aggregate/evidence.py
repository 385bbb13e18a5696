"""What masks say of places, kept beside a field of identities that was trained: it answers everywhere, they do not.

`known_space` is where any mask looked at all. `claims` is, for each object, how much of what was said near a place was
said for it; where nobody said anything it may be the object. So an object that is taken out alone goes without what
masks say is another's, such as the table's inside just below a chair's foot, which no ray of training ended in.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from sanerf.aggregate.ray_bank import SOLID, RayBank
from sanerf.aggregate.vote import vote
from sanerf.fields.known import KNOWN_SIDE, KnownSpace, cells_of
from sanerf.fields.voted import VotedField
from sanerf.shapes import Bool, Float

LEAST_CLAIM = 0.5
"""A place with a smaller share of votes for an object is not of it."""


@dataclass(frozen=True)
class Evidence:
    """Both for one field; no claims where the field is made of votes itself."""

    known: KnownSpace
    claims: VotedField | None

    def allows(self, index: int, p_world: Float[Tensor, "points 3"]) -> Bool[Tensor, "points"]:
        """Whether points may be of an object, counted from zero without the background, by what masks say there."""
        if self.claims is None:
            return torch.ones_like(p_world[:, 0], dtype=torch.bool)
        return self.claims.share(index, p_world) >= LEAST_CLAIM

    def tensors(self) -> dict[str, Tensor]:
        """As they are stored."""
        claims = {} if self.claims is None else self.claims.state_dict()
        return {"known": self.known.packed(), **{f"claims.{name}": value for name, value in claims.items()}}

    @staticmethod
    def from_tensors(tensors: dict[str, Tensor]) -> "Evidence":
        """From those of `tensors`. KeyError, ValueError or TypeError where they are another thing's."""
        claims = {name.removeprefix("claims."): value for name, value in tensors.items() if name != "known"}
        return Evidence(KnownSpace.unpacked(tensors["known"]), VotedField.from_tensors(claims) if claims else None)

    def to(self, device: torch.device) -> "Evidence":
        return Evidence(self.known.to(device), self.claims.to(device) if self.claims is not None else None)


def gather_evidence(bank: RayBank, names: Sequence[str], *, voted: bool) -> Evidence:
    """What the masks of a bank say beside a field that was voted or trained on them."""
    return Evidence(known_space(bank), None if voted else claims(bank, names))


def known_space(bank: RayBank, side: int = KNOWN_SIDE) -> KnownSpace:
    """The cells with solid samples of rays that a mask says anything about, and those next to them."""
    telling = (~bank.possible).any(dim=1)
    solid = telling[torch.repeat_interleave(bank.first_sample.diff())] & (bank.weights > SOLID)
    cells = torch.zeros(side, side, side, dtype=torch.bool, device=bank.weights.device)
    cells[cells_of(bank.p_world[solid], side)] = True
    for axis in range(3):
        before = cells.clone()
        cells.narrow(axis, 1, side - 1).logical_or_(before.narrow(axis, 0, side - 1))
        cells.narrow(axis, 0, side - 1).logical_or_(before.narrow(axis, 1, side - 1))
    return KnownSpace(cells)


def claims(bank: RayBank, names: Sequence[str]) -> VotedField:
    """The share of votes for each object of a bank with masks, all of which count alike; where nobody voted, one."""
    return vote(bank, {}, names, unvoted=1.0)
