"""What is measured on masks: extent, box, overlap and the distance to the edge; and their small islands and holes.

Boxes are (x0, y0, x1, y1), the edges of a mask's outermost pixels, in pixels of the mask; all 0 for an empty one.
"""

import numpy as np
import torch
from scipy.ndimage import distance_transform_edt, label
from torch import Tensor

from sanerf.shapes import Bool, Float, Float64, Int

_TOUCHING = np.ones((3, 3), dtype=bool)


def mask_extent(mask: Bool[np.ndarray, "h w"]) -> tuple[slice, slice]:
    """The rows and the columns from a mask's first to its last; none for an empty mask."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(rows):
        return slice(0, 0), slice(0, 0)
    return slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)


def mask_boxes(masks: Bool[Tensor, "candidates h w"]) -> Int[Tensor, "candidates 4"]:
    """The box of each mask."""
    height, width = masks.shape[1:]
    rows, columns = masks.any(2).long(), masks.any(1).long()
    # argmax takes the first of equals.
    first_row, first_column = rows.argmax(1), columns.argmax(1)
    last_row, last_column = height - rows.flip(1).argmax(1), width - columns.flip(1).argmax(1)
    boxes = torch.stack([first_column, first_row, last_column, last_row], dim=1)
    return boxes * rows.any(1, keepdim=True)


def mask_iou(masks: Bool[Tensor, "candidates h w"], mask: Bool[Tensor, "h w"]) -> Float[Tensor, "candidates"]:
    """IoU of each mask with another, 0 where both are empty."""
    return (masks & mask).sum((1, 2)) / (masks | mask).sum((1, 2)).clamp(min=1)


def edge_distance(mask: Bool[np.ndarray, "h w"]) -> Float64[np.ndarray, "h w"]:
    """The Euclidean distance of each pixel of a mask to the nearest that is none of it, in pixels; 0 outside.

    Beyond the picture's border nothing is of the mask, so that its outermost pixels have 1.
    """
    out = np.zeros(mask.shape)
    extent = mask_extent(mask)
    # What is not of the mask within a pixel of its extent is all that can be nearest.
    out[extent] = np.asarray(distance_transform_edt(np.pad(mask[extent], 1)))[1:-1, 1:-1]
    return out


def without_specks(mask: Bool[np.ndarray, "h w"], least: int) -> Bool[np.ndarray, "h w"]:
    """The mask with holes of less than `least` pixels filled and, after that, islands of less taken away.

    Where all islands are smaller the largest stays. Pixels of an island may touch at corners, those of a hole may not:
    else a line one pixel wide that runs aslant would be no border.
    """
    rows, columns = extent = mask_extent(mask)
    cut = mask[extent]
    if least <= 1 or not cut.size:
        return mask
    # What reaches a side of the mask's box goes on beyond it, save where that is the picture's.
    open_sides = (rows.start > 0, rows.stop < mask.shape[0], columns.start > 0, columns.stop < mask.shape[1])
    cut = cut | _holes(cut, least, open_sides)
    out = np.zeros_like(mask)
    out[extent] = cut & ~_islands(cut, least)
    return out


def _connected(mask: Bool[np.ndarray, "h w"], neighbours: np.ndarray | None = None) -> Int[np.ndarray, "h w"]:
    """The number, from 1, of the connected part that each pixel is of; by default parts touch along edges alone."""
    parts = np.empty(mask.shape, np.int32)
    label(mask, neighbours, output=parts)
    return parts


def _holes(
    mask: Bool[np.ndarray, "h w"], least: int, open_sides: tuple[bool, bool, bool, bool]
) -> Bool[np.ndarray, "h w"]:
    parts = _connected(~mask)
    small = np.bincount(parts.ravel()) < least
    for side, is_open in zip((parts[0], parts[-1], parts[:, 0], parts[:, -1]), open_sides, strict=True):
        if is_open:
            small[side] = False
    small[0] = False
    return small[parts]


def _islands(mask: Bool[np.ndarray, "h w"], least: int) -> Bool[np.ndarray, "h w"]:
    parts = _connected(mask, _TOUCHING)
    sizes = np.bincount(parts.ravel())
    sizes[0] = 0
    small = sizes < least
    small[[0, sizes.argmax()]] = False
    return small[parts]
