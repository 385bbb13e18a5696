"""The rays that the object field is trained on: laid out once, their samples and weights computed once and kept.

The density is frozen (section 3.3.1), so nothing about a ray changes while the object field learns. Only samples whose
compositing weight matters are kept, about four a ray, packed one after the other.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from sanerf.aggregate.sample_cache import PackedSamples, SampleCache, samples_key
from sanerf.aggregate.view_masks import ViewMask, ViewMasks
from sanerf.geometry.cameras import Camera, Rays, camera_rays
from sanerf.progress import OnPart
from sanerf.render.images import CHUNK, Renderer
from sanerf.render.renderer import KeptSamples, RaySamples, median_distance
from sanerf.shapes import Bool, Float, Int64

SOLID = 0.1
"""Samples of less compositing weight are fog, or what is seen through an edge."""


@dataclass(frozen=True)
class PixelLattice:
    """The pixels of a view that have rays: every `stride`-th from `first_column` and `first_row`, row-major.

    `first_ray` is the bank's index of the first. The offsets differ from view to view, so that together the views see
    the object finer than one lattice is.
    """

    first_ray: int
    rows: int
    columns: int
    first_row: int
    first_column: int
    stride: int

    @property
    def rays(self) -> slice:
        return slice(self.first_ray, self.first_ray + self.rows * self.columns)

    def xy(self) -> Float[Tensor, "rays 2"]:
        """Centres of the lattice's pixels, (x, y)."""
        y, x = torch.meshgrid(torch.arange(self.rows), torch.arange(self.columns), indexing="ij")
        first = torch.tensor([self.first_column + 0.5, self.first_row + 0.5])
        return torch.stack([x, y], dim=-1).reshape(-1, 2) * self.stride + first

    def pick(self, picture: Float[Tensor, "h w"] | Bool[Tensor, "h w"]) -> Tensor:
        """A picture's values at the lattice's pixels, (rows columns)."""
        return picture[self.first_row :: self.stride, self.first_column :: self.stride]


@dataclass(frozen=True)
class RayBank:
    """Rays with their kept samples; ray r's are `first_sample[r]` to `first_sample[r + 1]`.

    `possible[r, l]` is whether the pixel of ray r may be identity l, background first. `distance` is the median of
    `RenderOutput`. `lattices` has the rays of each view, by view index. `trust` is how much each ray counts, None where
    all count alike.
    """

    p_world: Float[Tensor, "samples 3"]
    weights: Float[Tensor, "samples"]
    first_sample: Int64[Tensor, "rays_and_one"]
    accumulation: Float[Tensor, "rays"]
    distance: Float[Tensor, "rays"]
    possible: Bool[Tensor, "rays objects"]
    lattices: dict[int, PixelLattice]
    trust: Float[Tensor, "rays"] | None = None

    def __len__(self) -> int:
        return self.possible.shape[0]

    def gather(self, rays: Int64[Tensor, "batch"]) -> KeptSamples:
        """The samples of some rays, packed anew."""
        counts = self.first_sample[rays + 1] - self.first_sample[rays]
        ray_index = torch.repeat_interleave(torch.arange(len(rays), device=rays.device), counts)
        starts = self.first_sample[rays] - F.pad(counts.cumsum(0)[:-1], (1, 0))
        index = starts[ray_index] + torch.arange(len(ray_index), device=rays.device)
        return KeptSamples(self.p_world[index], self.weights[index], ray_index, len(rays))

    def pixels_of(
        self, rays: Int64[Tensor, "batch"]
    ) -> tuple[Int64[Tensor, "batch"], Int64[Tensor, "batch"], Int64[Tensor, "batch"]]:
        """View, column and row of the pixels that some rays go through."""
        lattices = list(self.lattices.values())
        firsts = torch.tensor([of.first_ray for of in lattices], device=rays.device)
        which = torch.searchsorted(firsts, rays, right=True) - 1
        facts = [(view, of.columns, of.first_column, of.first_row, of.stride) for view, of in self.lattices.items()]
        view, columns, first_column, first_row, stride = torch.tensor(facts, device=rays.device)[which].unbind(1)
        inside = rays - firsts[which]
        return view, first_column + inside % columns * stride, first_row + inside // columns * stride


def possible_identities(
    masks: dict[str, ViewMask], names: Sequence[str], pick: Callable[[Tensor], Tensor]
) -> Bool[Tensor, "rays objects"]:
    """What pixels of a view may be: the object of the most probable mask above one half, else background or any object
    that has no mask in this view. `pick` takes the pixels' values from a picture (h w)."""
    found = {name: pick(masks[name].probability).reshape(-1) for name in names if name in masks}
    nothing = torch.zeros_like(next(iter(found.values())))
    best, identity = torch.stack([found.get(name, nothing) for name in names], dim=-1).max(dim=1)
    is_object = best > 0.5
    unknown = torch.tensor([True] + [name not in masks for name in names])
    possible = unknown.repeat(len(best), 1)
    possible[is_object] = F.one_hot(identity[is_object] + 1, len(names) + 1).bool()
    return possible


