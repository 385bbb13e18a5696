"""The object field that was counted instead of trained: for each object a box with its share of the votes in each cell.

It answers like `ObjectField` (section 3.3.1), so that whatever renders, scores or exports takes either.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sanerf.geometry.boxes import inside_box
from sanerf.geometry.contraction import contract
from sanerf.shapes import Bool, Float, UInt8

CERTAIN = 5.0
"""The logit of an identity that has all votes. As much as what a ray does not hit adds to the background
(`aggregate.losses.mask_logits`): a ray's most probable identity is the one with the largest composited share."""

_LEAST_SHARE = 0.1
"""An object may be where it has more than this share."""
_WHOLE = 255
"""How a share of one is stored."""


@dataclass(frozen=True)
class VotedVolume:
    """An object's share, in 255ths, in the cells of a box from `low` to `high` in contracted space; axes x y z."""

    low: Float[Tensor, "3"]
    high: Float[Tensor, "3"]
    share: UInt8[Tensor, "nx ny nz"]

    @staticmethod
    def of_shares(low: Float[Tensor, "3"], high: Float[Tensor, "3"], share: Float[Tensor, "nx ny nz"]) -> "VotedVolume":
        """From shares in [0, 1]."""
        return VotedVolume(low, high, (share * _WHOLE).round().to(torch.uint8))

    def meets(self, other: "VotedVolume") -> bool:
        """Whether the two boxes have a part in common."""
        return bool(((self.low < other.high) & (other.low < self.high)).all())

    @staticmethod
    def nowhere(device: torch.device) -> "VotedVolume":
        """Of an object without votes."""
        edge = torch.full((3,), 2.0, device=device)
        return VotedVolume(edge, edge, torch.zeros(1, 1, 1, dtype=torch.uint8, device=device))


class VotedField(nn.Module):
    """Identity logits at world positions: background first, then the objects.

    Shares are interpolated between the centres of cells and are zero outside of a box; what the objects leave of one is
    the background's.
    """

    low: Tensor
    high: Tensor

    def __init__(self, volumes: Sequence[VotedVolume]):
        super().__init__()
        self.register_buffer("low", torch.stack([volume.low for volume in volumes]))
        self.register_buffer("high", torch.stack([volume.high for volume in volumes]))
        for index, volume in enumerate(volumes):
            self.register_buffer(f"share_{index}", volume.share)

    @staticmethod
    def from_tensors(tensors: dict[str, Tensor]) -> "VotedField":
        """The field with this `state_dict`. KeyError, ValueError or TypeError where it is another thing's."""
        low, high = tensors["low"], tensors["high"]
        if low.ndim != 2 or low.shape != high.shape or tensors.keys() != {"low", "high", *_share_names(len(low))}:
            raise ValueError(f"no voted field has the tensors {', '.join(sorted(tensors))}")
        shares = [tensors[name] for name in _share_names(len(low))]
        if any(share.ndim != 3 or share.dtype != torch.uint8 for share in shares):
            raise ValueError("shares should be bytes on three axes")
        return VotedField([VotedVolume(*parts) for parts in zip(low, high, shares, strict=True)])

    def volume(self, index: int) -> VotedVolume:
        """An object's volume, counted from zero without the background."""
        return VotedVolume(self.low[index], self.high[index], self.get_buffer(f"share_{index}"))

    def forward(self, p_world: Float[Tensor, "points 3"]) -> Float[Tensor, "points objects"]:
        """Logits, before compositing and softmax (Eq. 7)."""
        p_contracted = contract(p_world)
        shares = torch.stack([self._share(index, p_contracted) for index in range(len(self.low))], dim=1)
        background = (1 - shares.sum(dim=1, keepdim=True)).clamp(min=0)
        return CERTAIN * torch.cat([background, shares], dim=1)

    def may_be(self, index: int, p_world: Float[Tensor, "points 3"]) -> Bool[Tensor, "points"]:
        """Whether an object, counted from zero without the background, has a say at points."""
        return self.share(index, p_world) > _LEAST_SHARE

    def share(self, index: int, p_world: Float[Tensor, "points 3"]) -> Float[Tensor, "points"]:
        """An object's share of the votes at points, counted as in `may_be`."""
        return self._share(index, contract(p_world))

    def _share(self, index: int, p_contracted: Float[Tensor, "points 3"]) -> Float[Tensor, "points"]:
        low, high = self.low[index], self.high[index]
        out = torch.zeros_like(p_contracted[:, 0])
        inside = inside_box(p_contracted, low, high).nonzero()[:, 0]
        if len(inside):
            # From -1 to 1 between the outer faces of the box, last axis first, as grid_sample wants it.
            place = ((p_contracted[inside] - low) / (high - low) * 2 - 1).flip(1)
            volume = self.get_buffer(f"share_{index}").float()
            found = F.grid_sample(
                volume[None, None], place[None, None, None], padding_mode="border", align_corners=False
            )
            out[inside] = found[0, 0, 0, 0] / _WHOLE
        return out


def _share_names(others: int) -> list[str]:
    return [f"share_{index}" for index in range(others)]
