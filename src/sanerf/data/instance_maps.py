"""Instance maps, one array of whole numbers a view, made into masks, one file an object and view.

What the numbers stand for is the data set's business; 0 and less is nothing. A map lies in a file of its view's stem
or, where both end in a number, of its view's number (0.hdf5 for 0000.jpg). Forms, by ending:

.png           grey of 8 or 16 bits, or a palette, whose indices count and not its colours (Panoptic Lifting, ScanNet)
.npy           h w, or h w 1 (Messy Rooms)
.hdf5, .h5     BlenderProc's `cp_instance_id_segmaps` (3D-FRONT), or else the only array in the file; needs h5py

Which numbers are which object is told by a JSON file: `{"chair": 12, "table": [3, 4]}`, or the `instances` of the
metadata of 3D-FRONT, each with `name` and `id`. What is written follows `sanerf.data.mask_files`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sanerf.data.capture import trailing_number
from sanerf.data.images import open_picture
from sanerf.data.scene import Scene
from sanerf.errors import MissingExtraError, UserError
from sanerf.files import read_json, shared_folder, write_png
from sanerf.shapes import Int64

SUFFIXES = (".png", ".npy", ".hdf5", ".h5")
BLENDERPROC_KEY = "cp_instance_id_segmaps"
WRITER = "masks --maps"
"""The name in the folder of masks, by which a later call knows it."""


@dataclass(frozen=True)
class Instance:
    """One number of a scene's maps: in how many views it is, and the view `example` (an index) where it is largest.

    `xy` is the centre of that view's pixel of it that is nearest to their mean, in pixels of the map.
    """

    value: int
    views: int
    example: int
    pixels: int
    xy: tuple[float, float]


def map_paths(folder: Path, scene: Scene) -> dict[int, Path]:
    """The map of each view that has one. Raises UserError where none has, or two have the same claim."""
    files = sorted(path for path in folder.glob("*") if path.suffix in SUFFIXES) if folder.is_dir() else []
    by_stem = {stem: [path for path in files if path.stem == stem] for stem in {path.stem for path in files}}
    by_number: dict[int, list[Path]] = {}
    for path in files:
        if (number := trailing_number(path.stem)) is not None:
            by_number.setdefault(number, []).append(path)
    out = {}
    for index, view in enumerate(scene.views):
        number = trailing_number(view.stem)
        found = by_stem.get(scene.output_stem(index)) or by_stem.get(view.stem)
        found = found or (by_number.get(number, []) if number is not None else [])
        if len(found) > 1:
            raise UserError(f"{folder} has {found[0].name} and {found[1].name} for the view {view.name}; keep one")
        if found:
            out[index] = found[0]
    if not out:
        examples = ", ".join(path.name for path in files[:3]) or "nothing of the kind"
        raise UserError(
            f"{folder} has no instance map for any of the {len(scene.views)} views; expected files like "
            f"{scene.output_stem(0)}.png, .npy or .hdf5, found {examples}"
        )
    if len(set(out.values())) < len(out):
        raise UserError(f"in {folder} one map would be that of several views of {scene.root} with the same number")
    return out


def read_map(path: Path) -> Int64[np.ndarray, "h w"]:
    """The numbers of a map file. Raises UserError where it cannot be read or holds something else."""
    if path.suffix == ".png":
        picture = open_picture(path)
        if picture.mode not in ("1", "L", "P") and not picture.mode.startswith("I"):
            raise UserError(
                f"{path} is a coloured picture ({picture.mode}); expected an instance map, grey or with a palette, "
                "whose pixel values are whole numbers"
            )
        values = np.asarray(picture)
    elif path.suffix == ".npy":
        try:
            values = np.load(path, allow_pickle=False)
        except (OSError, ValueError, EOFError) as error:
            raise UserError(f"{path} is not a readable NumPy file: {error}") from error
    else:
        values = _read_hdf5(path)
    if values.ndim == 3 and values.shape[2] == 1:
        values = values[..., 0]
    if values.ndim != 2 or values.dtype.kind not in "biu":
        raise UserError(f"{path} holds {values.dtype} of shape {values.shape}; expected h x w whole numbers")
    return values.astype(np.int64)


def list_instances(folder: Path, scene: Scene) -> list[Instance]:
    """All numbers above 0 in the maps of a scene's views, in order."""
    best: dict[int, Instance] = {}
    views: dict[int, int] = {}
    for index, path in map_paths(folder, scene).items():
        values = read_map(path)
        for value, pixels in zip(*np.unique(values[values > 0], return_counts=True), strict=True):
            views[int(value)] = views.get(int(value), 0) + 1
            if int(value) not in best or pixels > best[int(value)].pixels:
                best[int(value)] = Instance(int(value), 0, index, int(pixels), _middle(values == value))
    return [Instance(v, views[v], best[v].example, best[v].pixels, best[v].xy) for v in sorted(best)]


