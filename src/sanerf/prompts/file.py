"""PROMPTS.json: which objects a user means, as points, scribbles, boxes, masks and words.

    {"objects": [{"name": "cape",
                  "points": [{"view": "IMG_5870.jpg", "xy": [512.0, 330.5], "label": 1},
                             {"xyz": [0.1, 0.2, 0.3], "label": 1}],
                  "scribbles": [{"view": "IMG_5870.jpg", "xy": [[480, 300], [520, 420]], "label": 1},
                                {"view": "IMG_5871.jpg", "path": "strokes.png", "label": 0}],
                  "boxes":  [{"view": "IMG_5870.jpg", "xyxy": [100, 120, 800, 900]}],
                  "masks":  [{"view": "IMG_5872.jpg", "path": "rough.png"}],
                  "text":   "golden cape"}]}

`xy` and `xyxy` are in pixels of the view's own image file, x right, y down, pixel (0, 0) centred at (0.5, 0.5); `xyz`
is in the scene file's own world frame; label 1 is inside, 0 outside. `path` is a picture of the view's shape, looked
for from the prompts file's folder, in which a pixel above 127 is stroke or object. Where masks are ready and nothing is
asked of a decoder, a name is enough. A wrong file is a UserError of one sentence that names the object and the key;
`sanerf.prompts.check` says whether prompts fit a scene.
"""

import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sanerf.errors import UserError
from sanerf.files import write_json

_NAME_LENGTH = 100
_NAME_BYTES = 255
"""In UTF-8: what file systems allow."""
_UNFIT = set('/\\<>:"|?*,')


@dataclass(frozen=True)
class PointPrompt2D:
    """A click in a view; `label` 1 is inside the object, 0 outside."""

    view: str
    xy: tuple[float, float]
    label: int


@dataclass(frozen=True)
class PointPrompt3D:
    """A point in the scene file's world; `label` 1 is inside the object, 0 outside."""

    xyz: tuple[float, float, float]
    label: int


@dataclass(frozen=True)
class LineScribble:
    """A polyline drawn in a view, of one corner (x, y) at least; `label` 1 is inside the object, 0 outside."""

    view: str
    xy: tuple[tuple[float, float], ...]
    label: int


@dataclass(frozen=True)
class PaintedScribble:
    """A stroke painted over a view, as a picture of the view's shape; `label` 1 is inside the object, 0 outside."""

    view: str
    path: Path
    label: int


@dataclass(frozen=True)
class BoxPrompt:
    """A box around the object in a view: (x0, y0, x1, y1) with x0 < x1 and y0 < y1."""

    view: str
    xyxy: tuple[float, float, float, float]


@dataclass(frozen=True)
class MaskPrompt:
    """A rough mask of the object in a view, as a picture of the view's shape."""

    view: str
    path: Path


@dataclass(frozen=True)
class ObjectPrompts:
    """All that a user says of one object; at least one prompt, save where its masks are ready. `name` is fit to be a
    folder's name."""

    name: str
    points_2d: tuple[PointPrompt2D, ...] = ()
    points_3d: tuple[PointPrompt3D, ...] = ()
    boxes: tuple[BoxPrompt, ...] = ()
    text: str | None = None
    scribbles: tuple[LineScribble | PaintedScribble, ...] = ()
    masks: tuple[MaskPrompt, ...] = ()


@dataclass(frozen=True)
class PromptSet:
    """The objects of a prompts file, at least one, with names that differ by more than case."""

    objects: tuple[ObjectPrompts, ...]


def read_prompts(path: Path, *, names_only: bool = False) -> PromptSet:
    """The prompts of a file; with `names_only` an object may have none. UserError where it is missing or wrong."""
    try:
        document = json.loads(path.read_text(encoding="utf-8-sig"), object_pairs_hook=_no_duplicate_keys)
    except FileNotFoundError as error:
        raise UserError(f"there is no prompts file {path}") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is no UTF-8 text") from error
    except json.JSONDecodeError as error:
        raise UserError(f"{path} is no JSON: {error.msg} in line {error.lineno}, column {error.colno}") from error
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from error
    except UserError as error:
        raise UserError(f"{path}: {error}") from error
    except RecursionError as error:
        raise UserError(f"{path} is no readable JSON: its brackets are nested too deeply") from error
    except ValueError as error:
        raise UserError(f"{path} is no readable JSON: a number in it has too many digits") from error
    try:
        prompts = _prompt_set(document, path.absolute().parent)
        if not names_only:
            _expect_prompts(prompts)
    except UserError as error:
        raise UserError(f"{path}: {error}") from error
    return prompts


def write_prompts(prompts: PromptSet, path: Path) -> None:
    """Write what `read_prompts` reads back equal. UserError where the system refuses."""
    write_json(path, prompts_to_json(prompts))


