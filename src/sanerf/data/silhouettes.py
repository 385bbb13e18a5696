"""Scenes of a cut-out thing (pictures with alpha): how large it is, from its silhouettes, and the scene scaled to it.

Cells of the field and of the density grid are shared out evenly over space, so the thing should fill the unit ball: of
that with the cameras at unit distance the lego of NeRF's synthetic scenes fills a twentieth.
"""

import math
from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor

from sanerf.data.images import downscaled_size, load_rgba
from sanerf.data.scene import Scene, View
from sanerf.geometry.cameras import Camera, inside_image, project, resized
from sanerf.geometry.transforms import IDENTITY
from sanerf.shapes import Bool, Float

_MOST_VIEWS = 24
"""Views that are looked at, spread evenly: a second's reading where pictures have 800 x 800 pixels."""
_LONG_SIDE = 200
_COVERED = 25
"""Alpha, of 255, from which on a pixel is of the thing."""
_POINTS = 48
"""Points of the visual hull along each axis, asked twice: in all the space between the cameras, then closer."""

Silhouettes = list[tuple[Camera, Bool[Tensor, "_ _"]]]
"""Small pictures' cameras, and where the thing is in them."""


def scaled_to_silhouettes(scene: Scene) -> Scene:
    """The scene with its thing in the unit ball, and rays that begin and end where that does.

    The ball is the one about the origin that holds the visual hull: all points that no silhouette excludes. Only
    training views are looked at. The scene comes back as it is where its pictures have no alpha, or where the hull
    reaches as far as the nearest camera, be it that pictures cut the thing off or that all are taken from one side.
    """
    if not scene.has_alpha or not scene.train:
        return scene
    every = math.ceil(len(scene.train) / _MOST_VIEWS)
    looked_at = [_silhouette(scene.views[index]) for index in scene.train[::every]]
    silhouettes = [(camera, covered) for camera, covered in looked_at if covered.any()]
    distances = [float(view.camera.centre.norm()) for view in scene.views]
    radius = _hull_radius(silhouettes, _hull_radius(silhouettes, min(distances)))
    if not 0 < radius < min(distances):
        return scene
    ball_from_world = replace(IDENTITY, scale=1 / radius)
    views = tuple(replace(view, camera=ball_from_world.apply_to_camera(view.camera)) for view in scene.views)
    near, far = min(distances) / radius - 1, max(distances) / radius + 1
    world_from_file = ball_from_world.after(scene.world_from_file)
    return replace(scene, views=views, world_from_file=world_from_file, near=near, far=far)


def _silhouette(view: View) -> tuple[Camera, Bool[Tensor, "h w"]]:
    """The thing's silhouette in a view, a small pixel wider than it is."""
    camera = view.camera
    shrink = max(1.0, max(camera.width, camera.height) / _LONG_SIDE)
    small = resized(camera, *downscaled_size(camera, shrink))
    covered = load_rgba(view, (small.width, small.height))[..., 3] > _COVERED
    return small, F.max_pool2d(covered[None].float(), 3, 1, 1)[0] > 0


def _hull_radius(silhouettes: Silhouettes, reach: float) -> float:
    """The radius of the ball about the origin that holds what of the visual hull lies within `reach` of it; 0 where
    nothing does. A silhouette that touches its picture's edge says nothing of what lies beyond it."""
    axis = torch.linspace(-reach, reach, _POINTS)
    p_world: Float[Tensor, "points 3"] = torch.cartesian_prod(axis, axis, axis)
    p_world = p_world[p_world.norm(dim=-1) <= reach]
    for camera, covered in silhouettes:
        xy, depth_z = project(camera, p_world)
        xy = xy.nan_to_num()  # What lies beside a camera projects nowhere.
        column, row = xy[:, 0].clamp(0, camera.width - 1).long(), xy[:, 1].clamp(0, camera.height - 1).long()
        kept = covered[row, column] | (depth_z <= 0)
        if covered[0].any() or covered[-1].any() or covered[:, 0].any() or covered[:, -1].any():
            kept |= ~inside_image(camera, xy)
        p_world = p_world[kept]
    # A point stands for the cell about it.
    cell = 2 * reach / (_POINTS - 1)
    return float(p_world.norm(dim=-1).max()) + math.sqrt(3) / 2 * cell if len(p_world) else 0.0
