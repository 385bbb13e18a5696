"""COLMAP: a model in `sparse/0`, `sparse` or `colmap/sparse/0` beside `images/` (or `images_4/` where only those are).

pycolmap reads the model, binary or text, with or without rigs and frames; behind this module nothing knows of it. Its
cameras look along +z with x right and y down, pixels are counted from the corner, as ours. Poses are cam_from_world.
Mip-NeRF 360's and LERF's scenes come like this.
"""

import math
import os
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from sanerf.data.capture import Capture, fitted_to_picture, left_out, rigid_pose, sorted_views, wide_angle_warnings
from sanerf.data.images import has_real_alpha, is_picture
from sanerf.data.scene import View
from sanerf.errors import MissingExtraError, UserError, on_one_line
from sanerf.geometry.cameras import Camera
from sanerf.geometry.lenses import Lens

# A model has points3D beside these and, since COLMAP 3.12, rigs and frames.
_POSES, _RIGS = ("cameras", "images"), ("rigs", "frames")
_ENDINGS = (".bin", ".txt")
_LENSES = {
    "SIMPLE_PINHOLE": "opencv",
    "PINHOLE": "opencv",
    "SIMPLE_RADIAL": "opencv",
    "RADIAL": "opencv",
    "OPENCV": "opencv",
    "FULL_OPENCV": "opencv",
    "SIMPLE_FISHEYE": "fisheye",
    "FISHEYE": "fisheye",
    "SIMPLE_RADIAL_FISHEYE": "fisheye",
    "RADIAL_FISHEYE": "fisheye",
    "OPENCV_FISHEYE": "fisheye",
    "THIN_PRISM_FISHEYE": "thin_prism_fisheye",
    "RAD_TAN_THIN_PRISM_FISHEYE": "rad_tan_thin_prism_fisheye",
    "FOV": "fov",
    "SIMPLE_DIVISION": "division",
    "DIVISION": "division",
    "EUCM": "eucm",
}
"""The lens family of each of COLMAP's camera models; its coefficients are in the model's own order."""


def find_model(root: Path) -> Path | None:
    """The folder of the scene's COLMAP model, or None where there is none."""
    for folder in (root / "sparse" / "0", root / "sparse", root / "colmap" / "sparse" / "0"):
        if _ending(folder) is not None:
            return folder
    return None


def read_colmap(root: Path) -> Capture:
    """The capture of the COLMAP model that `find_model` finds.

    Raises UserError where the model cannot be read or has a camera without rays, MissingExtraError without pycolmap.
    """
    source = find_model(root)
    assert source is not None, root
    model = _read_model(source)
    posed = {model.images[image].name: model.images[image] for image in model.reg_image_ids()}
    if not posed:
        raise UserError(f"{source} has no picture with a pose; COLMAP registered none of {len(model.images)}")
    folder = _picture_folder(root, list(posed), source)
    paths = _paths_of_names(folder, list(posed))
    views = [
        View(path.relative_to(folder).as_posix(), path, _camera(posed[name], path, source))
        for name, path in paths.items()
    ]
    return Capture(
        root=root,
        layout="colmap",
        views=sorted_views(views, source),
        has_alpha=has_real_alpha([view.image_path for view in views]),
        warnings=(
            *_other_models(source),
            *_missing_pictures(posed, paths, folder),
            *_unposed_photographs(list(paths.values()), folder, root),
            *wide_angle_warnings(views),
        ),
    )


def _ending(folder: Path) -> str | None:
    """The ending of the model's files in a folder: ".bin", ".txt", or None where there is no model."""
    return next((end for end in _ENDINGS if all((folder / f"{name}{end}").is_file() for name in _POSES)), None)


def _read_model(source: Path) -> Any:
    """pycolmap's Reconstruction of the cameras and poses, without the 3D points.

    The points are not needed, some scenes come without (they have a points3D.ply), and a damaged points3D.bin keeps
    pycolmap busy for minutes; so it is given an empty one.
    """
    try:
        import pycolmap
    except ImportError as error:
        raise MissingExtraError("pycolmap", "colmap") from error
    ending = _ending(source)
    try:
        with tempfile.TemporaryDirectory() as folder:
            for name in (*_POSES, *_RIGS):
                if (file := source / f"{name}{ending}").is_file():
                    shutil.copyfile(file, Path(folder) / file.name)
            # Their number, 64 bits of zero; or no lines.
            (Path(folder) / f"points3D{ending}").write_bytes(bytes(8) if ending == ".bin" else b"")
            return pycolmap.Reconstruction(folder)
    except (ValueError, IndexError, KeyError, RuntimeError, MemoryError, OSError) as error:
        raise UserError(
            f"{source} is no COLMAP model that pycolmap {pycolmap.__version__} can read ({on_one_line(error)}); make "
            "it anew, or copy all of its files again"
        ) from error