def prompts_to_json(prompts: PromptSet) -> dict[str, Any]:
    """The prompts as the JSON object of a prompts file, with the paths they have: whole ones where they come from a
    file, so that it may lie anywhere."""
    return {"objects": [_object_document(entry) for entry in prompts.objects]}


def prompts_from_json(document: Any, folder: Path) -> PromptSet:
    """The prompts of what `prompts_to_json` gave; paths are meant from `folder`. UserError where it is wrong."""
    if document == {"objects": []}:
        return PromptSet(())
    return _prompt_set(document, folder)


def _no_duplicate_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    keys = [key for key, _ in pairs]
    for key in keys:
        if keys.count(key) > 1:
            raise UserError(f"the key {key!r} appears twice in one place")
    return dict(pairs)


def _prompt_set(document: Any, folder: Path) -> PromptSet:
    """The prompts of a JSON object in which paths are meant from `folder`."""
    _expect_keys(document, {"objects"}, {"objects"}, "the file")
    entries = document["objects"]
    if not isinstance(entries, list) or not entries:
        raise UserError(f"'objects' must be a list of at least one object, not {_show(entries)}")
    objects = tuple(_object(entry, index, folder) for index, entry in enumerate(entries, start=1))
    seen: dict[str, str] = {}
    for entry in objects:
        # Folders that differ by case alone are one folder on some systems.
        if entry.name.casefold() in seen:
            raise UserError(f"two objects are called {seen[entry.name.casefold()]!r} and {entry.name!r}")
        seen[entry.name.casefold()] = entry.name
    return PromptSet(objects)


def _expect_prompts(prompts: PromptSet) -> None:
    for entry in prompts.objects:
        if entry == ObjectPrompts(entry.name):
            raise UserError(
                f"object {entry.name!r} has no prompt: it needs 'points', 'scribbles', 'boxes', 'masks' or 'text'"
            )


def _object(document: Any, index: int, folder: Path) -> ObjectPrompts:
    named = isinstance(document, dict) and isinstance(document.get("name"), str)
    where = f"object {document['name']!r}" if named else f"object number {index}"
    _expect_keys(document, {"name"}, {"name", "points", "scribbles", "boxes", "masks", "text"}, where)
    name = _name(document["name"], where)
    points = _each(document, "points", where, _point)
    scribbles = _each(document, "scribbles", where, lambda entry, place: _scribble(entry, place, folder))
    boxes = _each(document, "boxes", where, _box)
    masks = _each(document, "masks", where, lambda entry, place: _mask(entry, place, folder))
    text = document.get("text")
    if text is not None and (not isinstance(text, str) or not text.strip()):
        raise UserError(f"{where}: 'text' must be words, not {_show(text)}")
    return ObjectPrompts(
        name,
        tuple(point for point in points if isinstance(point, PointPrompt2D)),
        tuple(point for point in points if isinstance(point, PointPrompt3D)),
        tuple(boxes),
        text,
        tuple(scribbles),
        tuple(masks),
    )


def _name(name: Any, where: str) -> str:
    if not isinstance(name, str) or not name.strip():
        raise UserError(f"{where}: 'name' must be a word that is not empty, not {_show(name)}")
    unfit = _UNFIT & set(name) or not name.isprintable()
    if unfit or name != name.strip() or name.startswith(".") or name.endswith(".") or len(name) > _NAME_LENGTH:
        raise UserError(
            f"{where}: 'name' becomes a folder and must be at most {_NAME_LENGTH} characters without any of "
            f"{' '.join(sorted(_UNFIT))}, control characters, or a space or full stop at its ends"
        )
    size = len(name.encode())
    if size > _NAME_BYTES:
        raise UserError(
            f"{where}: 'name' becomes a folder and must be at most {_NAME_BYTES} bytes in UTF-8, not {size}"
        )
    return name


def _each(document: dict, key: str, where: str, read: Callable[[Any, str], Any]) -> list:
    entries = document.get(key, [])
    if not isinstance(entries, list):
        raise UserError(f"{where}: {key!r} must be a list, not {_show(entries)}")
    return [read(entry, f"{where}, {key}[{i}]") for i, entry in enumerate(entries)]


def _point(document: Any, where: str) -> PointPrompt2D | PointPrompt3D:
    in_space = isinstance(document, dict) and "xyz" in document
    keys = {"xyz", "label"} if in_space else {"view", "xy", "label"}
    _expect_keys(document, keys, keys, where)
    label = _label(document, where)
    if in_space:
        x, y, z = _numbers(document["xyz"], "'xyz'", 3, where)
        return PointPrompt3D((x, y, z), label)
    x, y = _numbers(document["xy"], "'xy'", 2, where)
    return PointPrompt2D(_view(document, where), (x, y), label)


