"""Masks next to the truth, on their photograph: what reports show of where a mask is wrong."""

import numpy as np

from sanerf.data.images import load_image
from sanerf.data.scene import View
from sanerf.evaluation.report import Figure, image_data_uri
from sanerf.render.pictures import overlay_errors
from sanerf.shapes import Bool

LONGEST_SIDE = 480
COLOURS = "right in blue, missing in yellow, too much in vermilion"


def error_figure(view: View, mask: Bool[np.ndarray, "h w"], truth: Bool[np.ndarray, "h w"], caption: str) -> Figure:
    """A mask's errors in `COLOURS` on a view's photograph, cut to the surroundings of mask and truth."""
    return _errors(view, mask, truth, mask | truth, caption)


def error_row(
    view: View, masks: dict[str, Bool[np.ndarray, "h w"]], truth: Bool[np.ndarray, "h w"], captions: dict[str, str]
) -> list[Figure]:
    """The same of several masks, all cut alike: to the surroundings of the truth and of the first mask, so that what
    another one has far away does not make them all small."""
    shown = truth | next(iter(masks.values()))
    return [_errors(view, mask, truth, shown, captions[name]) for name, mask in masks.items()]


def _errors(
    view: View,
    mask: Bool[np.ndarray, "h w"],
    truth: Bool[np.ndarray, "h w"],
    shown: Bool[np.ndarray, "h w"],
    caption: str,
) -> Figure:
    height, width = truth.shape
    picture = overlay_errors(load_image(view, (width, height)).numpy(), mask, truth)
    rows, columns = _about(shown)
    return Figure(image_data_uri(picture[rows, columns], quality=85, longest_side=LONGEST_SIDE), caption)


def _about(mask: Bool[np.ndarray, "h w"]) -> tuple[slice, slice]:
    """A mask's rows and columns, and as much again about them; all of an empty one."""
    where = np.argwhere(mask)
    if not len(where):
        return slice(None), slice(None)
    low, high = where.min(axis=0), where.max(axis=0) + 1
    margin = int((high - low).max()) // 2
    (top, left), (bottom, right) = np.maximum(low - margin, 0), high + margin
    return slice(top, bottom), slice(left, right)
