"""Volume rendering of the radiance field (Eq. 1, 5) and of any per-sample values on its weights (Eq. 2, 7)."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from sanerf.fields.protocol import Field
from sanerf.geometry.cameras import Rays
from sanerf.kernels.backend import Kernels
from sanerf.kernels.reference import SamplingPlan
from sanerf.shapes import Float, Int64

LEAST_LIGHT = 1e-3
"""The share of a ray's light behind which the first look does not ask a trained field any more."""


@dataclass(frozen=True)
class FirstLook:
    """What the field said in training where the density grid sent the rays, without gradients."""

    edges: Float[Tensor, "rays looked_edges"]
    p_world: Float[Tensor, "rays looked 3"]
    density: Float[Tensor, "rays looked"]


@dataclass(frozen=True)
class RaySamples:
    """Where a batch of rays looks and how much each place counts.

    `weights` are T_k alpha_k of Eq. 1; the intervals between `edges` tile the ray from near to far. They were placed
    by the `first` look, which training keeps.
    """

    edges: Float[Tensor, "rays edges"]
    p_world: Float[Tensor, "rays samples 3"]
    weights: Float[Tensor, "rays samples"]
    density: Float[Tensor, "rays samples"]
    geometry: Float[Tensor, "rays samples geometry"]
    first: FirstLook | None = None

    @property
    def distances(self) -> Float[Tensor, "rays samples"]:
        """The middles of the intervals."""
        return (self.edges[:, 1:] + self.edges[:, :-1]) / 2


@dataclass(frozen=True)
class KeptSamples:
    """The samples of a batch of rays that matter, packed: sample s belongs to ray `ray_index[s]`."""

    p_world: Float[Tensor, "samples 3"]
    weights: Float[Tensor, "samples"]
    ray_index: Int64[Tensor, "samples"]
    rays: int


@dataclass(frozen=True)
class RenderOutput:
    """What a batch of rays sees.

    `rgb` has no background behind it where `accumulation` is below one. `distance` is the median along the ray: where
    half of the light that comes is gathered. (Eq. 5 prints the mean, which between two surfaces lies on neither;
    `mean_distance` is that, divided by the accumulation so that an open background does not pull it to zero.)
    """

    rgb: Float[Tensor, "rays 3"]
    accumulation: Float[Tensor, "rays"]
    distance: Float[Tensor, "rays"]
    mean_distance: Float[Tensor, "rays"]


def sample_rays(
    field: Field,
    density_grid: Float[Tensor, "side side side"],
    rays: Rays,
    plan: SamplingPlan,
    kernels: Kernels,
    generator: torch.Generator | None = None,
) -> RaySamples:
    """Place samples in two looks, evaluate the density there and weigh them.

    Jittered with `generator`, at rest without. Where no gradients are asked for, the first look ends where it is dark.
    """
    learning = torch.is_grad_enabled()
    edges = kernels.place_samples(rays.origins, rays.directions, _jitter(rays, generator), density_grid, plan)
    first = None
    with torch.no_grad():
        if learning:
            p_world, density, _ = _density_between(field, edges, rays, plan)
            first = FirstLook(edges, p_world, density)
        else:
            density = _density_until_dark(field, edges, rays, plan)
        weights = kernels.composite_weights(density, edges.diff(dim=-1))
        edges = kernels.resample(edges, weights, _jitter(rays, generator), plan)
    p_world, density, geometry = _density_between(field, edges, rays, plan)
    weights = kernels.composite_weights(density, edges.diff(dim=-1))
    return RaySamples(edges, p_world, weights, density, geometry, first)


def _jitter(rays: Rays, generator: torch.Generator | None) -> Float[Tensor, "rays"]:
    if generator is None:
        return torch.full((len(rays),), 0.5, device=rays.origins.device)
    return torch.rand(len(rays), generator=generator).to(rays.origins.device)


def _density_between(
    field: Field, edges: Float[Tensor, "rays edges"], rays: Rays, plan: SamplingPlan
) -> tuple[Float[Tensor, "rays samples 3"], Float[Tensor, "rays samples"], Float[Tensor, "rays samples geometry"]]:
    """The middles of intervals and the field's density and geometry there."""
    middles = (edges[:, 1:] + edges[:, :-1]) / 2
    p_world = rays.origins[:, None] + middles[..., None] * rays.directions[:, None]
    density, geometry = field.density(p_world.reshape(-1, 3))
    density = density.reshape(middles.shape)
    if not plan.unbounded:
        # A bounded scene is all inside the unit cube; outside there is nothing to learn.
        density = torch.where((p_world.abs() <= 1).all(-1), density, 0.0)
    return p_world, density, geometry.reshape(*middles.shape, geometry.shape[-1])


