"""ISRF: strokes' features matched in space, then a region grown from what surely matches (Goel et al., Interactive
Segmentation of Radiance Fields, 2023).

K-means makes a few features of those under the strokes. Where a cell's feature is near to one of the object's, and
nearer than to any of the strokes outside, it is the object's with high confidence. From there the region grows by a
bilateral filter: a cell next to it joins where neighbours that are near to it in features and in space are of it.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from sanerf.evaluation.baselines.solid_cells import SolidCells
from sanerf.shapes import Bool, Float, Int64

FeaturesAt = Callable[[Tensor], Tensor]
"""Features (points features) at world points (points 3)."""


@dataclass(frozen=True)
class ISRFConfig:
    """ISRF's settings; what of them is the paper's and what is ours says docs/baselines.md. Distances of features are
    in units of their standard deviation over the solid cells."""

    side: int = 512
    """cells along an axis of the contracted cube at most"""
    rays_per_cell: float = 4.0
    """rays whose weight a cell has in the mean; where there would be fewer, cells are larger"""
    stroke_radius: float = 2.0
    """cells about a prompt's point that its stroke covers"""
    clusters: int = 5
    """K-means clusters of each kind of stroke"""
    seed_distance: float = 0.7
    """a cell of high confidence is nearer than this to a cluster of the object"""
    feature_sigma: float = 0.45
    """of the bilateral filter, over features"""
    space_sigma: float = 1.0
    """the same over cells"""
    least_share: float = 0.3
    """of the bilateral filter's weight in the region, above which a cell joins it: on a surface at most three of eight
    neighbours are of a region with a straight border"""
    rounds: int = 200
    """of growing at most"""


@dataclass(frozen=True)
class FeatureCells:
    """Solid cells with their features, brought to mean zero and a standard deviation of one in all."""

    cells: SolidCells
    features: Float[Tensor, "cells features"]

    @staticmethod
    def of(cells: SolidCells, features_at: FeaturesAt) -> "FeatureCells":
        """With features asked where the cells' samples lie."""
        with torch.no_grad():
            found = torch.cat([features_at(part) for part in cells.p_world.split(1 << 16)])
        centred = found - found.mean(dim=0)
        return FeatureCells(cells, centred / centred.square().sum(dim=1).mean().sqrt().clamp(min=1e-12))


def kmeans(features: Float[Tensor, "points features"], clusters: int, rounds: int = 100) -> Float[Tensor, "_ features"]:
    """Lloyd's algorithm from features that are far from each other; as many centres as there are different features, if
    those are fewer."""
    chosen = [int((features - features.mean(dim=0)).square().sum(dim=1).argmin())]
    distance = (features - features[chosen[0]]).square().sum(dim=1)
    while len(chosen) < clusters and float(distance.max()) > 0:
        chosen.append(int(distance.argmax()))
        distance = torch.minimum(distance, (features - features[chosen[-1]]).square().sum(dim=1))
    centres = features[chosen]
    owner = torch.cdist(features, centres).argmin(dim=1)
    for _ in range(rounds):
        present = owner.unique()
        centres = torch.stack([features[owner == k].mean(dim=0) for k in present])
        nearest = torch.cdist(features, centres).argmin(dim=1)
        if torch.equal(present[nearest], owner):
            break
        owner = nearest
    return centres


def stroke_cells(cells: SolidCells, p_contracted: Float[Tensor, "points 3"], radius: float) -> Bool[Tensor, "cells"]:
    """The cells whose middles lie within `radius` cells of some points; of a point without any, the nearest cell."""
    middles = (cells.index.float() + 0.5) * cells.width - 2
    out = torch.zeros(len(cells), dtype=torch.bool, device=middles.device)
    for point in p_contracted:
        distance = (middles - point).norm(dim=1) / cells.width
        out |= distance <= max(radius, float(distance.min()))
    return out


