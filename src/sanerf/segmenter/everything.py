"""Masks of everything in a picture: a grid of clicks, and of all that the decoder answers the masks worth keeping.

As in Kirillov et al. 2023 (section 4 and appendix B): each click of a grid gives several masks; those of low predicted
IoU go, then those that change much with the threshold (stability score), those that a window cuts off, and duplicates.
Windows of the picture, each encoded on its own, find small things. Works with any `Segmenter`.

In memory are the logits of some prompts and a bit a pixel of each mask that is still in question: never all masks as
they come.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from sanerf.progress import OnPart
from sanerf.segmenter.coco_rle import mask_runs, runs_mask
from sanerf.segmenter.everything_config import EverythingConfig, preset
from sanerf.segmenter.mask_sets import joined, without_duplicates
from sanerf.segmenter.protocol import Segmenter
from sanerf.segmenter.window_masks import least_pixels, masks_in_window
from sanerf.segmenter.windows import Window, picture_windows, window_points
from sanerf.shapes import Bool, Int64, UInt8, UInt16


@dataclass(frozen=True)
class FoundMask:
    """One mask of a picture of `height` x `width` pixels, as run lengths (`coco_rle`).

    `box` (x0, y0, x1, y1) are the edges of its outermost pixels; `point` (x, y) is the click, in the picture's pixels,
    and `window` the part of the picture in which it was asked.
    """

    height: int
    width: int
    runs: Int64[np.ndarray, "runs"]
    box: tuple[int, int, int, int]
    area: int
    predicted_iou: float
    stability: float
    point: tuple[float, float]
    window: Window

    def mask(self) -> Bool[np.ndarray, "h w"]:
        """Its pixels."""
        return runs_mask(self.runs, self.height, self.width)


@torch.no_grad()
def find_everything(
    segmenter: Segmenter,
    image: UInt8[Tensor, "h w 3"],
    config: EverythingConfig | None = None,
    *,
    on_progress: OnPart | None = None,
) -> list[FoundMask]:
    """The masks of everything that the segmenter finds in an sRGB picture, the largest first.

    Without `config` that of `preset`. `on_progress` is told how many clicks of how many are answered.
    """
    config = preset(segmenter) if config is None else config
    height, width = image.shape[0], image.shape[1]
    windows = picture_windows(height, width, layers=config.layers, overlap=config.window_overlap)
    grids = [window_points(w, config.grid_side(w.layer)) for w in windows]
    before = np.cumsum([0, *map(len, grids)]).tolist()
    found, asked_in = [], []
    for i, (window, points) in enumerate(zip(windows, grids, strict=True)):

        def on_point(done: int, start: int = before[i]) -> None:
            if on_progress is not None:
                on_progress(start + done, before[-1])

        masks = masks_in_window(segmenter, image, window=window, points=points, config=config, on_point=on_point)
        if masks is not None:
            found.append(masks)
            asked_in += [i] * len(masks)
    if not found:
        return []
    masks = joined(found)
    # A smaller window sees more of the same thing.
    first = np.array([-float(windows[i].width * windows[i].height) for i in asked_in])
    kept = without_duplicates(masks, threshold=config.duplicate_iou, overlap=config.overlap, first=first)
    out = []
    for row in kept[masks.areas[kept] >= least_pixels(config, height, width)].tolist():
        window = windows[asked_in[row]]
        x, y = grids[asked_in[row]][masks.source[row, 0]].tolist()
        out.append(
            FoundMask(
                height=height,
                width=width,
                runs=mask_runs(masks.mask(row)),
                box=tuple(masks.boxes[row].tolist()),
                area=int(masks.areas[row]),
                predicted_iou=float(masks.predicted_iou[row]),
                stability=float(masks.stability[row]),
                point=(window.x0 + x, window.y0 + y),
                window=window,
            )
        )
    return sorted(out, key=lambda mask: (-mask.area, mask.box))


def label_map(masks: Sequence[FoundMask]) -> UInt16[np.ndarray, "h w"]:
    """Each pixel's number: 1 and on for the masks in their order, 0 for none; where several lie, the smallest wins.

    Of equally small ones the later. At least one mask is needed, since the masks know the picture's size.
    """
    assert 0 < len(masks) < 2**16, len(masks)
    out = np.zeros((masks[0].height, masks[0].width), dtype=np.uint16)
    for number in sorted(range(len(masks)), key=lambda i: -masks[i].area):
        out[masks[number].mask()] = number + 1
    return out
