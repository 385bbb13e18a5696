"""`transforms.json` of instant-ngp and nerfstudio.

`transform_matrix` is world_from_cam with OpenGL camera axes (x right, y up, z backward); here they become OpenCV's.
Intrinsics stand at the top or in each frame, for a picture of w x h; where the file on disk has another size they are
scaled to it. Distortion is OpenCV's k1..k6, p1, p2, or k1..k4 of its fisheye model.

What nerfstudio adds (docs.nerf.studio, "Data conventions" and its nerfstudio data parser), as in what `ns-process-data`
makes of Polycam and Record3D captures:

- `mask_path` of a frame: a picture that is black where the photograph must not be learnt from.
- `applied_transform`, `applied_scale`: what was done to the poses to come to this file. The frame of the file is that
  of its poses, so there is nothing left to do.
- `depth_file_path`, `ply_file_path`, `orientation_override`: not read.

`room_bbox`, of 3D-FRONT as curated for NeRF, is the room's least and greatest corner in the frame of the file.
"""

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sanerf.data.capture import (
    Capture,
    fitted_to_picture,
    left_out,
    rigid_pose,
    room_box,
    sorted_views,
    wide_angle_warnings,
)
from sanerf.data.images import PICTURE_SUFFIXES, has_real_alpha, picture_header
from sanerf.data.scene import TrainingMask, View
from sanerf.errors import UserError
from sanerf.files import read_json
from sanerf.geometry.cameras import Camera
from sanerf.geometry.lenses import Lens

CV_FROM_GL = np.diag([1.0, -1.0, -1.0, 1.0])
_PINHOLE_MODELS = ("OPENCV", "PINHOLE", "SIMPLE_PINHOLE", "RADIAL", "SIMPLE_RADIAL", "FULL_OPENCV", "PERSPECTIVE")
_COEFFICIENTS = {
    "opencv": ("k1", "k2", "p1", "p2", "k3", "k4", "k5", "k6"),
    "fisheye": ("k1", "k2", "k3", "k4"),
}


@dataclass(frozen=True)
class Frame:
    """One entry of `frames`: where its picture should be (None where it is not there) and its numbers."""

    listed_path: str
    expected_path: Path
    image_path: Path | None
    numbers: Mapping[str, Any]


def read_transforms(root: Path) -> Capture:
    """The capture of `root/transforms.json`."""
    source = root / "transforms.json"
    content = read_json(source)
    frames = read_frames(content, source)
    folder = Path(os.path.commonpath([os.path.abspath(frame.expected_path.parent) for frame in frames]))
    present, warnings = present_frames(frames, source)
    names = {frame.listed_path: relative_name(frame, folder) for frame in present}
    train, test = _own_split(content, names, source)
    views = [
        View(names[frame.listed_path], frame.image_path, frame_camera(frame, source), frame_mask(frame, source))
        for frame in present
        if frame.image_path is not None
    ]
    return Capture(
        root=root,
        layout="transforms.json",
        views=sorted_views(views, source),
        train=train,
        test=test,
        has_alpha=has_real_alpha([view.image_path for view in views]),
        room=room_box(content.get("room_bbox"), source),
        warnings=(*warnings, *wide_angle_warnings(views)),
    )


def read_frames(content: Mapping[str, Any], source: Path) -> list[Frame]:
    """The frames of a parsed file, shared intrinsics filled in, pictures looked up on disk."""
    listed = content.get("frames")
    if not isinstance(listed, list) or not listed:
        raise UserError(f"{source} lists no frames; expected a list of pictures and poses under 'frames'")
    shared = {key: value for key, value in content.items() if key != "frames"}
    frames = []
    for number, entry in enumerate(listed):
        if not isinstance(entry, dict) or not isinstance(entry.get("file_path"), str):
            raise UserError(f"frame {number} of {source} has no file_path")
        if "transform_matrix" not in entry:
            raise UserError(f"frame {number} of {source} ({entry['file_path']}) has no transform_matrix")
        expected = Path(os.path.normpath(source.parent / entry["file_path"].replace("\\", "/")))
        image_path = _find_picture(expected)
        frames.append(Frame(entry["file_path"], image_path or expected, image_path, {**shared, **entry}))
    return frames


def present_frames(frames: Sequence[Frame], source: Path) -> tuple[list[Frame], tuple[str, ...]]:
    """The frames whose picture is there, and one sentence about those that are not."""
    present = [frame for frame in frames if frame.image_path is not None]
    missing = [frame.listed_path for frame in frames if frame.image_path is None]
    if not present:
        raise UserError(
            f"none of the {len(frames)} pictures listed in {source} is there; the first should be "
            f"{frames[0].expected_path}"
        )
    noun = "picture" if len(missing) == 1 else "pictures"
    among = f"{noun} of the {len(frames)} listed in {source.name}"
    return present, left_out(missing, among, "for want of the file")


