"""Messy Rooms of Contrastive Lift: Kubric's `metadata.json` beside `color/`.

`metadata.json` has, under "camera", one position and one quaternion (w, x, y, z) a picture: world_from_cam with camera
axes of OpenGL, in Kubric's world with z up; and K for a picture of 1 x 1, in these same axes, so that its entries have
signs: fx = |K[0][0]| w, fy = |K[1][1]| h, cx = |K[0][2]| w, cy = |K[1][2]| h. The first pixel's centre is (0.5, 0.5).

The pictures are color/STEM.png (SANeRF-HQ keeps them in images/). Which camera belongs to which picture is only said by
their order: the pictures sorted by number. Where some were removed since, a picture's own number is its camera's index.
The last fifth, in that order, is held out, as Contrastive Lift does. Alpha is not read as the scene's coverage.
instance/STEM.npy are identities as pixel values, read by `sanerf masks` (docs/layouts.md).

Sources: github.com/yashbhalgat/Contrastive-Lift, dataset/many_object_scenes.py; Kubric
(github.com/google-research/kubric, kubric/core/cameras.py); SANeRF-HQ, nerf/provider.py (data type "others").
"""

from pathlib import Path
from typing import Any

import numpy as np

from sanerf.data.capture import Capture, picture_folder, rigid_pose, sorted_views, trailing_number
from sanerf.data.images import picture_header
from sanerf.data.scene import View
from sanerf.data.transforms_json import CV_FROM_GL
from sanerf.errors import UserError
from sanerf.files import read_json
from sanerf.geometry.cameras import Camera

TRAIN_SHARE = 0.8


def is_messy_rooms(root: Path) -> bool:
    """Whether the folder has a metadata.json that lists positions of a camera. Others write such files, too."""
    try:
        camera = read_json(root / "metadata.json").get("camera")
    except UserError:
        return False
    return isinstance(camera, dict) and "positions" in camera


def read_messy_rooms(root: Path) -> Capture:
    """The capture of `root/metadata.json`."""
    source = root / "metadata.json"
    positions, quaternions, calibration = _read_cameras(read_json(source)["camera"], source)
    folder, pictures = picture_folder(root)
    pictures.sort(key=lambda path: (trailing_number(path.stem) or 0, path.name))
    views = []
    for path, index in zip(pictures, _camera_of_each_picture(pictures, len(positions), source), strict=True):
        pose = np.eye(4)
        pose[:3, :3] = rotation_of(quaternions[index])
        pose[:3, 3] = positions[index]
        header = picture_header(path)
        width, height = header.width, header.height
        camera = Camera(
            width,
            height,
            float(calibration[0, 0] * width),
            float(calibration[1, 1] * height),
            float(calibration[0, 2] * width),
            float(calibration[1, 2] * height),
            rigid_pose(pose @ CV_FROM_GL, f"{path.name} in {source}"),
        )
        views.append(View(path.name, path, camera))
    first_test = int(len(views) * TRAIN_SHARE)
    names = tuple(view.name for view in views)
    return Capture(
        root=root,
        layout="messy rooms",
        views=sorted_views(views, folder),
        train=names[:first_test],
        test=names[first_test:],
    )


def rotation_of(quaternion: np.ndarray) -> np.ndarray:
    """The 3x3 rotation of a quaternion (w, x, y, z) of any length but zero."""
    w, x, y, z = quaternion / np.linalg.norm(quaternion)
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
    )


def _read_cameras(camera: dict[str, Any], source: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Positions (n, 3), quaternions (n, 4) and the unsigned calibration of a picture of 1 x 1 (3, 3)."""
    try:
        positions, quaternions, calibration = (
            np.array(camera[key], dtype=np.float64) for key in ("positions", "quaternions", "K")
        )
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(f"{source} needs positions, quaternions and K of the camera, all numbers: {error!r}") from error
    count = positions.size // 3
    if positions.shape != (count, 3) or quaternions.shape != (count, 4) or calibration.shape != (3, 3) or not count:
        raise UserError(
            f"{source} has positions {positions.shape}, quaternions {quaternions.shape} and K {calibration.shape}; "
            "expected (n, 3), (n, 4) and (3, 3)"
        )
    if not (np.isfinite(calibration).all() and min(abs(calibration[0, 0]), abs(calibration[1, 1])) > 0):
        raise UserError(f"K in {source} has no focal lengths; expected them in K[0][0] and K[1][1]")
    if not (np.isfinite(quaternions).all() and (np.linalg.norm(quaternions, axis=1) > 0).all()):
        raise UserError(f"{source} has quaternions that are no rotations; each needs four finite numbers, not all zero")
    return positions, quaternions, np.abs(calibration)


def _camera_of_each_picture(pictures: list[Path], cameras: int, source: Path) -> list[int]:
    """Index by order or, where the counts differ, by the number in the picture's name."""
    if len(pictures) == cameras:
        return list(range(cameras))
    numbers = [trailing_number(path.stem) for path in pictures]
    known = [number for number in numbers if number is not None and number < cameras]
    if len(known) < len(pictures) or len(set(known)) < len(known):
        raise UserError(
            f"{source} has {cameras} cameras but {pictures[0].parent} has {len(pictures)} pictures, so which belongs "
            "to which cannot be told; put the missing files back or remove the extra ones"
        )
    return known
