"""Distillation of a segmenter's features into a feature field (Eq. 2, 3), on the rays of a bank.

A feature is that of a cell, 4 to 16 pixels wide. Here a cell's feature is the mean of what all rays through it render,
not what one ray through its middle does: each place in the cell has its part in it, and what is learnt is finer than
the cells are. The bank's rays lie elsewhere in the cells in each view.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from sanerf.aggregate.ray_bank import RayBank
from sanerf.fields.feature import FeatureField, MapMoments
from sanerf.render.renderer import KeptSamples, accumulate
from sanerf.segmenter.frame import MapFrame
from sanerf.segmenter.protocol import ImageFeatures
from sanerf.shapes import Float, Int64


@dataclass(frozen=True)
class DistillationConfig:
    """How the feature field is trained."""

    steps: int = 1600
    """optimisation steps"""
    rays: int = 8192
    """about so many rays a step"""
    learning_rate: float = 1e-2
    """Adam's step size at the start"""


@dataclass(frozen=True)
class MapTargets:
    """One map of all views: the features of all cells, view after view, and in which of them each of the bank's rays
    lies."""

    features: Float[Tensor, "cells c"]
    cell: Int64[Tensor, "rays"]


@dataclass(frozen=True)
class CellBank:
    """A bank of rays sorted by the cells of the coarsest map: block b's are `order[first[b]]` to `order[first[b + 1]]`.

    A finer map's cells are not cut by blocks where the maps' sizes are multiples of each other.
    """

    rays: RayBank
    targets: dict[str, MapTargets]
    order: Int64[Tensor, "rays"]
    first: Int64[Tensor, "cells_and_one"]

    def rays_of(self, blocks: Int64[Tensor, "batch"]) -> Int64[Tensor, "rays"]:
        """All rays of some blocks."""
        counts = self.first[blocks + 1] - self.first[blocks]
        starts = self.first[blocks] - F.pad(counts.cumsum(0)[:-1], (1, 0))
        within = torch.repeat_interleave(starts, counts) + torch.arange(int(counts.sum()), device=blocks.device)
        return self.order[within]


def map_moments(encodings: Iterable[ImageFeatures], maps: Sequence[str]) -> dict[str, MapMoments]:
    """Mean, spread and padding of each map over pictures, which are looked at one after the other; padding of those
    whose map is as large as the first's."""
    sums = {name: _Sums() for name in maps}
    for features in encodings:
        for name, of in sums.items():
            of.add(features.maps[name].double())
    return {name: of.moments() for name, of in sums.items()}


class _Sums:
    """Sums over the cells of one map."""

    def __init__(self):
        self.values: Tensor | None = None
        self.same: Tensor | None = None
        self.squares, self.cells, self.pictures = 0.0, 0, 0

    def add(self, one: Float[Tensor, "c rows columns"]) -> None:
        if self.values is None or self.same is None:
            self.values, self.same = one.new_zeros(len(one)), torch.zeros_like(one)
        self.values += one.sum((1, 2))
        self.squares += float(one.square().sum())
        self.cells += one[0].numel()
        if one.shape == self.same.shape:
            self.same += one
            self.pictures += 1

    def moments(self) -> MapMoments:
        assert self.values is not None and self.same is not None
        mean = self.values / self.cells
        variance = self.squares / (self.cells * len(mean)) - float(mean.square().mean())
        return MapMoments(mean.float(), max(variance, 1e-12) ** 0.5, (self.same / self.pictures).float())


def build_cell_bank(
    rays: RayBank, features_of: Callable[[int], ImageFeatures], frames: Mapping[int, MapFrame], maps: Sequence[str]
) -> CellBank:
    """The bank's rays with the cells they lie in; features and frames by view index, for all views of the bank."""
    device = rays.weights.device
    flat: dict[str, list[Tensor]] = {name: [] for name in maps}
    cells: dict[str, list[Tensor]] = {name: [] for name in maps}
    before = dict.fromkeys(maps, 0)
    for view, lattice in rays.lattices.items():
        features, xy = features_of(view), lattice.xy()
        for name in maps:
            flat[name].append(features.maps[name].flatten(1).T.half())
            cells[name].append(before[name] + frames[view].cells(name, xy))
            before[name] += len(flat[name][-1])
    targets = {name: MapTargets(torch.cat(flat[name]).to(device), torch.cat(cells[name]).to(device)) for name in maps}
    coarsest = min(targets.values(), key=lambda of: len(of.features))
    order = coarsest.cell.argsort(stable=True)
    counts = torch.bincount(coarsest.cell, minlength=len(coarsest.features))
    return CellBank(rays, targets, order, F.pad(counts[counts > 0].cumsum(0), (1, 0)))


def ray_latents(field: FeatureField, samples: KeptSamples) -> Float[Tensor, "rays latent"]:
    """What rays see of the field's latent values: the sum of Eq. 2."""
    return accumulate(field(samples.p_world), samples.weights, samples.ray_index, samples.rays)


def cell_means(
    values: Float[Tensor, "rays channels"], cell: Int64[Tensor, "rays"]
) -> tuple[Float[Tensor, "cells channels"], Int64[Tensor, "cells"]]:
    """The mean of values over each cell that has rays, and which cells those are, in rising order."""
    found, index, counts = torch.unique(cell, return_inverse=True, return_counts=True)
    sums = values.new_zeros(len(found), values.shape[1]).index_add(0, index, values)
    return sums / counts[:, None], found


def distillation_loss(
    field: FeatureField,
    latent: Float[Tensor, "rays latent"],
    targets: Mapping[str, tuple[Float[Tensor, "_ _"], Int64[Tensor, "rays"]]],
) -> Float[Tensor, ""]:
    """Eq. 3, a mean over cells and channels where the paper prints a sum, each map in units of its spread.

    `targets` are each map's features of all cells (cells c) and the cell of each ray.
    """
    loss = latent.new_zeros(())
    for name, (features, cell) in targets.items():
        mean, found = cell_means(latent, cell)
        error = field.features(name, mean) - features[found].to(mean.dtype)
        loss = loss + (error / field.get_buffer(f"spread_{name}")).square().mean()
    return loss


def distill(
    field: FeatureField,
    bank: CellBank,
    config: DistillationConfig,
    generator: torch.Generator,
    on_step: Callable[[int, int, float], None] | None = None,
) -> None:
    """Fit `field` to the bank's features, on the radiance field's frozen weights.

    `on_step(step, steps, loss)` is called after each step. The learning rate falls as a cosine to a twentieth.
    """
    device = bank.order.device
    blocks = len(bank.first) - 1
    drawn_blocks = max(1, min(blocks, round(config.rays * blocks / len(bank.order))))
    optimizer = torch.optim.Adam(field.parameters(), lr=config.learning_rate, betas=(0.9, 0.99), eps=1e-15, fused=True)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, config.steps, eta_min=config.learning_rate / 20)
    for step in range(1, config.steps + 1):
        drawn = torch.randint(blocks, (drawn_blocks,), generator=generator).to(device).unique()
        rays = bank.rays_of(drawn)
        latent = ray_latents(field, bank.rays.gather(rays))
        loss = distillation_loss(field, latent, {n: (of.features, of.cell[rays]) for n, of in bank.targets.items()})
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        schedule.step()
        if on_step is not None:
            on_step(step, config.steps, float(loss.detach()))
