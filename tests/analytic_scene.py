"""Scenes in closed form in a trained field's place, so that every rendered quantity has a known value.

The stage: a ball of radius 0.35 at the origin, red, in front of a wall at z = 0.8, blue, both nearly opaque, all inside
the unit cube. Cameras look along +z from about z = -1.2, with x right and y down.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from sanerf.fields.radiance import RadianceField
from sanerf.geometry.cameras import Camera, image_rays
from sanerf.geometry.contraction import uncontract
from sanerf.kernels.backend import kernels_for
from sanerf.kernels.reference import SamplingPlan
from sanerf.render.images import Renderer

OPAQUE = 1e4
BALL_RADIUS = 0.35
WALL_Z = 0.8
RED, BLUE = (0.9, 0.2, 0.1), (0.1, 0.3, 0.8)
# A cell of the density grid that the ball only touches counts as dense. The low cap lets rays that pass through such
# cells look on behind them, for the ball's true surface and for the wall.
PLAN = SamplingPlan(near=0.05, far=3.0, unbounded=False, bins=256, samples=96, refined=96)
BIN = (PLAN.far - PLAN.near) / PLAN.bins
"""The width of a coarse interval; where the density jumps, a fine interval is no wider."""

numba_kernels = kernels_for("numba", torch.device("cpu"))


class AnalyticField(RadianceField):
    """Density and colour as given functions of position, (points 3) to (points) and to (points 3)."""

    def __init__(self, density: Callable[[Tensor], Tensor], colour: Callable[[Tensor], Tensor]):
        nn.Module.__init__(self)
        self.density_of, self.colour_of = density, colour

    def density(self, p_world: Tensor) -> tuple[Tensor, Tensor]:
        return self.density_of(p_world), p_world

    def colour(self, geometry: Tensor, direction_code: Tensor) -> Tensor:
        return self.colour_of(geometry)


def in_ball(p_world: Tensor) -> Tensor:
    return p_world.norm(dim=-1) < BALL_RADIUS


def stage_density(p_world: Tensor) -> Tensor:
    return OPAQUE * (in_ball(p_world) | (p_world[:, 2] > WALL_Z)).float()


def stage_colour(p_world: Tensor) -> Tensor:
    return torch.where((p_world[:, 2] < 0.6)[:, None], torch.tensor(RED), torch.tensor(BLUE))


def renderer_of(
    density: Callable[[Tensor], Tensor],
    colour: Callable[[Tensor], Tensor] = torch.zeros_like,
    plan: SamplingPlan = PLAN,
    side: int = 128,
) -> Renderer:
    """A renderer of an analytic field, whose density grid holds the largest density at the corners of each cell."""
    axis = torch.linspace(-2 + 1e-4, 2 - 1e-4, side + 1)
    corners = torch.stack(torch.meshgrid(axis, axis, axis, indexing="ij"), dim=-1).reshape(-1, 3)
    values = density(uncontract(corners)).reshape(1, 1, side + 1, side + 1, side + 1)
    grid = torch.nn.functional.max_pool3d(values, 2, stride=1)[0, 0]
    return Renderer(AnalyticField(density, colour), grid.contiguous(), plan, numba_kernels)


def stage_renderer() -> Renderer:
    return renderer_of(stage_density, stage_colour)


def camera_at(x: float, y: float, z: float = -1.2, size: int = 16, towards: tuple[float, ...] | None = None) -> Camera:
    """A camera of `size` x `size` pixels and a field of view of 53 degrees, looking along +z or at a point."""
    pose = torch.eye(4, dtype=torch.float64)
    pose[:3, 3] = torch.tensor([x, y, z], dtype=torch.float64)
    if towards is not None:
        forward = torch.tensor(towards, dtype=torch.float64) - pose[:3, 3]
        forward = forward / forward.norm()
        right = torch.linalg.cross(torch.tensor([0.0, 1.0, 0.0], dtype=torch.float64), forward)
        right = right / right.norm()
        pose[:3, :3] = torch.stack([right, torch.linalg.cross(forward, right), forward], dim=1)
    return Camera(size, size, float(size), float(size), size / 2, size / 2, pose)


def cast(camera: Camera) -> tuple[Tensor, Tensor]:
    """The stage by ray casting, row-major: distances (infinite where a ray leaves the cube) and which hit the ball."""
    rays = image_rays(camera)
    origins, directions = rays.origins.double(), rays.directions.double()
    along = -(origins * directions).sum(-1)
    inside = along.square() - origins.square().sum(-1) + BALL_RADIUS**2
    ball = inside > 0
    to_ball = along - inside.clamp(min=0).sqrt()
    to_wall = (WALL_Z - origins[:, 2]) / directions[:, 2]
    on_wall = (origins + to_wall[:, None] * directions).abs()[:, :2].amax(-1) < 1
    to_wall = torch.where(on_wall, to_wall, torch.full_like(to_wall, math.inf))
    return torch.where(ball, to_ball, to_wall), ball


def picture(camera: Camera) -> tuple[Tensor, Tensor]:
    """The stage's photograph (uint8 h w 3) and its alpha (uint8 h w)."""
    distance, ball = cast(camera)
    rgb = torch.where(ball[:, None], torch.tensor(RED), torch.tensor(BLUE))
    solid = distance.isfinite()
    h, w = camera.height, camera.width
    rgb = (rgb * 255).round() * solid[:, None]
    return rgb.to(torch.uint8).reshape(h, w, 3), (solid * 255).to(torch.uint8).reshape(h, w)
