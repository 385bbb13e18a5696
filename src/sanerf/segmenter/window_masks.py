"""The masks of one window of a picture: a grid of clicks asked, the credible answers kept, at the picture's resolution.

Where the segmenter has `decode_small`, answers are sorted out at the network's resolution, and the clicks whose masks
stay are decoded once more at the picture's.
"""

from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch import Tensor

from sanerf.segmenter.everything_config import EverythingConfig
from sanerf.segmenter.mask_sets import MaskSet, joined, mask_set, without_duplicates
from sanerf.segmenter.protocol import ImageFeatures, Segmenter, SmallMaskSegmenter, ViewPrompts
from sanerf.segmenter.regions import without_specks
from sanerf.segmenter.windows import Window, cut_off
from sanerf.shapes import Bool, Float64, Int64, UInt8

_LOGIT_BYTES = 256 * 2**20
"""What the logits of one call may take, at the picture's resolution."""
_LIKELY_HYPOTHESES = 3


def masks_in_window(
    segmenter: Segmenter,
    image: UInt8[Tensor, "h w 3"],
    *,
    window: Window,
    points: Float64[np.ndarray, "points 2"],
    config: EverythingConfig,
    on_point: Callable[[int], None],
) -> MaskSet | None:
    """The window's masks as masks of the whole picture, without duplicates among them; None where there are none.

    `points` are in pixels of the window. `on_point` is told how many are answered.
    """
    size = (image.shape[0], image.shape[1])
    features = segmenter.encode(image[window.y0 : window.y1, window.x0 : window.x1].contiguous())
    found = []
    for chosen in _groups(np.arange(len(points)), _a_call(segmenter, window, config)):
        found += _credible(segmenter, features, points, chosen, config)
        on_point(int(chosen[-1]) + 1)
    if not found:
        return None
    masks = joined(found)
    scale = np.array([window.width / masks.width, window.height / masks.height] * 2)
    margin = config.window_margin * max(window.width, window.height)
    masks = masks.rows(~cut_off(masks.boxes * scale, window, height=size[0], width=size[1], margin=margin))
    masks = masks.rows(without_duplicates(masks, threshold=config.duplicate_iou, overlap=config.overlap))
    least = least_pixels(config, *size)
    parts = []
    for row, mask in _at_windows_resolution(segmenter, features, points, masks, config):
        whole = np.zeros(size, dtype=bool)
        whole[window.y0 : window.y1, window.x0 : window.x1] = without_specks(mask, least)
        parts.append(masks.rows(np.array([row])).with_masks(whole[None]))
    return joined(parts) if parts else None


def least_pixels(config: EverythingConfig, height: int, width: int) -> int:
    """The fewest pixels of a mask, an island or a hole in a picture of this size."""
    return max(1, round(config.least_share * height * width))


def _a_call(segmenter: Segmenter, window: Window, config: EverythingConfig) -> int:
    """How many prompts go to the decoder together."""
    if isinstance(segmenter, SmallMaskSegmenter):
        return config.prompts_a_call
    return _a_large_call(window.height, window.width, config)


def _a_large_call(height: int, width: int, config: EverythingConfig) -> int:
    """The same where masks come at the picture's resolution."""
    return max(1, min(config.prompts_a_call, _LOGIT_BYTES // (4 * _LIKELY_HYPOTHESES * height * width)))


def _groups(numbers: Int64[np.ndarray, "points"], size: int) -> list[Int64[np.ndarray, "_"]]:
    return [numbers[start : start + size] for start in range(0, len(numbers), size)]


def _prompts(points: Float64[np.ndarray, "points 2"]) -> list[ViewPrompts]:
    inside = torch.ones(1, dtype=torch.long)
    return [ViewPrompts(torch.tensor([xy], dtype=torch.float32), inside) for xy in points.tolist()]


def _credible(
    segmenter: Segmenter,
    features: ImageFeatures,
    points: Float64[np.ndarray, "points 2"],
    chosen: Int64[np.ndarray, "_"],
    config: EverythingConfig,
) -> list[MaskSet]:
    """The answers to the clicks `chosen` whose predicted IoU and stability suffice: a set, or none."""
    decode = segmenter.decode_small if isinstance(segmenter, SmallMaskSegmenter) else segmenter.decode
    logits, beliefs, source = [], [], []
    for number, answer in zip(chosen.tolist(), decode(features, _prompts(points[chosen])), strict=True):
        enough = (answer.predicted_iou > config.predicted_iou).nonzero()[:, 0]
        logits.append(answer.mask_logits[enough])
        beliefs.append(answer.predicted_iou[enough])
        source += [(number, hypothesis) for hypothesis in enough.tolist()]
    if not source:
        return []
    masks = mask_set(
        torch.cat(logits),
        predicted_iou=torch.cat(beliefs),
        source=np.array(source, dtype=np.int64),
        offset=config.stability_offset,
    )
    return [masks.rows((masks.stability >= config.stability) & (masks.areas > 0))]


def _at_windows_resolution(
    segmenter: Segmenter,
    features: ImageFeatures,
    points: Float64[np.ndarray, "points 2"],
    masks: MaskSet,
    config: EverythingConfig,
) -> Iterator[tuple[int, Bool[np.ndarray, "h w"]]]:
    """Row and mask of each of `masks`, one after the other, in pixels of the window."""
    if not isinstance(segmenter, SmallMaskSegmenter):
        for row in range(len(masks)):
            yield row, masks.mask(row)
        return
    for chosen in _groups(np.unique(masks.source[:, 0]), _a_large_call(features.height, features.width, config)):
        for number, answer in zip(chosen, segmenter.decode(features, _prompts(points[chosen])), strict=True):
            for row in np.flatnonzero(masks.source[:, 0] == number):
                logits = answer.mask_logits[int(masks.source[row, 1])]
                yield int(row), (logits > 0).cpu().numpy()
