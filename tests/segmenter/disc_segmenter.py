"""A segmenter whose answers are known: it sees discs, painted each in a colour of its own, in a black picture.

Logits fall by `slope` a pixel from the rim outwards, so that areas above any logit have closed forms. The predicted IoU
is what the colour's red channel says, over 255.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from sanerf.segmenter.protocol import ImageFeatures, MaskHypotheses, ViewPrompts


@dataclass(frozen=True)
class Disc:
    x: float
    y: float
    radius: float
    belief: float = 0.95
    slope: float = 100.0


NOWHERE = Disc(-1000.0, -1000.0, 1.0, belief=0.0)


def disc_logits(disc: Disc, height: int, width: int) -> torch.Tensor:
    y, x = torch.meshgrid(torch.arange(height) + 0.5, torch.arange(width) + 0.5, indexing="ij")
    return disc.slope * (disc.radius - ((x - disc.x) ** 2 + (y - disc.y) ** 2).sqrt())


def disc_mask(disc: Disc, height: int, width: int) -> torch.Tensor:
    return disc_logits(disc, height, width) > 0


class DiscSegmenter:
    """A click in discs answers with all of them, a click elsewhere with a mask that it does not believe in.

    What it encodes is the picture's own position in the whole one: pixel (y, x) holds its coordinates in channels 0 and
    1, in tens and units being no concern, so that windows are known. Discs whose radius is below `least_share` of the
    window's longer side are too small for it to see.
    """

    name = "discs"
    fingerprint = "discs-1"

    def __init__(self, discs: Sequence[Disc], least_share: float = 0.0):
        self.discs, self.least_share = list(discs), least_share
        self.most_prompts = 0

    def encode(self, image: torch.Tensor) -> ImageFeatures:
        return ImageFeatures({"corner": image[0, 0, :2].float()}, image.shape[0], image.shape[1])

    def decode(self, features: ImageFeatures, prompts: Sequence[ViewPrompts]) -> list[MaskHypotheses]:
        self.most_prompts = max(self.most_prompts, len(prompts))
        x0, y0 = features.maps["corner"].tolist()
        least = self.least_share * max(features.height, features.width)
        answers = []
        for prompt in prompts:
            x, y = prompt.points[0].tolist()
            moved = [Disc(d.x - x0, d.y - y0, d.radius, d.belief, d.slope) for d in self.discs if d.radius >= least]
            hit = [d for d in moved if (d.x - x) ** 2 + (d.y - y) ** 2 < d.radius**2] or [NOWHERE]
            logits = torch.stack([disc_logits(d, features.height, features.width) for d in hit])
            answers.append(MaskHypotheses(logits, torch.tensor([d.belief for d in hit])))
        return answers


def positions(height: int, width: int) -> torch.Tensor:
    """A picture whose first two channels are each pixel's x and y."""
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    return torch.stack([x, y, torch.zeros_like(x)], dim=2).to(torch.uint8)