def read_objects(path: Path) -> dict[str, tuple[int, ...]]:
    """The numbers of each object, by its name. Raises UserError where the file says it in neither form."""
    content = read_json(path)
    listed = content.get("instances")
    if isinstance(listed, list):
        entries = [
            (entry.get("name"), entry.get("id")) if isinstance(entry, dict) else (None, None) for entry in listed
        ]
    else:
        entries = list(content.items())
    out: dict[str, tuple[int, ...]] = {}
    for name, values in entries:
        given = values if isinstance(values, list) else [values]
        numbers = [
            number for number in given if isinstance(number, int) and not isinstance(number, bool) and number > 0
        ]
        if not isinstance(name, str) or not numbers or len(numbers) < len(given):
            raise UserError(
                f'{path} gives {name!r} the values {values!r}; expected {{"NAME": 12}} or {{"NAME": [3, 4]}}, '
                "whole numbers above 0"
            )
        if not name.strip() or name.startswith(".") or set(name) & set("/\\:"):
            raise UserError(f"{path} calls an object {name!r}, which cannot be the name of a folder; rename it")
        out[name] = (*out.get(name, ()), *numbers)
    if not out:
        raise UserError(f"{path} names no object")
    return out


def write_object_masks(folder: Path, objects: Mapping[str, Sequence[int]], scene: Scene, out: Path) -> dict[str, int]:
    """Write `out`/NAME/STEM.png for each object and each view that has a map; the number of views that see each object.

    A map tells of its whole view: where the object is not in it, its mask is written, and is empty. Raises UserError
    where an object is in no map, before anything is written.
    """
    paths = map_paths(folder, scene)
    seen = dict.fromkeys(objects, 0)
    with shared_folder(out, WRITER) as temporary:
        for index, path in paths.items():
            values = read_map(path)
            for name, numbers in objects.items():
                mask = np.isin(values, numbers)
                seen[name] += bool(mask.any())
                write_png(temporary / name / f"{scene.output_stem(index)}.png", mask)
        missing = [name for name, views in seen.items() if views == 0]
        if missing:
            numbers = ", ".join(map(str, objects[missing[0]]))
            raise UserError(
                f"{missing[0]!r} (value {numbers}) is in none of the {len(paths)} maps of {folder}; list their values "
                "with `sanerf masks` without --objects"
            )
    return seen


def _read_hdf5(path: Path) -> np.ndarray:
    try:
        import h5py
    except ImportError as error:
        raise MissingExtraError("h5py", "hdf5") from error
    try:
        with h5py.File(path, "r") as file:
            arrays = [key for key, value in file.items() if isinstance(value, h5py.Dataset)]
            key: Any = BLENDERPROC_KEY if BLENDERPROC_KEY in arrays else arrays[0] if len(arrays) == 1 else None
            if key is None:
                raise UserError(f"{path} has no {BLENDERPROC_KEY!r} and no other single array; it has {arrays}")
            return np.asarray(file[key])
    except OSError as error:
        raise UserError(f"{path} is not a readable HDF5 file: {error}") from error


def _middle(inside: np.ndarray) -> tuple[float, float]:
    rows, columns = np.nonzero(inside)
    nearest = ((rows - rows.mean()) ** 2 + (columns - columns.mean()) ** 2).argmin()
    return float(columns[nearest]) + 0.5, float(rows[nearest]) + 0.5
