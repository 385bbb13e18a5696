"""Build the bundled table scene, render its 72 views and write the folder that ships with the package.

    python recipes/bundled_scene/render.py --out src/sanerf/assets/table_scene

needs Python 3.11 with `bpy==5.0.1` and `pillow`, two CPU cores and about fifteen minutes. A killed run goes on where it
stopped: finished renders are kept in `--work` and skipped. The same seed and sample count give the same scene.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
import time
from pathlib import Path

import bpy
import cameras
import check
import layout
import passes

import export
import prompts


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="the folder to write, replaced if it exists")
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "sanerf_table_scene")
    parser.add_argument("--seed", type=int, default=7, help="of the cameras' jitter and the sampling")
    parser.add_argument("--samples", type=int, default=16, help="path-tracing samples a pixel, before denoising")
    parser.add_argument("--contact-sheet", type=Path, help="where to write a sheet of 12 views with their masks")
    return parser.parse_args()


def _claim(work: Path, settings: dict) -> None:
    """Make the work folder this run's: renders of other settings must not be mixed in."""
    note = work / "settings.json"
    if note.exists() and json.loads(note.read_text()) != settings:
        raise SystemExit(f"{work} holds renders of {note.read_text().strip()}: remove it or pass another --work")
    for name in ("labels", "pictures"):
        (work / name).mkdir(parents=True, exist_ok=True)
    export.write_json(note, settings)


def render_labels(views: list[cameras.View], folder: Path) -> None:
    """The label pass of every view."""
    layout.build()
    passes.set_up_camera()
    passes.set_up_labels()
    for view in views:
        if not (path := folder / f"{view.stem}.exr").exists():
            passes.render(view, path, sampling_seed=0)


def silhouette_areas(views: list[cameras.View], path: Path) -> dict:
    """Each object's area in pixels with nothing before it, by view and name; kept in `path`."""
    if path.exists():
        return json.loads(path.read_text())
    layout.build()
    passes.set_up_camera()
    passes.set_up_labels()
    scratch, areas = path.with_suffix(".exr"), {view.stem: {} for view in views}
    for index, placed in enumerate(layout.OBJECTS, start=1):
        for shape in bpy.context.scene.objects:
            shape.hide_render = shape.type not in {"EMPTY", "CAMERA"} and shape.pass_index != index
        for view in views:
            passes.render(view, scratch, sampling_seed=0)
            areas[view.stem][placed.name] = int((passes.read_labels(scratch)[0] == index).sum())
    scratch.unlink()
    export.write_json(path, areas)
    return areas


def render_pictures(views: list[cameras.View], folder: Path, samples: int, seed: int) -> None:
    """The pictures, each with its own sampling pattern."""
    layout.build()
    passes.set_up_camera()
    passes.set_up_pictures(samples)
    for number, view in enumerate(views):
        if (path := folder / f"{view.stem}.png").exists():
            continue
        start = time.perf_counter()
        passes.render(view, path, sampling_seed=seed * 1000 + number)
        print(f"{view.stem}: {time.perf_counter() - start:.1f} s", flush=True)


def main() -> None:
    """Render what is missing, then write and check the folder."""
    options = _parse()
    settings = {"seed": options.seed, "samples": options.samples}
    _claim(options.work, settings)
    views = cameras.make_views(options.seed)
    names = [placed.name for placed in layout.OBJECTS]
    render_labels(views, options.work / "labels")
    training = [view for view in views if view.stem.startswith("train_")]
    whole = silhouette_areas(training, options.work / "silhouettes.json")
    render_pictures(views, options.work / "pictures", options.samples, options.seed)

    observed = [prompts.Observed(v, *passes.read_labels(options.work / "labels" / f"{v.stem}.exr")) for v in views]
    fresh = options.work / "table_scene"
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir()
    export.write_pictures(options.work / "pictures", views, fresh)
    export.write_masks(observed, names, fresh)
    export.write_json(fresh / "transforms.json", cameras.transforms(views))
    export.write_json(
        fresh / "prompts.json", prompts.choose(observed, names, [placed.position for placed in layout.OBJECTS])
    )
    fraction = export.visible_fractions(observed, names, whole)
    export.write_json(fresh / "scene.json", export.scene_description(settings, bpy.app.version_string, fraction))
    check.check_folder(fresh, {o.view.stem: o.depth_z for o in observed})
    shutil.rmtree(options.out, ignore_errors=True)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    shutil.copytree(fresh, options.out)
    if options.contact_sheet:
        stems = [f"train_{k:03d}" for k in range(0, 60, 6)] + ["test_001", "test_007"]
        export.contact_sheet(options.out, stems, options.contact_sheet)


if __name__ == "__main__":
    main()
