"""Prompts between pictures and space: clicks to 3D points and 3D points to clicks (paper, section 3.2, Eq. 6).

Whether a point is seen in a view is decided against the view's rendered depth, relative to that depth: the authors'
code takes 0.05 scene units, which means another thing in every scene.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from sanerf.errors import UserError
from sanerf.geometry.cameras import Camera, camera_rays, inside_image, project
from sanerf.shapes import Bool, Float

LEAST_ACCUMULATION = 0.5
"""A ray that gathers less ends on empty space."""
_AGREEMENT = 0.05
"""Neighbouring pixels whose `depth_z` differs by no more than this fraction are of one surface."""


class ProjectedPoints(NamedTuple):
    """3D points in one view: pixels (x, y), meaningful where `visible`."""

    xy: Float[Tensor, "points 2"]
    visible: Bool[Tensor, "points"]


def project_prompts(
    camera: Camera,
    p_world: Float[Tensor, "points 3"],
    rendered_depth_z: Float[Tensor, "h w"],
    relative_tolerance: float,
) -> ProjectedPoints:
    """Project points to a view and say which are seen: in front, on the picture and not behind what is rendered there.

    A point is behind if its `depth_z` exceeds the rendered depth by more than the fraction `relative_tolerance`. The
    rendered depth is the largest of the 3 x 3 pixels about the point, so that a point on the far side of an edge, or
    just behind a thin structure that covers part of the neighbourhood, is not lost to a pixel's error. An infinite
    depth hides nothing; zero or NaN, nothing rendered, shows nothing.
    """
    assert rendered_depth_z.shape == (camera.height, camera.width), (rendered_depth_z.shape, camera)
    xy, depth_z = project(camera, p_world)
    on_picture = inside_image(camera, xy) & (depth_z > 0)
    column, row = _pixels(camera, torch.where(on_picture[:, None], xy, torch.zeros_like(xy)))
    known_depth_z = torch.nan_to_num(rendered_depth_z, nan=0.0, posinf=torch.inf)
    local_depth_z = F.max_pool2d(known_depth_z[None, None], kernel_size=3, stride=1, padding=1)[0, 0, row, column]
    unoccluded = (local_depth_z > 0) & (depth_z <= local_depth_z * (1 + relative_tolerance))
    return ProjectedPoints(xy, on_picture & unoccluded)


def lift_points(
    xy: Float[Tensor, "points 2"],
    depth_z: Float[Tensor, "h w"],
    camera: Camera,
    *,
    accumulation: Float[Tensor, "h w"],
    view: str,
) -> Float[Tensor, "points 3"]:
    """The surface points in the world under pixels `xy` of a view (Eq. 6).

    `depth_z` and `accumulation` are rendered by `camera`. The depth is the clicked pixel's own where at least two of
    its eight neighbours lie within 5 % of it, as on a surface or along a wire; otherwise, as in the blend of two
    surfaces at an edge, the median of the 3 x 3 pixels. Raises UserError where a click is off the picture or on empty
    space, accumulation below 0.5; `view` names the view in that message.
    """
    assert depth_z.shape == accumulation.shape == (camera.height, camera.width), (depth_z.shape, accumulation.shape)
    outside = ~inside_image(camera, xy)
    if bool(outside.any()):
        raise UserError(f"the click at {_show(xy[outside][0])} is outside of {view}")
    column, row = _pixels(camera, xy)
    empty = ~(accumulation[row, column] >= LEAST_ACCUMULATION)
    if bool(empty.any()):
        raise UserError(f"the click at {_show(xy[empty][0])} in {view} is on empty space")
    solid = torch.where(accumulation >= LEAST_ACCUMULATION, depth_z, torch.full_like(depth_z, torch.nan))
    padded = F.pad(solid, (1, 1, 1, 1), value=torch.nan)
    patches = torch.stack([padded[row + dy, column + dx] for dy in range(3) for dx in range(3)], dim=1)
    own = depth_z[row, column]
    # The pixel itself is among the nine, so that three agree where two neighbours do; NaN agrees with nothing.
    agreeing = ((patches - own[:, None]).abs() <= _AGREEMENT * own[:, None]).sum(dim=1)
    clicked_depth_z = torch.where(agreeing >= 3, own, patches.nanmedian(dim=1).values)
    rays = camera_rays(camera, xy)
    distance = clicked_depth_z.to(xy.dtype) / rays.z_per_distance
    return rays.at(distance)


def _pixels(camera: Camera, xy: Float[Tensor, "points 2"]) -> tuple[Tensor, Tensor]:
    """Column and row of the pixels that hold points on the picture."""
    # Rounding of float32 may reach the border itself.
    return xy[:, 0].long().clamp(0, camera.width - 1), xy[:, 1].long().clamp(0, camera.height - 1)


def _show(xy: Float[Tensor, "2"]) -> str:
    return f"({float(xy[0]):.1f}, {float(xy[1]):.1f})"
