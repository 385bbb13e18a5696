"""The renders of a scene's views, each kept in a work folder and never done twice: a killed run goes on there."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path

import bpy

from blender_parts import folder, passes
from blender_parts.views import Lens, Observed, View


def claim(work: Path, settings: dict) -> None:
    """Make the work folder this run's: renders of other settings must not be mixed in."""
    note = work / "settings.json"
    if note.exists() and json.loads(note.read_text()) != settings:
        raise SystemExit(f"{work} holds renders of {note.read_text().strip()}: remove it or pass another --work")
    for name in ("labels", "pictures"):
        (work / name).mkdir(parents=True, exist_ok=True)
    folder.write_json(note, settings)


def render_labels(build: Callable[[], None], lens: Lens, views: list[View], work: Path) -> list[Observed]:
    """The label pass of every view; `build` empties Blender's session and builds the scene."""
    paths = {view.stem: work / "labels" / f"{view.stem}.exr" for view in views}
    missing = [view for view in views if not paths[view.stem].exists()]
    if missing:
        build()
        passes.set_up_camera(lens)
        passes.set_up_labels()
        for view in missing:
            passes.render(view, paths[view.stem], sampling_seed=0)
    return [Observed(view, *passes.read_labels(paths[view.stem])) for view in views]


def silhouette_areas(build: Callable[[], None], lens: Lens, names: list[str], views: list[View], work: Path) -> dict:
    """Each object's area in pixels with nothing before it, by view and name; `names` are those of labels 1, 2, ..."""
    path = work / "silhouettes.json"
    if path.exists():
        return json.loads(path.read_text())
    build()
    passes.set_up_camera(lens)
    passes.set_up_labels()
    scratch, areas = path.with_suffix(".exr"), {view.stem: {} for view in views}
    for index, name in enumerate(names, start=1):
        for shape in bpy.context.scene.objects:
            shape.hide_render = shape.type not in {"EMPTY", "CAMERA"} and shape.pass_index != index
        for view in views:
            passes.render(view, scratch, sampling_seed=0)
            areas[view.stem][name] = int((passes.read_labels(scratch)[0] == index).sum())
    scratch.unlink()
    folder.write_json(path, areas)
    return areas


def render_pictures(
    build: Callable[[], None],
    lens: Lens,
    views: list[View],
    work: Path,
    *,
    samples: int,
    seed: int,
    prefilter: str = "ACCURATE",
    at_most: int | None = None,
) -> None:
    """The missing pictures, or the first `at_most` of them, each with its own sampling pattern."""
    missing = [(n, view) for n, view in enumerate(views) if not (work / "pictures" / f"{view.stem}.png").exists()]
    missing = missing[:at_most]
    if not missing:
        return
    build()
    passes.set_up_camera(lens)
    passes.set_up_pictures(samples, prefilter)
    for number, view in missing:
        start = time.perf_counter()
        passes.render(view, work / "pictures" / f"{view.stem}.png", sampling_seed=seed * 1000 + number)
        print(f"{view.stem}: {time.perf_counter() - start:.1f} s", flush=True)
