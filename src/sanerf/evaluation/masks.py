"""How close predicted masks are to true ones: IoU, accuracy and Boundary IoU, pooled over an object's views.

Counts are added over views before dividing (paper, section 4.2). Boundary IoU is that of Cheng et al. 2021, "Boundary
IoU: Improving Object-Centric Image Segmentation Evaluation": the IoU of the two masks' inner bands.
"""

from dataclasses import dataclass

import numpy as np
import torch
from scipy.ndimage import minimum_filter
from torch import Tensor

from sanerf.shapes import Bool

BAND_OF_DIAGONAL = 0.02


@dataclass(frozen=True)
class MaskCounts:
    """Pixel counts of predictions against truths; add those of an object's views, then read off the measures.

    An object that is in neither mask anywhere is found perfectly: its `iou` and `boundary_iou` are 1.
    """

    intersection: int = 0
    union: int = 0
    correct: int = 0
    pixels: int = 0
    boundary_intersection: int = 0
    boundary_union: int = 0

    def __add__(self, other: "MaskCounts") -> "MaskCounts":
        return MaskCounts(
            self.intersection + other.intersection,
            self.union + other.union,
            self.correct + other.correct,
            self.pixels + other.pixels,
            self.boundary_intersection + other.boundary_intersection,
            self.boundary_union + other.boundary_union,
        )

    @property
    def iou(self) -> float:
        return self.intersection / self.union if self.union else 1.0

    @property
    def acc(self) -> float:
        """Correct pixels of all pixels; nan where no pixel was compared."""
        return self.correct / self.pixels if self.pixels else float("nan")

    @property
    def boundary_iou(self) -> float:
        return self.boundary_intersection / self.boundary_union if self.boundary_union else 1.0


def count_masks(predicted: Bool[Tensor, "h w"], true: Bool[Tensor, "h w"]) -> MaskCounts:
    """The counts of one view."""
    intersection, union = _overlap(predicted, true)
    boundary_intersection, boundary_union = _overlap(inner_band(predicted), inner_band(true))
    return MaskCounts(
        intersection=intersection,
        union=union,
        correct=int((predicted == true).sum()),
        pixels=true.numel(),
        boundary_intersection=boundary_intersection,
        boundary_union=boundary_union,
    )


def inner_band(mask: Bool[Tensor, "h w"]) -> Bool[Tensor, "h w"]:
    """The mask's pixels within d pixels of what is not mask, d being 2 % of the image diagonal, at least one.

    Distances are the greater of rows and columns (d erosions by 3x3), and outside the picture nothing is mask, so that
    the picture's edge counts as boundary: both as in the authors' implementation.
    """
    height, width = mask.shape
    d = max(1, round(BAND_OF_DIAGONAL * (height**2 + width**2) ** 0.5))
    eroded = minimum_filter(mask.cpu().numpy().astype(np.uint8), size=2 * d + 1, mode="constant", cval=0)
    return mask & ~torch.from_numpy(eroded.astype(bool)).to(mask.device)


def _overlap(a: Bool[Tensor, "h w"], b: Bool[Tensor, "h w"]) -> tuple[int, int]:
    return int((a & b).sum()), int((a | b).sum())


def resized_mask(mask: Bool[Tensor, "mh mw"], height: int, width: int) -> Bool[Tensor, "h w"]:
    """A mask at another size; a pixel is inside where more than half of its surroundings are."""
    if mask.shape == (height, width):
        return mask
    grey = mask[None, None].float()
    return torch.nn.functional.interpolate(grey, (height, width), mode="bilinear", antialias=True)[0, 0] > 0.5
