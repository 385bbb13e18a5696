"""Whole pictures from a trained radiance field, in chunks of rays that bound the memory."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from sanerf.fields.protocol import Field
from sanerf.geometry.cameras import Camera, Rays, image_rays
from sanerf.kernels.backend import Kernels
from sanerf.kernels.reference import SamplingPlan
from sanerf.render.renderer import RaySamples, RenderOutput, accumulate, keep_samples, render_output, sample_rays
from sanerf.shapes import Float

CHUNK = 8192
"""Rays at a time: at 32 samples about 100 MB of intermediate values (twice as many are a third slower)."""


@dataclass(frozen=True)
class Renderer:
    """A frozen radiance field with all that rendering it needs."""

    field: Field
    density_grid: Float[Tensor, "side side side"]
    plan: SamplingPlan
    kernels: Kernels

    def samples(self, rays: Rays) -> RaySamples:
        """Weighted samples of rays, deterministic, without gradients."""
        with torch.no_grad():
            return sample_rays(self.field, self.density_grid, rays, self.plan, self.kernels)


@dataclass(frozen=True)
class RenderedImage:
    """One rendered picture; `values` are composited per-sample values of other heads (object logits, features)."""

    rgb: Float[Tensor, "h w 3"]
    accumulation: Float[Tensor, "h w"]
    distance: Float[Tensor, "h w"]
    depth_z: Float[Tensor, "h w"]
    values: Float[Tensor, "h w channels"] | None = None


def render_image(
    renderer: Renderer,
    camera: Camera,
    background: tuple[float, float, float] = (0.0, 0.0, 0.0),
    head: Callable[[Tensor], Tensor] | None = None,
) -> RenderedImage:
    """Render a camera's whole picture.

    `head` maps world points (points 3) to values (points channels), composited on the same weights (Eq. 2, 7).
    """
    device = renderer.density_grid.device
    rays = image_rays(camera)
    outputs: list[RenderOutput] = []
    values: list[Tensor] = []
    with torch.no_grad():
        for start in range(0, len(rays), CHUNK):
            part = rays[start : start + CHUNK].to(device)
            samples = renderer.samples(part)
            outputs.append(render_output(renderer.field, samples, part.directions))
            if head is not None:
                kept = keep_samples(samples, threshold=1e-3)
                values.append(accumulate(head(kept.p_world), kept.weights, kept.ray_index, kept.rays))
    h, w = camera.height, camera.width
    rgb = torch.cat([out.rgb for out in outputs])
    accumulation = torch.cat([out.accumulation for out in outputs])
    distance = torch.cat([out.distance for out in outputs])
    rgb = rgb + (1 - accumulation[:, None]).clamp(min=0) * rgb.new_tensor(background)
    return RenderedImage(
        rgb.clamp(0, 1).reshape(h, w, 3),
        accumulation.reshape(h, w),
        distance.reshape(h, w),
        (distance * rays.z_per_distance.to(device)).reshape(h, w),
        torch.cat(values).reshape(h, w, -1) if head is not None else None,
    )