def frame_camera(frame: Frame, source: Path) -> Camera:
    """The camera of one frame, in the file's world and in pixels of its picture."""
    assert frame.image_path is not None, frame.listed_path
    lens = _lens(frame, source)
    try:
        matrix = np.array(frame.numbers["transform_matrix"], dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise UserError(
            f"the transform_matrix of {frame.listed_path} in {source} is not a matrix of numbers"
        ) from error
    if matrix.shape in ((3, 4), (4, 4)):
        matrix = matrix @ CV_FROM_GL
    world_from_cam = rigid_pose(matrix, f"{frame.listed_path} in {source}")

    width, height = _number(frame, "w", source), _number(frame, "h", source)
    if width is None or height is None:
        header = picture_header(frame.image_path)
        width, height = float(header.width), float(header.height)
    fx, fy = _focal_lengths(frame, width, height, source)
    cx, cy = _number(frame, "cx", source), _number(frame, "cy", source)
    camera = Camera(
        width=round(width),
        height=round(height),
        fx=fx,
        fy=fy,
        cx=width / 2 if cx is None else cx,
        cy=height / 2 if cy is None else cy,
        world_from_cam=world_from_cam,
        lens=lens,
    )
    return fitted_to_picture(camera, frame.image_path)


def frame_mask(frame: Frame, source: Path) -> TrainingMask | None:
    """The picture of `mask_path`. Raises UserError where it is not there: what it excludes must not be learnt from."""
    listed = frame.numbers.get("mask_path")
    if listed is None:
        return None
    if not isinstance(listed, str):
        raise UserError(f"mask_path of {frame.listed_path} in {source} is {listed!r}; expected the path of a picture")
    path = Path(os.path.normpath(source.parent / listed.replace("\\", "/")))
    if not path.is_file():
        raise UserError(
            f"the mask {path} of {frame.listed_path} in {source} is not there; put it back, or take mask_path out to "
            "learn from the whole picture"
        )
    return TrainingMask(path)


def _focal_lengths(frame: Frame, width: float, height: float, source: Path) -> tuple[float, float]:
    """fl_x, fl_y, or from the full angles of view; square pixels where only one direction is given."""
    fx, fy = _number(frame, "fl_x", source), _number(frame, "fl_y", source)
    angle_x, angle_y = _number(frame, "camera_angle_x", source), _number(frame, "camera_angle_y", source)
    for given, angle in ((fx, angle_x), (fy, angle_y)):
        if given is None and angle is not None and not 0 < angle < math.pi:
            raise UserError(
                f"{source} gives {frame.listed_path} the angle of view {angle:.4g}; expected radians between 0 and pi"
            )
    if fx is None and angle_x is not None:
        fx = 0.5 * width / math.tan(0.5 * angle_x)
    if fy is None and angle_y is not None:
        fy = 0.5 * height / math.tan(0.5 * angle_y)
    fx, fy = fx if fx is not None else fy, fy if fy is not None else fx
    if fx is None or fy is None:
        raise UserError(f"{source} gives no focal length for {frame.listed_path}: expected fl_x or camera_angle_x")
    if fx <= 0 or fy <= 0:
        raise UserError(f"{source} gives {frame.listed_path} the focal length {fx:.3g}, {fy:.3g}; it must be positive")
    return fx, fy


def _number(frame: Frame, key: str, source: Path) -> float | None:
    value = frame.numbers.get(key)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise UserError(f"{key} of {frame.listed_path} in {source} is {value!r}; expected a finite number")
    if key in ("w", "h") and value < 1:
        raise UserError(f"{key} of {frame.listed_path} in {source} is {value!r}; expected a size in pixels")
    return float(value)


def _lens(frame: Frame, source: Path) -> Lens:
    """The frame's lens, its trailing zeros left out. Raises UserError for a camera model that is not known."""
    model = str(frame.numbers.get("camera_model") or "OPENCV").upper()
    if model in _PINHOLE_MODELS and not frame.numbers.get("is_fisheye"):
        family = "opencv"
    elif model == "OPENCV_FISHEYE" or model in _PINHOLE_MODELS:
        family = "fisheye"
    else:
        raise UserError(
            f"{source} uses the camera model {model}, which is not supported; undistort the pictures to OPENCV or "
            "PINHOLE first"
        )
    coefficients = [_number(frame, key, source) or 0.0 for key in _COEFFICIENTS[family]]
    while coefficients and coefficients[-1] == 0:
        coefficients.pop()
    return Lens(family, tuple(coefficients))


def _find_picture(expected: Path) -> Path | None:
    """The file itself, or with one of the known endings where the path is written without."""
    if expected.is_file():
        return expected
    candidates = (expected.with_name(expected.name + suffix) for suffix in PICTURE_SUFFIXES)
    return next((path for path in candidates if path.is_file()), None)


def relative_name(frame: Frame, folder: Path) -> str:
    """The frame's view name: its picture's path seen from `folder`, with forward slashes."""
    return Path(os.path.relpath(frame.expected_path, folder)).as_posix()


def _own_split(
    content: Mapping[str, Any], names: Mapping[str, str], source: Path
) -> tuple[tuple[str, ...] | None, tuple[str, ...] | None]:
    """nerfstudio's lists of file paths, as view names; pictures that are not there are passed over."""
    if "train_filenames" not in content:
        return None, None
    held_out = content.get("test_filenames") or content.get("val_filenames") or []
    lists = (content["train_filenames"], held_out)
    for paths in lists:
        if not isinstance(paths, list) or not all(isinstance(path, str) for path in paths):
            raise UserError(f"train_filenames and test_filenames in {source} must be lists of the frames' file paths")
    train, test = (tuple(names[path] for path in paths if path in names) for paths in lists)
    return train, test
