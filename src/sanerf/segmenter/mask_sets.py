"""Many masks of one size: a bit a pixel, with what is needed to sort out the doubtful ones and the duplicates.

Boxes are (x0, y0, x1, y1), the edges of a mask's outermost pixels, in pixels of the masks; all 0 for an empty mask.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from sanerf.segmenter.regions import mask_boxes
from sanerf.shapes import Bool, Float, Float64, Int, Int64, UInt8

_COMPARED_BYTES = 32 * 2**20
"""Of the other masks' pixels that are compared with one mask's at a time."""

Overlap = Literal["mask", "box"]
"""What two masks are compared by: the IoU of their pixels or that of their boxes."""


@dataclass(frozen=True)
class MaskSet:
    """Some masks of `height` x `width` pixels, one a row.

    `source` is the number of its click and that of the mask among the answers to it.
    """

    height: int
    width: int
    bits: UInt8[np.ndarray, "candidates bytes"]
    boxes: Int64[np.ndarray, "candidates 4"]
    areas: Int64[np.ndarray, "candidates"]
    predicted_iou: Float64[np.ndarray, "candidates"]
    stability: Float64[np.ndarray, "candidates"]
    source: Int64[np.ndarray, "candidates 2"]

    def __len__(self) -> int:
        return len(self.areas)

    def rows(self, chosen: Int[np.ndarray, "_"] | Bool[np.ndarray, "candidates"]) -> "MaskSet":
        """Some of the masks, by their numbers or by a yes or no for each."""
        return MaskSet(self.height, self.width, **{name: getattr(self, name)[chosen] for name in _arrays()})

    def mask(self, row: int) -> Bool[np.ndarray, "h w"]:
        """One mask, unpacked."""
        flat = np.unpackbits(self.bits[row], count=self.height * self.width)
        return flat.reshape(self.height, self.width).astype(bool)

    def with_masks(self, masks: Bool[np.ndarray, "candidates h w"]) -> "MaskSet":
        """Others in their place, with what was said of these."""
        found = _measured(torch.from_numpy(masks))
        return MaskSet(
            masks.shape[1],
            masks.shape[2],
            **found,
            predicted_iou=self.predicted_iou,
            stability=self.stability,
            source=self.source,
        )


def mask_set(
    mask_logits: Float[Tensor, "candidates h w"],
    *,
    predicted_iou: Float[Tensor, "candidates"],
    source: Int64[np.ndarray, "candidates 2"],
    offset: float,
) -> MaskSet:
    """What lies above logit 0, packed; `offset` is that of the stability score."""
    return MaskSet(
        mask_logits.shape[1],
        mask_logits.shape[2],
        **_measured(mask_logits > 0),
        predicted_iou=predicted_iou.double().cpu().numpy(),
        stability=stability_scores(mask_logits, offset).double().cpu().numpy(),
        source=source,
    )


def _measured(masks: Bool[Tensor, "candidates h w"]) -> dict[str, np.ndarray]:
    flat = masks.flatten(1).cpu().numpy()
    return {
        "bits": np.packbits(flat, axis=1),
        "boxes": mask_boxes(masks).cpu().numpy(),
        "areas": flat.sum(axis=1, dtype=np.int64),
    }


def _arrays() -> list[str]:
    """The names of what a set has one row a mask of."""
    return [field.name for field in fields(MaskSet) if field.name not in ("height", "width")]


def joined(sets: Sequence[MaskSet]) -> MaskSet:
    """The masks of several sets of one size (at least one set), in order."""
    values = {name: np.concatenate([getattr(part, name) for part in sets]) for name in _arrays()}
    return MaskSet(sets[0].height, sets[0].width, **values)


def stability_scores(mask_logits: Float[Tensor, "candidates h w"], offset: float) -> Float[Tensor, "candidates"]:
    """IoU of what lies above logit `offset` and what lies above minus `offset` (Kirillov et al. 2023, appendix B).

    The one contains the other, so that it is the quotient of their areas; 0 where both are empty.
    """
    inner = (mask_logits > offset).flatten(1).sum(1)
    outer = (mask_logits > -offset).flatten(1).sum(1)
    return inner / outer.clamp(min=1)


def without_duplicates(
    masks: MaskSet, *, threshold: float, overlap: Overlap, first: Float64[np.ndarray, "candidates"] | None = None
) -> Int64[np.ndarray, "_"]:
    """Non-maximum suppression: the numbers of the masks to keep, the best first.

    The best mask stays, all whose IoU with it exceeds `threshold` go, and so on with what is left. Best is the highest
    value of `first`, where it is given, then the highest predicted IoU, then stability; among equals area and place
    decide, so that the order of the masks does not count.
    """
    keys = [masks.boxes[:, 1], masks.boxes[:, 0], masks.areas, -masks.stability, -masks.predicted_iou]
    order = np.lexsort([*keys, -first] if first is not None else keys)
    kept = []
    while len(order):
        best, order = int(order[0]), order[1:]
        kept.append(best)
        iou = box_iou(masks, best, order) if overlap == "box" else mask_iou(masks, best, order)
        order = order[iou <= threshold]
    return np.array(kept, dtype=np.int64)


def box_iou(masks: MaskSet, one: int, others: Int[np.ndarray, "_"]) -> Float64[np.ndarray, "_"]:
    """IoU of one mask's box with those of others."""
    sides = masks.boxes[:, 2:] - masks.boxes[:, :2]
    areas = sides.prod(axis=1)
    shared = _shared_box(masks, one, others)
    return shared / np.maximum(areas[one] + areas[others] - shared, 1)


def mask_iou(masks: MaskSet, one: int, others: Int[np.ndarray, "_"]) -> Float64[np.ndarray, "_"]:
    """IoU of one mask with others; of those whose boxes meet the rows of its own box are compared, some at a time."""
    out = np.zeros(len(others))
    meet = np.flatnonzero(_shared_box(masks, one, others))
    # Whole bytes: those that its first and last row share with their neighbours have no other bits of this mask.
    first, last = masks.boxes[one, 1] * masks.width // 8, -(-masks.boxes[one, 3] * masks.width // 8)
    own = masks.bits[one, first:last]
    at_a_time = max(1, _COMPARED_BYTES // max(len(own), 1))
    for start in range(0, len(meet), at_a_time):
        some = meet[start : start + at_a_time]
        common = np.bitwise_count(masks.bits[others[some], first:last] & own)
        shared = common.sum(axis=1, dtype=np.int64)
        out[some] = shared / np.maximum(masks.areas[one] + masks.areas[others[some]] - shared, 1)
    return out


def _shared_box(masks: MaskSet, one: int, others: Int[np.ndarray, "_"]) -> Int64[np.ndarray, "_"]:
    boxes, box = masks.boxes[others], masks.boxes[one]
    sides = np.minimum(boxes[:, 2:], box[2:]) - np.maximum(boxes[:, :2], box[:2])
    return np.maximum(sides, 0).prod(axis=1)