def _density_until_dark(
    field: Field, edges: Float[Tensor, "rays edges"], rays: Rays, plan: SamplingPlan
) -> Float[Tensor, "rays samples"]:
    """The field's density half by half, the farther only for rays that see so far, zero for others: a sixth of a
    view's time."""
    half = edges.shape[1] // 2
    _, near, _ = _density_between(field, edges[:, : half + 1], rays, plan)
    seeing = ((near * edges[:, : half + 1].diff(dim=-1)).sum(-1) < -math.log(LEAST_LIGHT)).nonzero()[:, 0]
    far = near.new_zeros(len(rays), edges.shape[1] - 1 - half)
    _, far[seeing], _ = _density_between(field, edges[seeing, half:], rays[seeing], plan)
    return torch.cat([near, far], dim=1)


def accumulate(
    values: Float[Tensor, "samples channels"],
    weights: Float[Tensor, "samples"],
    ray_index: Int64[Tensor, "samples"],
    rays: int,
) -> Float[Tensor, "rays channels"]:
    """Sum of weight times value along each ray, for packed samples: the sum in Eq. 1, 2, 5 and 7."""
    out = values.new_zeros(rays, values.shape[1])
    return out.index_add(0, ray_index, values * weights[:, None])


def composite_colour(
    field: Field, samples: RaySamples, directions: Float[Tensor, "rays 3"], threshold: float
) -> Float[Tensor, "rays 3"]:
    """Eq. 1, leaving out samples whose weight is at most `threshold`: the colour head sees only what shows."""
    rays, along = samples.weights.shape
    weights = samples.weights.flatten()
    shown = (weights.detach() > threshold).nonzero()[:, 0]
    ray_index = shown.div(along, rounding_mode="floor")
    # The direction is the same along a ray: coded once for it, 8 times fewer than per sample. `index_select` copies
    # whole rows, five times as fast as indexing.
    code = field.direction_code(directions).index_select(0, ray_index)
    colour = field.colour(samples.geometry.flatten(0, 1).index_select(0, shown), code)
    return accumulate(colour, weights.index_select(0, shown), ray_index, rays)


def median_distance(samples: RaySamples) -> Float[Tensor, "rays"]:
    """Where half of a ray's accumulation is reached, interpolated inside the interval; far where nothing is hit."""
    gathered = samples.weights.cumsum(-1)
    half = gathered[:, -1:] / 2
    k = torch.searchsorted(gathered, half).clamp(max=gathered.shape[1] - 1)
    before = torch.where(k > 0, gathered.gather(1, (k - 1).clamp(min=0)), torch.zeros_like(half))
    inside = ((half - before) / samples.weights.gather(1, k).clamp(min=1e-8)).clamp(0, 1)
    low, high = samples.edges.gather(1, k), samples.edges.gather(1, k + 1)
    distance = (low + inside * (high - low))[:, 0]
    return torch.where(half[:, 0] > 0, distance, samples.edges[:, -1])


def keep_samples(samples: RaySamples, threshold: float) -> KeptSamples:
    """The samples whose weight is above `threshold`, for heads that composite on frozen weights."""
    ray_index, sample_index = (samples.weights > threshold).nonzero(as_tuple=True)
    return KeptSamples(
        samples.p_world[ray_index, sample_index],
        samples.weights[ray_index, sample_index],
        ray_index,
        samples.weights.shape[0],
    )


def render_output(field: Field, samples: RaySamples, directions: Float[Tensor, "rays 3"]) -> RenderOutput:
    """Colour, accumulation and distances of weighted samples."""
    accumulation = samples.weights.sum(-1)
    mean = (samples.weights * samples.distances).sum(-1) / accumulation.clamp(min=1e-6)
    rgb = composite_colour(field, samples, directions, threshold=1e-4)
    return RenderOutput(rgb, accumulation, median_distance(samples), mean)
