"""Where each object can be: near what the object field calls it on the rays whose masks say that they show it.

Elsewhere, in the sky or inside of the table, a hash grid answers at random, and speckles of the objects would hang
there. Rays on which masks know nothing of it do not count: of the bundled scene's sky some thousandth was called
chair, and the chair's box then held the whole scene.
"""

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

from sanerf.aggregate.ray_bank import RayBank
from sanerf.fields.object import SUPPORT_SIDE, ObjectField, support_cells
from sanerf.geometry.boxes import trimmed_box
from sanerf.shapes import Bool, Float

_CHUNK = 1 << 18
_SOLID = 0.1
"""Samples of less compositing weight are fog, or what is seen through an edge."""
_MARGIN = 0.1
"""The box is grown by this share of its longest side."""
_REACH = 2
"""Cells that the support reaches beyond those with samples."""
_LEAST_PIECE = 0.02
"""Pieces with a smaller share of an object's samples are not of it."""


def limit_to_extent(field: ObjectField, bank: RayBank) -> None:
    """Set the boxes and the support of `field` from the samples of a bank with masks of its objects; an object that has
    none keeps all of space."""
    assert bank.possible.shape[1] == 1 + len(field.box_low), (bank.possible.shape, len(field.box_low))
    shown = torch.where(bank.possible.sum(dim=1) == 1, bank.possible.int().argmax(dim=1), 0)
    telling = (shown[torch.repeat_interleave(bank.first_sample.diff())] * (bank.weights > _SOLID)).split(_CHUNK)
    index, points = [], []
    with torch.no_grad():
        for part, object_of in zip(bank.p_world.split(_CHUNK), telling, strict=True):
            solid, expected = part[object_of > 0], object_of[object_of > 0]
            called = field(solid).argmax(dim=1) == expected
            index.append(expected[called] - 1)
            points.append(solid[called])
    of_object, p_world = torch.cat(index), torch.cat(points)
    for k in range(len(field.box_low)):
        own = p_world[of_object == k]
        if len(own):
            low, high = trimmed_box(own, _MARGIN)
            field.box_low[k], field.box_high[k] = low, high
            inside = ((own >= low) & (own <= high)).all(dim=1)
            field.support[k] = support_of(own[inside], low, high)


def support_of(
    p_world: Float[Tensor, "points 3"], low: Float[Tensor, "3"], high: Float[Tensor, "3"]
) -> Bool[Tensor, "side side side"]:
    """The cells of a box within `_REACH` of those with points, without the small pieces that hang together alone."""
    cells = support_cells(p_world, low, high)
    counts = torch.bincount(cells, minlength=SUPPORT_SIDE**3).reshape([SUPPORT_SIDE] * 3).cpu().numpy()
    everywhere = np.ones((3, 3, 3), dtype=bool)
    grown = ndimage.binary_dilation(counts > 0, everywhere, iterations=_REACH)
    pieces, number = ndimage.label(grown, everywhere)  # pyright: ignore[reportGeneralTypeIssues]
    held = np.bincount(pieces.ravel(), weights=counts.ravel(), minlength=number + 1)
    large = held >= _LEAST_PIECE * counts.sum()
    large[0] = False
    return torch.from_numpy(large[pieces]).to(p_world.device)