def match_features(
    features: Float[Tensor, "cells features"], inside: Float[Tensor, "_ features"], outside: Float[Tensor, "_ features"]
) -> tuple[Float[Tensor, "cells"], Float[Tensor, "cells"]]:
    """Each cell's distance to the nearest centre of the strokes inside, and to that of those outside: infinite where
    there are none."""
    near = torch.cdist(features, inside).amin(dim=1)
    return near, torch.cdist(features, outside).amin(dim=1) if len(outside) else torch.full_like(near, torch.inf)


def connected_to(
    cells: SolidCells, allowed: Bool[Tensor, "cells"], start: Bool[Tensor, "cells"]
) -> Bool[Tensor, "cells"]:
    """The allowed cells that a chain of allowed cells, each touching the next, joins to the start, and the start."""
    region, frontier = start.clone(), start.nonzero()[:, 0]
    while len(frontier):
        around = _members(cells, frontier)
        frontier = around[allowed[around] & ~region[around]]
        region[frontier] = True
    return region


def grow_region(
    of: FeatureCells, seed: Bool[Tensor, "cells"], forbidden: Bool[Tensor, "cells"], config: ISRFConfig
) -> Bool[Tensor, "cells"]:
    """The region that grows from a seed, round by round, until none joins; `forbidden` cells never do.

    A cell v that touches the region joins where sum_u m_u g_f(u, v) g_s(u, v) > least_share sum_u g_f g_s over the
    solid cells u about it, v left out, with m one in the region and g_f, g_s Gaussians of distances in features and in
    space.
    """
    region = seed & ~forbidden
    frontier = region.nonzero()[:, 0]
    for _ in range(config.rounds):
        candidates = _members(of.cells, frontier)
        candidates = candidates[~region[candidates] & ~forbidden[candidates]]
        share = bilateral_share(of, region, candidates, config)
        frontier = candidates[share > config.least_share]
        if not len(frontier):
            break
        region[frontier] = True
    return region


def bilateral_share(
    of: FeatureCells, region: Bool[Tensor, "cells"], asked: Int64[Tensor, "points"], config: ISRFConfig
) -> Float[Tensor, "points"]:
    """The bilateral filter of a region at some cells, from 0 to 1."""
    around, space = of.cells.neighbours(asked)
    present = (around >= 0) & (space > 0)
    other = around.clamp(min=0)
    apart = (of.features[other] - of.features[asked][:, None]).square().sum(dim=-1)
    weight = torch.exp(-apart / (2 * config.feature_sigma**2) - space.square() / (2 * config.space_sigma**2)) * present
    # Weights in float32 may all be zero where every neighbour is of quite another kind: such a cell joins nothing.
    return (weight * region[other]).sum(dim=1) / weight.sum(dim=1).clamp(min=1e-30)


def _members(cells: SolidCells, of: Int64[Tensor, "points"]) -> Int64[Tensor, "_"]:
    """The solid cells about some cells, each once."""
    around, _ = cells.neighbours(of)
    return around[around >= 0].unique()


def segment_cells(
    of: FeatureCells,
    strokes: list[tuple[Bool[Tensor, "cells"], Bool[Tensor, "cells"]]],
    config: ISRFConfig,
) -> list[Bool[Tensor, "cells"]]:
    """The cells of each object, given those under its strokes inside and outside of it. Where several objects claim a
    cell it goes to the one whose strokes' features are the nearest."""
    regions, distances = [], []
    for inside, outside in strokes:
        negative = kmeans(of.features[outside], config.clusters) if bool(outside.any()) else of.features[:0]
        near, far = match_features(of.features, kmeans(of.features[inside], config.clusters), negative)
        surely = (near < config.seed_distance) & (near < far)
        seed = connected_to(of.cells, surely, inside & ~outside)
        regions.append(grow_region(of, seed, outside, config))
        distances.append(near)
    claimed = torch.stack([torch.where(r, d, torch.inf) for r, d in zip(regions, distances, strict=True)])
    owner = claimed.argmin(dim=0)
    return [region & (owner == index) for index, region in enumerate(regions)]
