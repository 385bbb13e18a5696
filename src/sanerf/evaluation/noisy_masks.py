"""The noisy oracle: exact masks spoilt by seeded noise, as a poor segmenter would spoil them.

Of an object's views a share has no mask and a share shows another object. The masks that are left are drawn with a
border that wanders, holes and islands. What becomes of a view depends on the seed, the object's name and the view's
stem alone, not on the order of anything.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from sanerf.shapes import Bool, Float, Int64

Fate = Literal["own", "another", "missing"]
"""What a view's mask shows: the object itself, another one, or nothing, because there is none."""


@dataclass(frozen=True)
class MaskNoise:
    """How masks are spoilt. Lengths are shares of the picture's diagonal, or of the radius of the disc that has the
    mask's area."""

    jitter: float = 0.02
    """the farthest that a place of the border may wander, of the diagonal"""
    jitter_rms: float = 0.004
    """the root mean square of both components of the wandering, before it is cut at `jitter`, of the diagonal"""
    jitter_reach: float = 0.03
    """the distance over which the wandering changes, of the diagonal"""
    holes: int = 2
    """discs cut out of a mask"""
    islands: int = 2
    """discs added outside of it"""
    least_radius: float = 0.05
    """of the smallest discs, of the mask's radius"""
    most_radius: float = 0.2
    """of the largest discs, of the mask's radius"""
    another: float = 0.2
    """share of an object's views whose mask shows another object"""
    missing: float = 0.1
    """share of its views without a mask"""


def view_generator(seed: int, name: str, stem: str) -> torch.Generator:
    """The source of all chance about an object in a view."""
    digest = hashlib.sha256(json.dumps([seed, name, stem]).encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "little") >> 1)


def view_fates(noise: MaskNoise, seed: int, name: str, stems: Sequence[str]) -> dict[str, Fate]:
    """Which of an object's views show what: the rounded shares of them exactly, by the order of a number drawn for
    each."""

    def lot(stem: str) -> float:
        return float(torch.rand(1, generator=view_generator(seed, f"fate of {name}", stem), dtype=torch.float64))

    missing, another = round(noise.missing * len(stems)), round(noise.another * len(stems))
    out: dict[str, Fate] = {}
    for place, stem in enumerate(sorted(stems, key=lambda stem: (lot(stem), stem))):
        out[stem] = "missing" if place < missing else "another" if place < missing + another else "own"
    return out


def noisy_view(
    noise: MaskNoise, truths: Mapping[str, Bool[Tensor, "h w"]], name: str, fate: Fate, generator: torch.Generator
) -> Bool[Tensor, "h w"] | None:
    """An object's mask in a view as the noise leaves it, None where it is missing.

    `truths` are the exact masks of all objects in the view. Where another object should be shown and no other is seen,
    the mask is empty.
    """
    if fate == "missing":
        return None
    shown = truths[name]
    if fate == "another":
        others = [other for other in sorted(truths) if other != name and bool(truths[other].any())]
        if not others:
            return torch.zeros_like(shown)
        shown = truths[others[int(torch.randint(len(others), (1,), generator=generator))]]
    return with_islands(with_holes(jittered(shown, noise, generator), noise, generator), noise, generator)


def jittered(mask: Bool[Tensor, "h w"], noise: MaskNoise, generator: torch.Generator) -> Bool[Tensor, "h w"]:
    """The mask with a border that wanders smoothly.

    Each pixel takes the value of one at most `noise.jitter` of the diagonal away, so that no pixel farther than that
    from the border changes. Beyond the picture the mask goes on as at its edge.
    """
    height, width = mask.shape
    diagonal = (height**2 + width**2) ** 0.5
    wander = smooth_field(height, width, noise.jitter_reach * diagonal, generator) * noise.jitter_rms * diagonal
    length = wander.norm(dim=-1, keepdim=True)
    # Cut towards zero: rounding could lengthen it.
    offset = (wander * (noise.jitter * diagonal / length.clamp(min=1e-9)).clamp(max=1)).trunc().long()
    rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    from_row = (rows + offset[..., 0]).clamp(0, height - 1)
    from_column = (columns + offset[..., 1]).clamp(0, width - 1)
    return mask[from_row, from_column]


def smooth_field(height: int, width: int, reach: float, generator: torch.Generator) -> Float[Tensor, "h w 2"]:
    """Two independent smooth random numbers a pixel, of mean 0 and variance about 1, which change over `reach` pixels.

    Normal numbers on a lattice `reach` wide, between them bicubic.
    """
    rows, columns = max(4, round(height / reach) + 2), max(4, round(width / reach) + 2)
    coarse = torch.randn(1, 2, rows, columns, generator=generator)
    fine = F.interpolate(coarse, (height, width), mode="bicubic", align_corners=True)[0].permute(1, 2, 0)
    return fine / fine.square().mean().sqrt()


def with_holes(mask: Bool[Tensor, "h w"], noise: MaskNoise, generator: torch.Generator) -> Bool[Tensor, "h w"]:
    """The mask without `noise.holes` discs about pixels of it."""
    return mask & ~_discs(mask, mask, noise.holes, noise, generator)


def with_islands(mask: Bool[Tensor, "h w"], noise: MaskNoise, generator: torch.Generator) -> Bool[Tensor, "h w"]:
    """The mask with `noise.islands` discs about pixels that are not of it; an empty mask stays empty."""
    return mask | _discs(mask, ~mask, noise.islands, noise, generator)


def _discs(
    mask: Bool[Tensor, "h w"],
    centres: Bool[Tensor, "h w"],
    count: int,
    noise: MaskNoise,
    generator: torch.Generator,
) -> Bool[Tensor, "h w"]:
    """Discs about random pixels of `centres`, their radii between the noise's shares of the mask's own radius."""
    out = torch.zeros_like(mask)
    where: Int64[Tensor, "pixels 2"] = centres.nonzero()
    if not len(where) or not bool(mask.any()):
        return out
    radius = (float(mask.sum()) / np.pi) ** 0.5
    rows, columns = torch.meshgrid(torch.arange(mask.shape[0]), torch.arange(mask.shape[1]), indexing="ij")
    for _ in range(count):
        row, column = where[int(torch.randint(len(where), (1,), generator=generator))].tolist()
        share = float(torch.rand(1, generator=generator))
        of_disc = (noise.least_radius + share * (noise.most_radius - noise.least_radius)) * radius
        out |= (rows - row) ** 2 + (columns - column) ** 2 <= of_disc**2
    return out
