"""The rays that the object field is trained on: drawn once, their samples and weights computed once and kept.

The density is frozen (section 3.3.1), so nothing about a ray changes while the object field learns. Only samples whose
compositing weight matters are kept, about four a ray, packed one after the other.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from sanerf.aggregate.view_masks import ViewMask, ViewMasks
from sanerf.geometry.cameras import Camera, Rays, camera_rays
from sanerf.render.images import Renderer
from sanerf.render.renderer import KeptSamples, keep_samples
from sanerf.shapes import Bool, Float, Int64

NEAR_SHARE = 0.75
"""Share of a view's rays drawn near the objects' masks, where the decision is made."""


@dataclass(frozen=True)
class RayBank:
    """Rays with their kept samples; ray r's are `first_sample[r]` to `first_sample[r + 1]`.

    `possible[r, l]` is whether the pixel of ray r may be identity l, background first.
    """

    p_world: Float[Tensor, "samples 3"]
    weights: Float[Tensor, "samples"]
    first_sample: Int64[Tensor, "rays_and_one"]
    accumulation: Float[Tensor, "rays"]
    possible: Bool[Tensor, "rays objects"]

    def __len__(self) -> int:
        return self.possible.shape[0]

    def gather(self, rays: Int64[Tensor, "batch"]) -> KeptSamples:
        """The samples of some rays, packed anew."""
        counts = self.first_sample[rays + 1] - self.first_sample[rays]
        ray_index = torch.repeat_interleave(torch.arange(len(rays), device=rays.device), counts)
        starts = self.first_sample[rays] - F.pad(counts.cumsum(0)[:-1], (1, 0))
        index = starts[ray_index] + torch.arange(len(ray_index), device=rays.device)
        return KeptSamples(self.p_world[index], self.weights[index], ray_index, len(rays))


def possible_identities(masks: dict[str, ViewMask], names: Sequence[str]) -> Bool[Tensor, "pixels objects"]:
    """What each pixel of a view may be, row-major: the object of the most probable mask above one half, else background
    or any object that has no mask in this view."""
    shape = next(iter(masks.values())).probability.shape
    stack = torch.stack([masks[n].probability if n in masks else torch.zeros(shape) for n in names], dim=-1)
    stack = stack.reshape(-1, len(names))
    best, identity = stack.max(dim=1)
    is_object = best > 0.5
    unknown = torch.tensor([True] + [name not in masks for name in names])
    possible = unknown.repeat(len(stack), 1)
    possible[is_object] = F.one_hot(identity[is_object] + 1, len(names) + 1).bool()
    return possible


def build_ray_bank(
    view_masks: ViewMasks,
    names: Sequence[str],
    cameras: dict[int, Camera],
    renderer: Renderer,
    *,
    total_rays: int,
    weight_threshold: float,
    generator: torch.Generator,
    on_progress: Callable[[int, int], None] | None = None,
) -> RayBank:
    """Draw `total_rays` over the views that have masks and keep what the renderer says about them."""
    each = max(1, total_rays // max(len(view_masks), 1))
    p_world, weights, counts, accumulation, possible = [], [], [], [], []
    for done, (view, masks) in enumerate(view_masks.items(), start=1):
        camera = cameras[view]
        identities = possible_identities(masks, names)
        pixels = _draw_pixels(masks, camera, each, generator)
        xy = torch.stack([pixels % camera.width, pixels // camera.width], dim=1) + 0.5
        rays = camera_rays(camera, xy)
        device = renderer.density_grid.device
        samples = renderer.samples(Rays(rays.origins.to(device), rays.directions.to(device), rays.z_per_distance))
        kept = keep_samples(samples, weight_threshold)
        p_world.append(kept.p_world)
        weights.append(kept.weights)
        counts.append(torch.bincount(kept.ray_index, minlength=kept.rays))
        accumulation.append(samples.weights.sum(-1))
        possible.append(identities[pixels].to(device))
        if on_progress is not None:
            on_progress(done, len(view_masks))
    first_sample = F.pad(torch.cat(counts).cumsum(0), (1, 0))
    return RayBank(torch.cat(p_world), torch.cat(weights), first_sample, torch.cat(accumulation), torch.cat(possible))


def _draw_pixels(
    masks: dict[str, ViewMask], camera: Camera, count: int, generator: torch.Generator
) -> Int64[Tensor, "rays"]:
    """Flat pixels without repetition: `NEAR_SHARE` of them within a twentieth of the picture's width of a mask."""
    union = torch.stack([m.probability > 0.5 for m in masks.values()]).any(0)
    reach = max(1, camera.width // 20)
    near = F.max_pool2d(union[None, None].float(), 2 * reach + 1, stride=1, padding=reach)[0, 0].reshape(-1) > 0
    inside, outside = near.nonzero()[:, 0], (~near).nonzero()[:, 0]
    take_inside = min(len(inside), int(count * NEAR_SHARE))
    take_outside = min(len(outside), count - take_inside)
    drawn = [
        inside[torch.randperm(len(inside), generator=generator)[:take_inside]],
        outside[torch.randperm(len(outside), generator=generator)[:take_outside]],
    ]
    return torch.cat(drawn)
