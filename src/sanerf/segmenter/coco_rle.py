"""Masks as run lengths, in COCO's way: down the columns, the first run outside of the mask (and 0 long if need be).

COCO's JSON files hold them as a list of numbers or, as here, compressed to text: from the fourth run on, each is
written as the difference to the one before the last, five bits a character from the lowest, a sixth bit that says that
more follow, 48 added to give a printable character (pycocotools' `maskApi`).
"""

from typing import Any

import numpy as np

from sanerf.errors import UserError
from sanerf.shapes import Bool, Int64


def mask_runs(mask: Bool[np.ndarray, "h w"]) -> Int64[np.ndarray, "runs"]:
    """The lengths of a mask's runs, outside and inside by turns; they add up to its pixels."""
    flat = mask.ravel(order="F")
    changes = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    ends = np.concatenate([[0] if flat.size and flat[0] else [], [0], changes, [flat.size]])
    # A mask that starts inside gets a first run of no length, by a second 0 among the ends.
    return np.diff(ends).astype(np.int64)


def runs_mask(runs: Int64[np.ndarray, "runs"], height: int, width: int) -> Bool[np.ndarray, "h w"]:
    """The mask of some runs. UserError where they are not those of a mask of this size."""
    if (runs < 0).any() or runs.sum() != height * width:
        raise UserError(
            f"the runs of a mask of {height} x {width} pixels add up to {runs.sum()}; expected {height * width}"
        )
    inside = np.arange(len(runs)) % 2 == 1
    return np.repeat(inside, runs).reshape(width, height).T


def compress(runs: Int64[np.ndarray, "runs"]) -> str:
    """The runs as COCO's text."""
    characters = []
    values = runs.tolist()
    for i, value in enumerate(values):
        rest = value - values[i - 2] if i > 2 else value
        while True:
            low = rest & 0x1F
            rest >>= 5
            # The last character's highest bit is the sign.
            if rest == (-1 if low & 0x10 else 0):
                characters.append(chr(low + 48))
                break
            characters.append(chr((low | 0x20) + 48))
    return "".join(characters)


def decompress(text: str) -> Int64[np.ndarray, "runs"]:
    """The runs of COCO's text. UserError where it is none."""
    runs: list[int] = []
    value = shift = 0
    for character in text:
        code = ord(character) - 48
        if not 0 <= code < 64:
            raise UserError(f"{character!r} is in no compressed mask of COCO's")
        value |= (code & 0x1F) << shift
        shift += 5
        if code & 0x20:
            continue
        if code & 0x10:
            value -= 1 << shift
        runs.append(value + (runs[-2] if len(runs) > 2 else 0))
        value = shift = 0
    if shift:
        raise UserError("a compressed mask of COCO's ends in the middle of a number")
    return np.array(runs, dtype=np.int64)


def segmentation(runs: Int64[np.ndarray, "runs"], height: int, width: int) -> dict[str, Any]:
    """The runs of a mask as the `segmentation` of COCO's JSON files."""
    return {"size": [height, width], "counts": compress(runs)}


def to_coco(mask: Bool[np.ndarray, "h w"]) -> dict[str, Any]:
    """A mask as such a `segmentation`."""
    return segmentation(mask_runs(mask), *mask.shape)


def from_coco(content: dict[str, Any]) -> Bool[np.ndarray, "h w"]:
    """The mask of a `segmentation`, its runs compressed or as numbers. UserError where they do not fit its size."""
    height, width = content["size"]
    counts = content["counts"]
    runs = decompress(counts) if isinstance(counts, str) else np.array(counts, dtype=np.int64)
    return runs_mask(runs, height, width)
