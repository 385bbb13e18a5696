"""Scenes of a cut-out thing (pictures with alpha): how large it is, from its silhouettes, and the scene scaled to it.

Cells of the field and of the density grid are shared out evenly over the unit ball, so the thing should fill it: with
cameras at unit distance the lego of NeRF's synthetic scenes fills a twentieth.
"""

import math
from dataclasses import replace

import torch

from sanerf.data.images import downscaled_size, load_rgba
from sanerf.data.scene import Scene, View
from sanerf.geometry.cameras import camera_rays, pixel_centres, resized
from sanerf.geometry.transforms import IDENTITY

_MARGIN = 1.2
"""A silhouette tells no more than how far from the origin a line of sight passes, the thing may be farther along it."""
_MOST_VIEWS = 24
"""Views that are looked at, spread evenly: a second's reading where pictures have 800 x 800 pixels."""
_LONG_SIDE = 200
_COVERED = 25
"""Alpha, of 255, from which on a pixel is of the thing."""
_CUT_OFF = 0.1
"""Share of views whose silhouettes touch the picture's edge from which on the thing is taken to go on beyond it."""


def scaled_to_silhouettes(scene: Scene) -> Scene:
    """The scene with its thing in the unit ball, and rays that begin and end where that does.

    Only training views are looked at. The scene comes back as it is where its pictures have no alpha or cut the thing
    off, or where a camera would stand within the ball or has one half of the thing behind it.
    """
    if not scene.has_alpha or not scene.train:
        return scene
    every = math.ceil(len(scene.train) / _MOST_VIEWS)
    seen = [_silhouette(scene.views[index]) for index in scene.train[::every]]
    radius = _MARGIN * max(radius for radius, _ in seen)
    distances = [float(view.camera.centre.norm()) for view in scene.views]
    if radius == 0 or radius >= min(distances) or sum(cut for _, cut in seen) > _CUT_OFF * len(seen):
        return scene
    ball_from_world = replace(IDENTITY, scale=1 / radius)
    views = tuple(replace(view, camera=ball_from_world.apply_to_camera(view.camera)) for view in scene.views)
    near, far = min(distances) / radius - 1, max(distances) / radius + 1
    world_from_file = ball_from_world.after(scene.world_from_file)
    return replace(scene, views=views, world_from_file=world_from_file, near=near, far=far)


def _silhouette(view: View) -> tuple[float, bool]:
    """How far from the world's origin the lines of sight pass that meet the thing, at most; whether the picture's edge
    cuts it off."""
    camera = view.camera
    shrink = max(1.0, max(camera.width, camera.height) / _LONG_SIDE)
    small = resized(camera, *downscaled_size(camera, shrink))
    covered = load_rgba(view, (small.width, small.height))[..., 3] > _COVERED
    if not covered.any():
        return 0.0, False
    rays = camera_rays(small, pixel_centres(small)[covered.reshape(-1)])
    passing = torch.linalg.cross(rays.origins, rays.directions).norm(dim=-1)
    cut = covered[0].any() | covered[-1].any() | covered[:, 0].any() | covered[:, -1].any()
    return float(passing.max()), bool(cut)
