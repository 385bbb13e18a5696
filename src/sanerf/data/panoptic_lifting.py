"""Panoptic Lifting's layout of ScanNet, HyperSim, Replica and own captures, which is that of an exported ScanNet scene.

color/STEM.jpg                   the pictures (SANeRF-HQ keeps them in images/)
pose/STEM.txt                    world_from_cam, 4x4, camera axes are OpenCV's, in metres
intrinsic/intrinsic_color.txt    the calibration of the pictures as they are stored, 3x3 or 4x4
splits.json                      stems under "train" and "test" or "val"; without it nothing says which is which
invalid/STEM.jpg                 white where a picture must not be learnt from (undistorted fisheye pictures)
rs_instance/, instance/, ...     identities as pixel values, read by `sanerf masks` (docs/layouts.md)

The centre of the first pixel is (0, 0) in these files: rays go through whole numbers, and the optical centre of
Replica and HyperSim is written as ((w - 1) / 2, (h - 1) / 2). Half a pixel is added here. The preprocessing of own
captures copies the optical centre of a transforms.json instead, which may have the other convention: such scenes are
off by half a pixel, and nothing in the files tells them apart.

ScanNet writes poses of infinities where its tracking was lost; these views are left out with a sentence. Files of
probabilities and features (.npz, .pkl) are not read.

Sources: github.com/nihalsid/panoptic-lifting, dataset/panopli.py, util/ray.py and
dataset/preprocessing/preprocess_{scannet,hypersim,replica,itw}.py; SANeRF-HQ, nerf/provider.py (data type "others").
"""

from pathlib import Path

import numpy as np
import torch

from sanerf.data.capture import Capture, left_out, picture_folder, rigid_pose, sorted_views
from sanerf.data.images import picture_header
from sanerf.data.scene import TrainingMask, View
from sanerf.errors import UserError
from sanerf.files import read_json
from sanerf.geometry.cameras import Camera

HALF_PIXEL = 0.5
# An optical centre this far off the middle, in parts of the picture, is that of pictures of another size.
_CENTRE_TOLERANCE = 0.2


def is_panoptic_lifting(root: Path) -> bool:
    """Whether the folder has poses and a calibration as text files."""
    return (root / "pose").is_dir() and (root / "intrinsic" / "intrinsic_color.txt").is_file()


def read_panoptic_lifting(root: Path) -> Capture:
    """The capture of `root`, whose pictures lie in color/ or images/."""
    folder, pictures = picture_folder(root)
    source = root / "intrinsic" / "intrinsic_color.txt"
    calibration = _read_matrix(source, ((3, 3), (3, 4), (4, 4)))
    views, unposed, lost = [], [], []
    for path in pictures:
        pose_file = root / "pose" / f"{path.stem}.txt"
        if not pose_file.is_file():
            unposed.append(path.name)
            continue
        pose = _read_matrix(pose_file, ((4, 4), (3, 4)))
        if np.isinf(pose).any():
            lost.append(path.name)
            continue
        camera = _camera(path, calibration, rigid_pose(pose, f"{path.name} in {pose_file}"), source)
        invalid = root / "invalid" / f"{path.stem}.jpg"
        views.append(View(path.name, path, camera, TrainingMask(invalid, "white") if invalid.is_file() else None))
    if not views:
        raise UserError(f"none of the {len(pictures)} pictures in {folder} has a finite pose in {root / 'pose'}")
    train, test = _split(root / "splits.json", {view.stem: view.name for view in views})
    return Capture(
        root=root,
        layout="panoptic lifting",
        views=sorted_views(views, folder),
        train=train,
        test=test,
        warnings=(
            *left_out(unposed, f"of {len(pictures)} pictures", "for want of a file in pose/"),
            *left_out(lost, f"of {len(pictures)} pictures", "because their poses are infinite (tracking was lost)"),
        ),
    )


def _read_matrix(path: Path, shapes: tuple[tuple[int, int], ...]) -> np.ndarray:
    try:
        rows = [[float(word) for word in line.split()] for line in path.read_text().splitlines() if line.strip()]
        matrix = np.array(rows, dtype=np.float64)
    except (OSError, ValueError) as error:
        raise UserError(f"{path} is no matrix of numbers: {error}") from error
    if matrix.shape not in shapes:
        expected = " or ".join(f"{rows}x{columns}" for rows, columns in shapes)
        raise UserError(f"{path} holds an array of shape {matrix.shape}; expected a matrix of {expected} numbers")
    return matrix


def _camera(path: Path, calibration: np.ndarray, world_from_cam: torch.Tensor, source: Path) -> Camera:
    header = picture_header(path)
    (fx, cx), (fy, cy) = (calibration[i, [i, 2]].tolist() for i in (0, 1))
    off = max(abs((cx + HALF_PIXEL) / header.width - 0.5), abs((cy + HALF_PIXEL) / header.height - 0.5))
    if not (np.isfinite(calibration).all() and min(fx, fy) > 0 and off < _CENTRE_TOLERANCE):
        raise UserError(
            f"{source} gives focal lengths {fx:.4g}, {fy:.4g} and the optical centre ({cx:.4g}, {cy:.4g}), which does "
            f"not fit the picture {path} of {header.width}x{header.height}; was it resized after calibration?"
        )
    return Camera(header.width, header.height, fx, fy, cx + HALF_PIXEL, cy + HALF_PIXEL, world_from_cam)


def _split(source: Path, name_of: dict[str, str]) -> tuple[tuple[str, ...] | None, tuple[str, ...] | None]:
    """View names of the two parts; stems that are not there are passed over."""
    if not source.is_file():
        return None, None
    content = read_json(source)
    listed_train, listed_test = content.get("train"), content.get("test") or content.get("val") or []
    if not isinstance(listed_train, list) or not isinstance(listed_test, list):
        raise UserError(f"{source} has no lists of picture names under 'train' and 'test'")
    train, test = (
        tuple(name_of[str(stem)] for stem in part if str(stem) in name_of) for part in (listed_train, listed_test)
    )
    return train, test
