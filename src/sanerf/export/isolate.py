"""An object seen alone: the radiance field with everything taken away that is not the object, and an orbit round it."""

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from sanerf.export.from_run import ObjectSource
from sanerf.geometry.cameras import Camera
from sanerf.geometry.contraction import uncontract
from sanerf.render.images import Renderer, render_image
from sanerf.shapes import Bool, Float, Float64


class IsolatedField:
    """A radiance field whose density is kept where one object is the most probable identity inside a box, where masks
    have looked and allow it, and zero elsewhere: far from every mask the object field only guesses."""

    def __init__(
        self,
        source: ObjectSource,
        *,
        low: Float[Tensor, "3"],
        high: Float[Tensor, "3"],
    ):
        self._radiance, self._source = source.renderer.field, source
        self._low, self._high = low, high

    def density(
        self, p_world: Float[Tensor, "points 3"]
    ) -> tuple[Float[Tensor, "points"], Float[Tensor, "points geometry"]]:
        # Most of a ray lies outside of the box; the fields are asked inside of it only.
        in_box = ((p_world >= self._low) & (p_world <= self._high)).all(dim=1)
        inner = p_world[in_box]
        density, geometry = self._radiance.density(inner)
        of_object = self._is_object(inner).float()
        out_density = density.new_zeros(len(p_world))
        out_geometry = geometry.new_zeros(len(p_world), geometry.shape[1])
        out_density[in_box], out_geometry[in_box] = density * of_object, geometry
        return out_density, out_geometry

    def _is_object(self, p_world: Float[Tensor, "points 3"]) -> Bool[Tensor, "points"]:
        segmentation = self._source.segmentation
        found = segmentation.field(p_world).argmax(dim=1) == self._source.index
        if segmentation.evidence is not None:
            found &= segmentation.evidence.known.at(p_world) & segmentation.allows(self._source.name, p_world)
        return found

    def direction_code(self, directions: Float[Tensor, "rays 3"]) -> Float[Tensor, "rays code"]:
        return self._radiance.direction_code(directions)

    def colour(
        self, geometry: Float[Tensor, "points geometry"], direction_code: Float[Tensor, "points code"]
    ) -> Float[Tensor, "points 3"]:
        return self._radiance.colour(geometry, direction_code)


def isolated_renderer(source: ObjectSource, *, low: Float[Tensor, "3"], high: Float[Tensor, "3"]) -> Renderer:
    """A renderer of the object alone, cut to the box from `low` to `high`; its density grid knows of nothing else."""
    renderer = source.renderer
    low, high = low.to(renderer.density_grid.device), high.to(renderer.density_grid.device)
    field = IsolatedField(source, low=low, high=high)
    grid = renderer.density_grid
    side = grid.shape[0]
    occupied = (grid > 1e-2).nonzero()
    centres = uncontract((occupied.float() + 0.5) * (4 / side) - 2)
    reach = 4 / side
    near = ((centres > low - reach) & (centres < high + reach)).all(dim=1)
    isolated = torch.zeros_like(grid)
    kept = occupied[near]
    isolated[kept[:, 0], kept[:, 1], kept[:, 2]] = grid[kept[:, 0], kept[:, 1], kept[:, 2]]
    return Renderer(field, isolated, renderer.plan, renderer.kernels)


def orbit_cameras(
    centre: Float64[Tensor, "3"], radius: float, *, size: int, frames: int, elevation: float = math.radians(25)
) -> list[Camera]:
    """Square cameras of `size` pixels on a circle about `centre`, looking at it, world z up; `radius` of the object
    fills most of the picture."""
    focal = size * 1.2
    distance = radius * 2.6
    out = []
    for k in range(frames):
        angle = 2 * math.pi * k / frames
        offset = torch.tensor(
            [
                math.cos(angle) * math.cos(elevation),
                math.sin(angle) * math.cos(elevation),
                math.sin(elevation),
            ],
            dtype=torch.float64,
        )
        forward = -offset
        right = torch.linalg.cross(forward, torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64))
        right = right / right.norm()
        down = torch.linalg.cross(forward, right)
        world_from_cam = torch.eye(4, dtype=torch.float64)
        world_from_cam[:3, :3] = torch.stack([right, down, forward], dim=1)
        world_from_cam[:3, 3] = centre + distance * offset
        out.append(Camera(size, size, focal, focal, size / 2, size / 2, world_from_cam))
    return out


def render_orbit(
    source: ObjectSource, *, low: Float[Tensor, "3"], high: Float[Tensor, "3"], size: int = 256, frames: int = 24
) -> Iterator[Float[Tensor, "side side 3"]]:
    """Pictures of the object alone on light grey, once round it."""
    renderer = isolated_renderer(source, low=low, high=high)
    centre = ((low + high) / 2).double().cpu()
    radius = float((high - low).norm()) / 2
    for camera in orbit_cameras(centre, radius, size=size, frames=frames):
        yield render_image(renderer, camera, background=(0.92, 0.92, 0.92)).rgb
