"""Masks as text, to be kept in JSON: their bits, compressed (zlib), in base64. One of 854 x 480 takes about 2 kB."""

import base64
import zlib

import numpy as np

from sanerf.shapes import Bool


def mask_to_text(mask: Bool[np.ndarray, "h w"]) -> str:
    """The pixels in row-major order; the size is not in it."""
    return base64.b64encode(zlib.compress(np.packbits(mask).tobytes(), 9)).decode("ascii")


def mask_from_text(text: str, height: int, width: int) -> Bool[np.ndarray, "h w"]:
    """The mask of that size."""
    bits = np.frombuffer(zlib.decompress(base64.b64decode(text)), np.uint8)
    return np.unpackbits(bits, count=height * width).reshape(height, width).astype(bool)
