"""A picture with many masks over it, each in a colour of its own.

The hues go round by the golden angle, so that masks of near numbers get far colours; contours part neighbours whose
colours look alike to some.
"""

import numpy as np

from sanerf.shapes import UInt8, UInt16

_GOLDEN_ANGLE = (3 - 5**0.5) / 2
_FILL = 0.45
_LIGHTNESS = (0.78, 0.62, 0.92)


def label_colours(count: int) -> UInt8[np.ndarray, "_ 3"]:
    """An sRGB colour for each number from 1 to `count`."""
    numbers = np.arange(count)
    hue = 2 * np.pi * _GOLDEN_ANGLE * numbers
    # Three cosines a third of a turn apart are the hues of a colour circle, saturated enough to be told apart.
    waves = np.cos(hue[:, None] - np.array([0, 2, 4]) * np.pi / 3)
    value = np.array(_LIGHTNESS)[numbers % len(_LIGHTNESS), None]
    return np.rint(255 * value * np.clip(0.55 + 0.6 * waves, 0, 1)).astype(np.uint8)


def overlay_labels(photo: UInt8[np.ndarray, "h w 3"], labels: UInt16[np.ndarray, "h w"]) -> UInt8[np.ndarray, "h w 3"]:
    """The photo, tinted where a pixel's label is 1 or more, with a white line around each label's pixels.

    Where there is no label it is darkened a little.
    """
    colours = np.concatenate([np.zeros((1, 3), np.uint8), label_colours(int(labels.max(initial=0)))])
    out = photo.astype(np.float32)
    inside = labels > 0
    out[inside] += _FILL * (colours[labels[inside]].astype(np.float32) - out[inside])
    out[~inside] *= 0.7
    edge = np.zeros(labels.shape, dtype=bool)
    edge[:, 1:] |= labels[:, 1:] != labels[:, :-1]
    edge[1:] |= labels[1:] != labels[:-1]
    line = max(1, round(float(np.hypot(*labels.shape)) / 700))
    thick = edge.copy()
    for shift in range(1, line):
        thick[:-shift] |= edge[shift:]
        thick[:, :-shift] |= edge[:, shift:]
    out[thick] = 255
    return np.rint(out).astype(np.uint8)
