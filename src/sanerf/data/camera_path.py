"""Cameras for pictures that nobody took: a JSON file of the nerfstudio kind, without images."""

from pathlib import Path

import numpy as np

from sanerf.data.capture import rigid_pose
from sanerf.data.transforms_json import CV_FROM_GL
from sanerf.errors import UserError
from sanerf.files import read_json
from sanerf.geometry.cameras import Camera
from sanerf.geometry.transforms import Similarity


def read_camera_path(path: Path, world_from_file: Similarity) -> list[Camera]:
    """The cameras of `path`, in the world.

    Keys: w, h, fl_x, fl_y, cx, cy for all, and `frames`, each with a `transform_matrix` as in transforms.json (OpenGL
    axes, the scene file's own frame). Raises UserError where something is missing or no number that a camera can have.
    """
    content = read_json(path)
    missing = [key for key in ("w", "h", "fl_x", "fl_y", "cx", "cy", "frames") if key not in content]
    if missing:
        raise UserError(f"{path} has no {missing[0]!r}; a camera path needs w, h, fl_x, fl_y, cx, cy and frames")
    try:
        width, height = int(content["w"]), int(content["h"])
        fx, fy, cx, cy = (float(content[key]) for key in ("fl_x", "fl_y", "cx", "cy"))
        matrices = [np.array(frame["transform_matrix"], dtype=np.float64) for frame in content["frames"]]
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise UserError(f"{path} is no camera path: {error!r}") from error
    if not matrices or min(width, height) < 1 or any(matrix.shape != (4, 4) for matrix in matrices):
        raise UserError(f"{path} needs frames with 4 x 4 matrices and a size of at least one pixel")
    if not np.isfinite([fx, fy, cx, cy]).all() or min(fx, fy) <= 0:
        raise UserError(f"{path} has focal lengths and a centre of {fx}, {fy}, {cx}, {cy}; expected positive numbers")
    cameras = [
        Camera(width, height, fx, fy, cx, cy, rigid_pose(matrix @ CV_FROM_GL, f"frame {i} of {path}"))
        for i, matrix in enumerate(matrices)
    ]
    return [world_from_file.apply_to_camera(camera) for camera in cameras]