def _picture_folder(root: Path, names: Sequence[str], source: Path) -> Path:
    """images/, else the images_D/ with the smallest D, else the scene's folder: the first with one of the pictures."""
    reduced = [path for path in root.glob("images_*") if path.name.removeprefix("images_").isdigit()]
    reduced.sort(key=lambda path: int(path.name.removeprefix("images_")))
    for folder in (root / "images", *reduced, root):
        if folder.is_dir() and _paths_of_names(folder, names):
            return folder
    raise UserError(
        f"none of the {len(names)} pictures with a pose in {source} is there; the first should be "
        f"{root / 'images' / names[0]}"
    )


def _paths_of_names(folder: Path, names: Sequence[str]) -> dict[str, Path]:
    """The files of those pictures that are there; smaller copies may have been saved with another ending."""
    there = {path.relative_to(folder).as_posix(): path for path in _pictures(folder)}
    taken = set(names)
    same_stem = {os.path.splitext(name)[0]: path for name, path in there.items() if name not in taken}
    found = {name: there.get(name) or same_stem.get(os.path.splitext(name)[0]) for name in names}
    return {name: path for name, path in found.items() if path is not None}


def _pictures(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if is_picture(path) and path.is_file())


def _camera(image: Any, path: Path, source: Path) -> Camera:
    calibration = image.camera
    model = calibration.model_name
    whose = f"{image.name} in {source}"
    if model not in _LENSES:
        raise UserError(
            f"the camera of {whose} has the model {model}, which is no lens in front of a picture that sanerf has rays "
            "for; cut panoramas into perspective pictures, undistort others with COLMAP's image_undistorter"
        )
    parameters = [float(value) for value in calibration.params]
    # The parameters' names are f or fx, fy, then cx, cy, then the lens's own.
    count = 3 if calibration.params_info.startswith("f,") else 4
    *focal, cx, cy = parameters[:count]
    if not all(math.isfinite(value) for value in parameters) or min(focal) <= 0:
        raise UserError(f"the camera of {whose} has the parameters {parameters}; expected positive focal lengths")
    cam_from_world = np.eye(4)
    cam_from_world[:3] = image.cam_from_world().matrix()
    if not np.isfinite(cam_from_world).all():
        raise UserError(f"the pose of {whose} has entries that are not finite numbers; take the view out of the file")
    camera = Camera(
        width=calibration.width,
        height=calibration.height,
        fx=focal[0],
        fy=focal[-1],
        cx=cx,
        cy=cy,
        world_from_cam=rigid_pose(np.linalg.inv(cam_from_world), whose),
        lens=Lens(_LENSES[model], _without_trailing_zeros(_LENSES[model], parameters[count:])),
    )
    return fitted_to_picture(camera, path)


def _without_trailing_zeros(family: str, coefficients: list[float]) -> tuple[float, ...]:
    while coefficients and coefficients[-1] == 0 and family not in ("fov", "eucm"):
        coefficients = coefficients[:-1]
    return tuple(coefficients)


def _other_models(source: Path) -> tuple[str, ...]:
    """A sentence where COLMAP could not join all pictures and wrote more models than the one that is read."""
    others = [path for path in source.parent.glob("*") if path.is_dir() and path.name.isdigit() and path != source]
    if source.name != "0" or not others:
        return ()
    return (f"COLMAP made {len(others) + 1} separate models of these photographs; {source.name} is read, "
            f"{', '.join(sorted(path.name for path in others))} not",)  # fmt: skip


def _missing_pictures(posed: Mapping[str, Any], paths: Mapping[str, Path], folder: Path) -> tuple[str, ...]:
    missing = sorted(name for name in posed if name not in paths)
    noun = "picture" if len(missing) == 1 else "pictures"
    among = f"{noun} of the {len(posed)} with a pose"
    return left_out(missing, among, f"for want of the file in {folder.name}")


def _unposed_photographs(used: Sequence[Path], folder: Path, root: Path) -> tuple[str, ...]:
    there = _pictures(folder)
    if folder == root:
        # The pictures of other folders of the scene, masks for one, are none of the photographs.
        folders = {path.parent for path in used}
        there = [path for path in there if path.parent in folders]
    known = set(used)
    unposed = [path.relative_to(folder).as_posix() for path in there if path not in known]
    among = f"of the {len(there)} photographs in {folder.name}"
    return left_out(unposed, among, "for want of a pose (COLMAP did not register them)")
