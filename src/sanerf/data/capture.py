"""What a reader of one file format returns: photographs and cameras in the file's own frame, before normalisation.

`load.py` makes the `Scene` of it. Here too are the checks that all readers share: a pose must be rigid, a camera must
fit its picture.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sanerf.data.images import picture_header, pictures_in
from sanerf.data.scene import View
from sanerf.errors import UserError
from sanerf.geometry.cameras import Camera, camera_rays, resized
from sanerf.shapes import Float64

# Files keep few digits, and some tools write single precision; a pose further than this from rigid is a mistake.
_RIGID_TOLERANCE = 1e-2

Room = tuple[tuple[float, float, float], tuple[float, float, float]]
"""The least and the greatest corner of an axis-aligned box, x y z."""


@dataclass(frozen=True)
class Capture:
    """Photographs with cameras in the scene file's own frame.

    `train` and `test` are view names where the files say which are which, else None. `close_bound` is the distance,
    in file units, before which nothing was seen (LLFF), else None. `has_alpha`: see `Scene`. `z_is_up`: the file's
    frame already stands upright about its origin (Blender) and only needs scaling. `room` is the box that holds the
    scene where the files say so (3D-FRONT): its least and its greatest corner in file units, z up.
    """

    root: Path
    layout: str
    views: tuple[View, ...]
    train: tuple[str, ...] | None = None
    test: tuple[str, ...] | None = None
    close_bound: float | None = None
    has_alpha: bool = False
    z_is_up: bool = False
    room: Room | None = None
    warnings: tuple[str, ...] = ()


def rigid_pose(target_from_cam: np.ndarray, whose: str) -> Float64[Tensor, "4 4"]:
    """The 4x4 rigid pose of a 3x4 or 4x4 matrix, its rotation made exactly orthonormal.

    `whose` names the view in messages. Raises UserError where the matrix is not finite, is scaled or sheared by more
    than a hundredth, or mirrors.
    """
    if target_from_cam.shape not in ((3, 4), (4, 4)):
        raise UserError(f"the pose of {whose} is a matrix of shape {target_from_cam.shape}; expected 4x4 or 3x4")
    if not np.isfinite(target_from_cam).all():
        raise UserError(f"the pose of {whose} has entries that are not finite numbers; take the view out of the file")
    axes = target_from_cam[:3, :3].astype(np.float64)
    if np.abs(axes.T @ axes - np.eye(3)).max() > _RIGID_TOLERANCE:
        lengths = ", ".join(f"{length:.3g}" for length in np.linalg.norm(axes, axis=0))
        raise UserError(
            f"the pose of {whose} is not rigid: its camera axes have lengths {lengths} and must be perpendicular and "
            "of length 1"
        )
    if np.linalg.det(axes) < 0:
        raise UserError(f"the pose of {whose} mirrors the camera (left-handed axes); expected a rotation")
    left, _, right = np.linalg.svd(axes)
    rigid = np.eye(4)
    rigid[:3, :3] = left @ right
    rigid[:3, 3] = target_from_cam[:3, 3]
    return torch.from_numpy(rigid)


def room_box(listed: Any, source: Path) -> Room | None:
    """The box of the two corners that a file lists, None where it lists none. UserError where they are no box."""
    if listed is None:
        return None
    try:
        (x0, y0, z0), (x1, y1, z1) = ((float(value) for value in corner) for corner in listed)
    except (TypeError, ValueError) as error:
        raise UserError(
            f"room_bbox in {source} is {listed!r}; expected its least and greatest corner, x y z"
        ) from error
    if not (x0 < x1 and y0 < y1 and z0 < z1 and np.isfinite([x0, y0, z0, x1, y1, z1]).all()):
        raise UserError(f"room_bbox in {source} is {listed!r}, an empty box; its least corner must come first")
    return (x0, y0, z0), (x1, y1, z1)


def fitted_to_picture(camera: Camera, path: Path) -> Camera:
    """The camera of a calibration made at one size, in pixels of the picture file at `path`.

    A picture stored sideways with an EXIF orientation counts as turned upright only where the calibration's size says
    so; otherwise EXIF is ignored, as COLMAP does. Raises UserError where the two sizes differ in shape.
    """
    header = picture_header(path)
    for width, height in header.possible_sizes:
        # Allow each side its rounding by one pixel: |w' h - h' w| <= h + w when w' = s w +- 1 and h' = s h +- 1.
        if abs(width * camera.height - height * camera.width) <= camera.width + camera.height:
            return resized(camera, width, height)
    raise UserError(
        f"the picture {path} is {header.width}x{header.height} but its calibration is for "
        f"{camera.width}x{camera.height}, another shape; the picture was cropped or turned after calibration"
    )


def sorted_views(views: Sequence[View], source: Path) -> tuple[View, ...]:
    """The views in order of name. Raises UserError where a name comes twice."""
    ordered = sorted(views, key=lambda view: view.name)
    for before, after in pairwise(ordered):
        if before.name == after.name:
            raise UserError(f"{source} lists the picture {after.name} twice; keep one of the two poses")
    return tuple(ordered)


def picture_folder(root: Path) -> tuple[Path, list[Path]]:
    """color/ or else images/, and its pictures in order of name. Raises UserError where neither has one."""
    for folder in (root / "color", root / "images"):
        if pictures := pictures_in(folder):
            return folder, pictures
    raise UserError(f"{root} has camera poses but no pictures; expected them in color/ or images/")


def trailing_number(stem: str) -> int | None:
    """The number at the end of a file's stem, by which some data sets tell their files apart."""
    digits = re.search(r"\d+$", stem)
    return int(digits.group()) if digits else None


def left_out(names: Sequence[str], among: str, reason: str) -> tuple[str, ...]:
    """A sentence with the first three of the pictures that a reader passes over, none where it passes over none.

    `among` goes on after their number ("of 7 pictures"); `reason` says why.
    """
    if not names:
        return ()
    examples = ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
    return (f"{len(names)} {among} left out, {reason}: {examples}",)


def wide_angle_warnings(views: Sequence[View]) -> tuple[str, ...]:
    """A sentence where pictures show what lies 90 degrees or more off the optical axis: no click counts there."""
    wide, known = [], {}
    for view in views:
        camera = view.camera
        if camera.intrinsics not in known:
            x, y = float(camera.width), float(camera.height)
            corners = torch.tensor([[0, 0], [x, 0], [0, y], [x, y]], dtype=torch.float64)
            known[camera.intrinsics] = float(camera_rays(camera, corners).z_per_distance.min()) <= 0
        wide += [view.name] * known[camera.intrinsics]
    if not wide:
        return ()
    return (f"{len(wide)} of {len(views)} pictures show more than 180 degrees from corner to corner ({wide[0]}, for "
            "one); prompts are not projected to what lies beyond 90 degrees off the axis",)  # fmt: skip
