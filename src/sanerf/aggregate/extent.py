"""How far each object reaches: a box about what the object field calls it on the rays it was trained on.

Far from all of them a hash grid answers at random, and speckles of the objects would hang in the sky.
"""

import torch

from sanerf.aggregate.ray_bank import RayBank
from sanerf.fields.object import ObjectField
from sanerf.geometry.boxes import trimmed_box

_CHUNK = 1 << 18
_MARGIN = 0.1
"""The box is grown by this share of its longest side."""


def limit_to_extent(field: ObjectField, bank: RayBank) -> None:
    """Set the boxes of `field` from the bank's samples; an object that has none there keeps all of space."""
    index, points = [], []
    with torch.no_grad():
        for part, weights in zip(bank.p_world.split(_CHUNK), bank.weights.split(_CHUNK), strict=True):
            solid = part[weights > 0.1]
            identity = field(solid).argmax(dim=1)
            index.append(identity[identity > 0] - 1)
            points.append(solid[identity > 0])
    of_object, p_world = torch.cat(index), torch.cat(points)
    for k in range(len(field.box_low)):
        own = p_world[of_object == k]
        if len(own):
            field.box_low[k], field.box_high[k] = trimmed_box(own, _MARGIN)
