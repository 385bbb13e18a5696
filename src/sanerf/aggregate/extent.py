"""Where each object can be: near what the object field calls it on rays whose masks say that they show it.

Elsewhere, in the sky or inside of the table, a hash grid answers at random, and speckles of the objects would hang
there. What is seen past an object's edges does not count, where masks are a little wider than it: of the samples called
the bundled scene's chair so many lay in the sky and on the table that its box held the whole scene, and its support,
64 cells along each side, said nothing.
"""

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

from sanerf.aggregate.ray_bank import SOLID, RayBank
from sanerf.aggregate.revise import Fit, RenderedIdentities
from sanerf.aggregate.view_masks import ViewMasks
from sanerf.fields.object import SUPPORT_SIDE, ObjectField, support_cells
from sanerf.geometry.boxes import inside_box, trimmed_box
from sanerf.geometry.contraction import contract
from sanerf.geometry.pieces import in_large_pieces, large_pieces
from sanerf.shapes import Bool, Float

_CHUNK = 1 << 18
_MARGIN = 0.1
"""The box is grown by this share of its longest side."""
_LEAST_SHARE = 0.5
"""Where fewer of a cell's samples are an object's, it is only seen past there: other views say what it is."""
_ROUNDS = 3
"""Times that disputed samples are taken out: their cells are as fine as the box that is left is small."""
_REACH = 2
"""Cells that the support reaches beyond those with samples."""


def limit_to_extent(field: ObjectField, bank: RayBank) -> None:
    """Set the boxes and the support of `field` from the samples of a bank with masks of its objects; an object that has
    none keeps all of space."""
    assert bank.possible.shape[1] == 1 + len(field.box_low), (bank.possible.shape, len(field.box_low))
    ray_index = torch.repeat_interleave(bank.first_sample.diff())
    solid = bank.weights > SOLID
    p_world, possible = bank.p_world[solid], bank.possible[ray_index[solid]]
    with torch.no_grad():
        called = torch.cat([field(part).argmax(dim=1) for part in p_world.split(_CHUNK)])
    sure = possible.sum(dim=1) == 1
    for k in range(len(field.box_low)):
        own = p_world[sure & possible[:, k + 1] & (called == k + 1)]
        own = own[in_large_pieces(contract(own))]
        others = p_world[~possible[:, k + 1]]
        for _ in range(_ROUNDS):
            if len(own):
                own = own[_undisputed(own, others)]
        if len(own):
            low, high = trimmed_box(own, _MARGIN)
            field.box_low[k], field.box_high[k] = low, high
            inside = ((own >= low) & (own <= high)).all(dim=1)
            field.support[k] = support_of(own[inside], low, high)


def fit_within_extent(field: ObjectField, fit: Fit) -> Fit:
    """A fit after which each object is where its masks show it. In a room most views have no mask of an object; what
    only those see may be anything to the field, and a decoder that is asked about that poisons the next fit."""

    def fit_and_limit(
        masked: RayBank, of_views: ViewMasks, number: int, rendered: dict[int, RenderedIdentities] | None
    ) -> None:
        field.unlimit()
        fit(masked, of_views, number, rendered)
        limit_to_extent(field, masked)

    return fit_and_limit


def _undisputed(own: Float[Tensor, "points 3"], others: Float[Tensor, "voxels 3"]) -> Bool[Tensor, "points"]:
    """Which of an object's samples lie in cells of its box where those of other things are not too many."""
    low, high = trimmed_box(own, _MARGIN)
    others = others[inside_box(others, low, high)]
    own_cells = support_cells(own, low, high)
    of_own, of_others = (
        torch.bincount(cells, minlength=SUPPORT_SIDE**3) for cells in (own_cells, support_cells(others, low, high))
    )
    return of_own[own_cells] >= _LEAST_SHARE * (of_own + of_others)[own_cells]


def support_of(
    p_world: Float[Tensor, "points 3"], low: Float[Tensor, "3"], high: Float[Tensor, "3"]
) -> Bool[Tensor, "side side side"]:
    """The cells of a box within `_REACH` of those with points, without the small pieces that hang together alone."""
    cells = support_cells(p_world, low, high)
    counts = torch.bincount(cells, minlength=SUPPORT_SIDE**3).reshape([SUPPORT_SIDE] * 3).cpu().numpy()
    everywhere = np.ones((3, 3, 3), dtype=bool)
    grown = ndimage.binary_dilation(counts > 0, everywhere, iterations=_REACH)
    return torch.from_numpy(large_pieces(grown, counts)).to(p_world.device)