def with_masks(bank: RayBank, view_masks: ViewMasks, names: Sequence[str]) -> RayBank:
    """The same rays under other masks; a view without any says nothing about its pixels. A pixel in none of its view's
    masks counts as little as the least of them says (`ViewMask.left_out`), all others fully."""
    possible, trust = torch.ones(len(bank), len(names) + 1, dtype=torch.bool), torch.ones(len(bank))
    for view, lattice in bank.lattices.items():
        if view in view_masks:
            of_view = view_masks[view]
            possible[lattice.rays] = possible_identities(of_view, names, lattice.pick)
            left_out = min(mask.left_out for name, mask in of_view.items() if name in names)
            trust[lattice.rays] = torch.where(possible[lattice.rays, 0], left_out, 1.0)
    device = bank.weights.device
    return replace(bank, possible=possible.to(device), trust=trust.to(device))


def thinned_bank(bank: RayBank, most_rays: int) -> RayBank:
    """Every n-th row and column of a bank's lattices, with the smallest n that leaves at most `most_rays`."""
    step = max(1, math.ceil((len(bank) / most_rays) ** 0.5))
    if step == 1:
        return bank
    device, lattices, kept = bank.weights.device, {}, []
    first_ray = 0
    for view, of in bank.lattices.items():
        rays = torch.arange(of.rays.start, of.rays.stop, device=device).reshape(of.rows, of.columns)[::step, ::step]
        rows, columns = rays.shape
        lattices[view] = PixelLattice(first_ray, rows, columns, of.first_row, of.first_column, step * of.stride)
        kept.append(rays.reshape(-1))
        first_ray += rows * columns
    index = torch.cat(kept)
    samples = bank.gather(index)
    counts = torch.bincount(samples.ray_index, minlength=len(index))
    return RayBank(
        samples.p_world,
        samples.weights,
        F.pad(counts.cumsum(0), (1, 0)),
        bank.accumulation[index],
        bank.distance[index],
        bank.possible[index],
        lattices,
    )


def build_ray_bank(
    cameras: dict[int, Camera],
    renderer: Renderer,
    *,
    total_rays: int,
    weight_threshold: float,
    generator: torch.Generator,
    cache: SampleCache | None = None,
    on_progress: OnPart | None = None,
) -> RayBank:
    """About `total_rays` rays on lattices over all views, with what the renderer says about them, and no masks yet.

    With a `cache` the renderer is asked only where that does not know the answer; the bank is the same to the bit.
    """
    lattices = _lay_lattices(cameras, total_rays, generator)
    rays = {view: camera_rays(cameras[view], lattice.xy()) for view, lattice in lattices.items()}

    def sample() -> PackedSamples:
        return pack_samples(list(rays.values()), renderer, weight_threshold, on_progress=on_progress)

    if cache is None:
        samples = sample()
    else:
        key = samples_key(renderer, cameras.values(), lattices, weight_threshold, cache.field_settings)
        samples = cache.samples(key, sample)
    return bank_of(samples, list(rays.values()), lattices, renderer.density_grid.device)


def _lay_lattices(cameras: dict[int, Camera], total_rays: int, generator: torch.Generator) -> dict[int, PixelLattice]:
    """A lattice a view, all of one stride, each from a pixel of its own."""
    pixels = sum(camera.width * camera.height for camera in cameras.values())
    stride = max(1, round((pixels / total_rays) ** 0.5))
    lattices: dict[int, PixelLattice] = {}
    first_ray = 0
    for view, camera in cameras.items():
        row, column = torch.randint(stride, (2,), generator=generator).tolist()
        rows, columns = len(range(row, camera.height, stride)), len(range(column, camera.width, stride))
        lattices[view] = PixelLattice(first_ray, rows, columns, row, column, stride)
        first_ray += rows * columns
    return lattices


def pack_samples(
    views: Sequence[Rays],
    renderer: Renderer,
    weight_threshold: float,
    *,
    on_progress: OnPart | None = None,
    on_samples: Callable[[RaySamples, Rays], None] | None = None,
) -> PackedSamples:
    """The renderer's samples of all views' rays whose weight is above the threshold, packed.

    `on_samples` is shown all samples of a chunk of rays, and the rays, before the others are dropped.
    """
    distances, weights, counts, accumulation, ends = [], [], [], [], []
    for done, rays in enumerate(views, start=1):
        for start in range(0, len(rays), CHUNK):
            part = rays[start : start + CHUNK].to(renderer.density_grid.device)
            samples = renderer.samples(part)
            if on_samples is not None:
                on_samples(samples, part)
            kept = samples.weights > weight_threshold
            distances.append(samples.distances[kept])
            weights.append(samples.weights[kept])
            counts.append(kept.sum(dim=1).short())
            accumulation.append(samples.weights.sum(-1))
            ends.append(median_distance(samples))
        if on_progress is not None:
            on_progress(done, len(views))
    return PackedSamples(*(torch.cat(parts) for parts in (distances, weights, counts, accumulation, ends)))


def bank_of(
    samples: PackedSamples, views: Sequence[Rays], lattices: dict[int, PixelLattice], device: torch.device
) -> RayBank:
    """The bank of packed samples, whose points are found on the rays again."""
    counts = samples.counts.to(device).long()
    held = counts.split([len(rays) for rays in views])
    along = samples.distances.to(device).split([int(part.sum()) for part in held])
    points = []
    for rays, distances, of_ray in zip(views, along, held, strict=True):
        points.append(rays.to(device)[torch.repeat_interleave(of_ray)].at(distances))
    nothing = torch.ones(len(counts), 1, dtype=torch.bool, device=device)
    return RayBank(
        torch.cat(points),
        samples.weights.to(device),
        F.pad(counts.cumsum(0), (1, 0)),
        samples.accumulation.to(device),
        samples.ends.to(device),
        nothing,
        lattices,
    )
