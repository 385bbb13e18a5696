"""Small islands and holes of a mask."""

import numpy as np
from scipy.ndimage import label

from sanerf.shapes import Bool

_TOUCHING = np.ones((3, 3), dtype=bool)


def without_specks(mask: Bool[np.ndarray, "h w"], least: int) -> Bool[np.ndarray, "h w"]:
    """The mask with holes of less than `least` pixels filled and, after that, islands of less taken away.

    Where all islands are smaller the largest stays. Pixels of an island may touch at corners, those of a hole may not:
    else a line one pixel wide that runs aslant would be no border.
    """
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if least <= 1 or not len(rows):
        return mask
    (top, bottom), (left, right) = ((int(kept[0]), int(kept[-1]) + 1) for kept in (rows, columns))
    cut = mask[top:bottom, left:right]
    # What reaches a side of the mask's box goes on beyond it, save where that is the picture's.
    open_sides = (top > 0, bottom < mask.shape[0], left > 0, right < mask.shape[1])
    cut = cut | _holes(cut, least, open_sides)
    out = np.zeros_like(mask)
    out[top:bottom, left:right] = cut & ~_islands(cut, least)
    return out


def _holes(
    mask: Bool[np.ndarray, "h w"], least: int, open_sides: tuple[bool, bool, bool, bool]
) -> Bool[np.ndarray, "h w"]:
    parts, _ = label(~mask)
    small = np.bincount(parts.ravel()) < least
    for side, is_open in zip((parts[0], parts[-1], parts[:, 0], parts[:, -1]), open_sides, strict=True):
        if is_open:
            small[side] = False
    small[0] = False
    return small[parts]


def _islands(mask: Bool[np.ndarray, "h w"], least: int) -> Bool[np.ndarray, "h w"]:
    parts, _ = label(mask, structure=_TOUCHING)
    sizes = np.bincount(parts.ravel())
    sizes[0] = 0
    small = sizes < least
    small[[0, sizes.argmax()]] = False
    return small[parts]
