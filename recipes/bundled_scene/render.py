"""Build the bundled table scene, render its 72 views and write the folder that ships with the package.

    python recipes/bundled_scene/render.py --out src/sanerf/assets/table_scene

needs Python 3.11 with `bpy==5.0.1` and `pillow`, two CPU cores and about fifteen minutes. A killed run goes on where it
stopped: finished renders are kept in `--work` and skipped. The same seed and sample count give the same scene.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from pathlib import Path

import bpy

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from blender_parts import folder, resumable
from blender_parts.views import transforms
from bundled_scene import cameras, check, description, layout, prompts


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="the folder to write, replaced if it exists")
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "sanerf_table_scene")
    parser.add_argument("--seed", type=int, default=7, help="of the cameras' jitter and the sampling")
    parser.add_argument("--samples", type=int, default=16, help="path-tracing samples a pixel, before denoising")
    parser.add_argument("--contact-sheet", type=Path, help="where to write a sheet of 12 views with their masks")
    return parser.parse_args()


def main() -> None:
    """Render what is missing, then write and check the folder."""
    options = _parse()
    settings = {"seed": options.seed, "samples": options.samples}
    resumable.claim(options.work, settings)
    views = cameras.make_views(options.seed)
    names = [placed.name for placed in layout.OBJECTS]
    observed = resumable.render_labels(layout.build, cameras.LENS, views, options.work)
    training = [view for view in views if view.for_training]
    whole = resumable.silhouette_areas(layout.build, cameras.LENS, names, training, options.work)
    resumable.render_pictures(
        layout.build, cameras.LENS, views, options.work, samples=options.samples, seed=options.seed
    )

    fresh = options.work / "table_scene"
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir()
    folder.write_pictures(options.work / "pictures", views, fresh)
    folder.write_masks(observed, names, fresh)
    folder.write_json(fresh / "transforms.json", transforms(cameras.LENS, views))
    folder.write_json(
        fresh / "prompts.json", prompts.choose(observed, names, [placed.position for placed in layout.OBJECTS])
    )
    fraction = folder.visible_fractions(observed, names, whole)
    folder.write_json(fresh / "scene.json", description.scene_description(settings, bpy.app.version_string, fraction))
    check.check_folder(fresh, {o.view.stem: o.depth_z for o in observed})
    shutil.rmtree(options.out, ignore_errors=True)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    shutil.copytree(fresh, options.out)
    if options.contact_sheet:
        stems = [f"train_{k:03d}" for k in range(0, 60, 6)] + ["test_001", "test_007"]
        folder.contact_sheet(options.out, stems, options.contact_sheet)


if __name__ == "__main__":
    main()
