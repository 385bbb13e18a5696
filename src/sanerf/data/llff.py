"""LLFF: `poses_bounds.npy` beside `images/` (or `images_4/`, `images_8/`, where only smaller copies are there).

A row is a 3x5 matrix and two bounds. The matrix is [world_from_cam | height, width, focal], its camera axes down, right
and backward; here they become OpenCV's. Rows are in the order of the sorted image names. The bounds are the distances
between which the view's sparse points lie, in file units.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from sanerf.data.capture import Capture, fitted_to_picture, rigid_pose, sorted_views
from sanerf.data.images import pictures_in
from sanerf.data.scene import View
from sanerf.errors import UserError
from sanerf.files import read_json
from sanerf.geometry.cameras import Camera


def read_llff(root: Path) -> Capture:
    """The capture of `root/poses_bounds.npy`."""
    source = root / "poses_bounds.npy"
    rows = _read_rows(source)
    pictures = _pictures(root)
    rows = rows[_row_of_each_picture(pictures, len(rows), root)]
    views = [View(path.name, path, _camera(row, path, source)) for path, row in zip(pictures, rows, strict=True)]
    close = float(rows[:, 15].min())
    if not 0 < close < float("inf"):
        raise UserError(f"{source} gives {close:.3g} as the nearest bound; bounds are distances and must be positive")
    return Capture(root=root, layout="llff", views=sorted_views(views, source), close_bound=close)


def _read_rows(source: Path) -> np.ndarray:
    try:
        rows = np.load(source, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        # Of a file that is none NumPy says that it could be unpickled.
        why = str(error) if "pickle" not in str(error) else "it holds no array of numbers"
        raise UserError(f"{source} is not a readable NumPy file: {why}") from error
    if rows.ndim != 2 or rows.shape[1] != 17 or len(rows) == 0 or rows.dtype.kind not in "fi":
        raise UserError(f"{source} holds an array of shape {rows.shape}; expected one row of 17 numbers a picture")
    return rows.astype(np.float64)


def _pictures(root: Path) -> list[Path]:
    """The pictures of images/, else of the images_D/ with the smallest D, in order of name."""
    reduced = [path for path in root.glob("images_*") if path.name.removeprefix("images_").isdigit()]
    reduced.sort(key=lambda path: int(path.name.removeprefix("images_")))
    for folder in (root / "images", *reduced):
        if found := pictures_in(folder):
            return found
    raise UserError(f"{root} has poses_bounds.npy but no pictures; expected them in images/ or images_4/")


def _row_of_each_picture(pictures: Sequence[Path], row_count: int, root: Path) -> list[int]:
    """Row i for picture i or, where pictures were taken out since, what views.json says."""
    if row_count == len(pictures):
        return list(range(row_count))
    listing = root / "views.json"
    if listing.is_file():
        content = read_json(listing)
        names, rows = content.get("names"), content.get("rows_of_poses_bounds")
        if isinstance(names, list) and isinstance(rows, list) and len(names) == len(rows):
            row_of = dict(zip(names, rows, strict=True))
            found = [row_of.get(path.stem) for path in pictures]
            known = [row for row in found if isinstance(row, int) and 0 <= row < row_count]
            if len(known) == len(found):
                return known
    raise UserError(
        f"{root / 'poses_bounds.npy'} has {row_count} poses but {pictures[0].parent} has {len(pictures)} pictures, so "
        "which belongs to which cannot be told; put the missing files back or remove the extra ones"
    )


def _camera(row: np.ndarray, path: Path, source: Path) -> Camera:
    matrix = row[:15].reshape(3, 5)
    down, right, back, centre = matrix[:, :4].T
    world_from_cam = rigid_pose(np.stack([right, down, -back, centre], axis=1), f"{path.name} in {source}")
    height, width, focal = matrix[:, 4]
    if not (np.isfinite(matrix[:, 4]).all() and min(height, width) >= 1 and focal > 0):
        raise UserError(
            f"{source} gives {path.name} the height, width and focal length {height:.4g}, {width:.4g}, {focal:.4g}; "
            "they must be positive"
        )
    camera = Camera(
        width=round(float(width)),
        height=round(float(height)),
        fx=float(focal),
        fy=float(focal),
        cx=float(width) / 2,
        cy=float(height) / 2,
        world_from_cam=world_from_cam,
    )
    return fitted_to_picture(camera, path)