def _scribble(document: Any, where: str, folder: Path) -> LineScribble | PaintedScribble:
    painted = isinstance(document, dict) and "path" in document
    keys = {"view", "path" if painted else "xy", "label"}
    _expect_keys(document, keys, keys, where)
    view, label = _view(document, where), _label(document, where)
    if painted:
        return PaintedScribble(view, _path(document, where, folder), label)
    corners = document["xy"]
    if not isinstance(corners, list) or not corners:
        raise UserError(f"{where}: 'xy' must be a list of corners [x, y], at least one, not {_show(corners)}")
    read = [_numbers(corner, f"'xy'[{i}]", 2, where) for i, corner in enumerate(corners)]
    return LineScribble(view, tuple((x, y) for x, y in read), label)


def _mask(document: Any, where: str, folder: Path) -> MaskPrompt:
    _expect_keys(document, {"view", "path"}, {"view", "path"}, where)
    return MaskPrompt(_view(document, where), _path(document, where, folder))


def _box(document: Any, where: str) -> BoxPrompt:
    _expect_keys(document, {"view", "xyxy"}, {"view", "xyxy"}, where)
    x0, y0, x1, y1 = _numbers(document["xyxy"], "'xyxy'", 4, where)
    if x0 >= x1 or y0 >= y1:
        raise UserError(f"{where}: 'xyxy' must be [x0, y0, x1, y1] with x0 < x1 and y0 < y1, not {[x0, y0, x1, y1]}")
    return BoxPrompt(_view(document, where), (x0, y0, x1, y1))


def _view(document: dict, where: str) -> str:
    view = document["view"]
    if not isinstance(view, str) or not view:
        raise UserError(f"{where}: 'view' must be a view's name, not {_show(view)}")
    return view


def _label(document: dict, where: str) -> int:
    label = document["label"]
    if isinstance(label, bool) or label not in (0, 1) or not isinstance(label, int):
        raise UserError(f"{where}: 'label' must be 1 (inside) or 0 (outside), not {_show(label)}")
    return label


def _path(document: dict, where: str, folder: Path) -> Path:
    path = document["path"]
    if not isinstance(path, str) or not path.strip() or "\0" in path:
        raise UserError(f"{where}: 'path' must be a picture file, not {_show(path)}")
    return folder / path


def _numbers(values: Any, what: str, count: int, where: str) -> tuple[float, ...]:
    ok = isinstance(values, list) and len(values) == count
    if not ok or not all(isinstance(v, int | float) and not isinstance(v, bool) and _is_finite(v) for v in values):
        raise UserError(f"{where}: {what} must be {count} numbers, not {_show(values)}")
    return tuple(float(value) for value in values)


def _is_finite(value: int | float) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:
        return False


def _expect_keys(document: Any, needed: set[str], known: set[str], where: str) -> None:
    if not isinstance(document, dict):
        raise UserError(f"{where} must be a JSON object with {_list(known)}, not {_show(document)}")
    for key in document:
        if key not in known:
            raise UserError(f"{where} has the unknown key {key!r}; known are {_list(known)}")
    for key in sorted(needed - document.keys()):
        raise UserError(f"{where} lacks the key {key!r}")


def _list(keys: set[str]) -> str:
    return ", ".join(repr(key) for key in sorted(keys))


def _show(value: Any) -> str:
    try:
        text = json.dumps(value, ensure_ascii=False)
    except RecursionError:
        return "brackets that are nested too deeply"
    return text if len(text) <= 60 else f"{text[:57]}..."


def _object_document(entry: ObjectPrompts) -> dict[str, Any]:
    document: dict[str, Any] = {"name": entry.name}
    points: list[dict[str, Any]] = [
        {"view": point.view, "xy": list(point.xy), "label": point.label} for point in entry.points_2d
    ]
    points += [{"xyz": list(point.xyz), "label": point.label} for point in entry.points_3d]
    if points:
        document["points"] = points
    if entry.scribbles:
        document["scribbles"] = [
            {"view": scribble.view, **_drawn(scribble), "label": scribble.label} for scribble in entry.scribbles
        ]
    if entry.boxes:
        document["boxes"] = [{"view": box.view, "xyxy": list(box.xyxy)} for box in entry.boxes]
    if entry.masks:
        document["masks"] = [{"view": mask.view, "path": mask.path.as_posix()} for mask in entry.masks]
    if entry.text is not None:
        document["text"] = entry.text
    return document


def _drawn(scribble: LineScribble | PaintedScribble) -> dict[str, Any]:
    if isinstance(scribble, PaintedScribble):
        return {"path": scribble.path.as_posix()}
    return {"xy": [list(corner) for corner in scribble.xy]}
