"""Pictures whose object is red, and segmenters whose every answer on them is known."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from sanerf.segmenter.protocol import ImageFeatures, MaskHypotheses, ViewPrompts

HEIGHT, WIDTH = 30, 40
OBJECT = (slice(10, 18), slice(10, 30))
"""20 columns of 8 pixels: an IoU of n twentieths where n columns are found."""


def object_mask() -> np.ndarray:
    mask = np.zeros((HEIGHT, WIDTH), bool)
    mask[OBJECT] = True
    return mask


def write_picture(folder: Path, stem: str, masks: dict[str, np.ndarray] | None = None, blue: int = 60) -> None:
    """A picture with the red object and, unless `masks` says otherwise by object, its one true mask."""
    pixels = np.full((HEIGHT, WIDTH, 3), (20, 40, blue), np.uint8)
    pixels[object_mask()] = (230, 40, blue)
    (folder / "images").mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(folder / "images" / f"{stem}.png")
    for name, mask in (masks if masks is not None else {"": object_mask()}).items():
        path = folder / "masks" / name / f"{stem}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(mask.astype(np.uint8) * 255).save(path)


Answer = Callable[[Tensor, ViewPrompts], Sequence[tuple[Tensor, float]]]
"""From the true mask and a prompt to hypotheses and the IoU predicted of each."""


class KnownSegmenter:
    """Answers with `answer`, for its own use at every second pixel; remembers its prompts and counts pictures."""

    name = "known"

    def __init__(self, answer: Answer, fingerprint: str = "known-1"):
        self._answer, self.fingerprint = answer, fingerprint
        self.prompts: list[ViewPrompts] = []
        self.encoded = 0

    def encode(self, image: Tensor) -> ImageFeatures:
        self.encoded += 1
        return ImageFeatures({"red": image[..., 0].float()}, image.shape[0], image.shape[1])

    def decode(self, features: ImageFeatures, prompts: Sequence[ViewPrompts]) -> list[MaskHypotheses]:
        self.prompts += prompts
        truth = features.maps["red"] > 127
        out = []
        for prompt in prompts:
            masks, predicted = zip(*self._answer(truth, prompt), strict=True)
            logits = torch.stack([torch.where(mask, 4.0, -4.0) for mask in masks])
            out.append(MaskHypotheses(logits, torch.tensor(predicted), logits[:, ::2, ::2]))
        return out


def perfect(truth: Tensor, prompt: ViewPrompts) -> list[tuple[Tensor, float]]:
    """The truth, and sure of it."""
    return [(truth, 1.0)]


def everything(truth: Tensor, prompt: ViewPrompts) -> list[tuple[Tensor, float]]:
    """The whole picture, whatever is asked."""
    return [(torch.ones_like(truth), 0.7)]


def late(truth: Tensor, prompt: ViewPrompts) -> list[tuple[Tensor, float]]:
    """What is not the object at the first click, the object at the second; the box finds it."""
    return [(~truth, 0.25)] if len(prompt.labels) == 1 else [(truth, 0.75)]


def column_by_column(truth: Tensor, prompt: ViewPrompts) -> list[tuple[Tensor, float]]:
    """One more column of the object with each click, all of it from the box; half as sure as it could be."""
    count = len(prompt.labels) or 20
    mask = truth.clone()
    mask[:, OBJECT[1].start + count :] = False
    return [(mask, count / 40)]


def shy(truth: Tensor, prompt: ViewPrompts) -> list[tuple[Tensor, float]]:
    """The truth among others, believed in least of those that agree with a click inside."""
    return [(truth, 0.1), (torch.zeros_like(truth), 0.9), (torch.ones_like(truth), 0.5)]
