"""Scenes whose training and held-out parts are files of the transforms.json kind each, as Blender's and 3D-FRONT's."""

from collections.abc import Sequence
from pathlib import Path

from sanerf.data.capture import wide_angle_warnings
from sanerf.data.scene import View
from sanerf.data.transforms_json import Frame, frame_camera, frame_mask, present_frames, read_frames, relative_name
from sanerf.files import read_json


def read_parts(root: Path, sources: Sequence[Path]) -> tuple[list[list[View]], tuple[str, ...]]:
    """The views of each file, named by their paths in `root`, and sentences about missing and very wide pictures."""
    parts: list[list[View]] = []
    warnings: tuple[str, ...] = ()
    for source in sources:
        frames, missing = present_frames(read_frames(read_json(source), source), source)
        parts.append([_view(frame, root, source) for frame in frames])
        warnings += missing
    return parts, (*warnings, *wide_angle_warnings([view for part in parts for view in part]))


def part_names(views: Sequence[View]) -> tuple[str, ...]:
    """The names of a part's views."""
    return tuple(view.name for view in views)


def _view(frame: Frame, root: Path, source: Path) -> View:
    assert frame.image_path is not None, frame.listed_path
    camera, mask = frame_camera(frame, source), frame_mask(frame, source)
    return View(relative_name(frame, root), frame.image_path, camera, mask)
