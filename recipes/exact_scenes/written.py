"""The folder of a scene: written from the renders, then read back and checked."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from PIL import Image

from blender_parts import folder
from blender_parts.views import Observed, transforms
from blender_parts.written_scene import WrittenScene, reprojected_agreement
from exact_scenes import clicks
from exact_scenes.plan import Plan

MILLIMETRES = 1000.0
FARTHEST = 65.0
"""Metres; what is farther has no depth, nor has the sky. 16 bits of millimetres end soon after."""
LEAST_VIEWS, LEAST_PIXELS = 10, 100
"""Each clicked object covers so many pixels (of 120,000) in so many training views (of 48)."""


def write_depth(observed: list[Observed], out: Path) -> None:
    """depth_z of every view as 16-bit PNG in millimetres, 0 for the sky and beyond `FARTHEST`."""
    (out / "depth").mkdir(parents=True, exist_ok=True)
    for one in observed:
        known = np.where(one.depth_z <= FARTHEST, one.depth_z, 0.0)
        Image.fromarray(np.rint(MILLIMETRES * known).astype(np.uint16)).save(out / "depth" / f"{one.view.stem}.png")


def description(plan: Plan, observed: list[Observed], settings: dict) -> dict:
    """The contents of `scene.json`."""
    training = [one for one in observed if one.view.for_training]
    objects = []
    for index, thing in enumerate(plan.things, start=1):
        areas = np.array([(one.index == index).sum() for one in training])
        objects.append(
            {
                "name": thing.name,
                "description": thing.description,
                "clicked": thing.name in plan.clicked,
                "training_views": int((areas > 0).sum()),
                "median_pixels": int(np.median(areas[areas > 0])) if areas.any() else 0,
            }
        )
    return {
        **settings,
        "metres_per_unit": 1.0,
        "depth": f"depth_z in millimetres, 0 for the sky and what is beyond {FARTHEST:.0f} m",
        "median_pixels": "the object's visible area over the training views that show it",
        "objects": objects,
    }


def write(plan: Plan, observed: list[Observed], settings: dict, pictures: Path, out: Path) -> None:
    """Everything the folder holds; `pictures` has the rendered PNGs, `out` is new."""
    names = [thing.name for thing in plan.things]
    folder.write_pictures(pictures, plan.views, out)
    folder.write_masks(observed, names, out)
    write_depth(observed, out)
    contents = transforms(plan.lens, plan.views)
    for frame in contents["frames"]:
        frame["depth_file_path"] = f"depth/{Path(frame['file_path']).stem}.png"
    folder.write_json(out / "transforms.json", contents)
    folder.write_json(out / "prompts.json", clicks.choose(plan.lens, observed, names, plan.clicked))
    folder.write_json(out / "scene.json", description(plan, observed, settings))


def check_coverage(plan: Plan, observed: list[Observed]) -> None:
    """Raise where a clicked thing is seen in too few training views; print how each thing is seen."""
    train = sum(view.for_training for view in plan.views)
    least = LEAST_PIXELS * plan.lens.width * plan.lens.height / 120_000
    for index, thing in enumerate(plan.things, start=1):
        areas = np.array([(o.index == index).sum() for o in observed if o.view.for_training])
        seen = int((areas >= least).sum())
        print(f"{thing.name:14s} {np.median(areas):6.0f} px median, {seen} of {train} training views see it well")
        needed = min(LEAST_VIEWS, train // 2) if thing.name in plan.clicked else 0
        assert seen >= needed, f"{thing.name} is seen well in {seen} training views, {needed} are needed"


def check(plan: Plan, observed: list[Observed], out: Path) -> None:
    """Raise where the folder's cameras, masks, depth and clicks do not agree; print its figures."""
    scene = WrittenScene(out)
    train, test = (sum(v.for_training is kind for v in plan.views) for kind in (True, False))
    assert scene.split == (train, test), f"the split has {scene.split} views"
    agreement, carried = reprojected_agreement(scene, {o.view.stem: o.depth_z for o in observed}, tolerance=0.003)
    assert agreement > 0.97, f"only {agreement:.4f} of carried pixels meet their own mask"
    for entry in json.loads((out / "prompts.json").read_text())["objects"]:
        index = scene.names.index(entry["name"]) + 1
        views = {point["view"] for point in entry["points"]}
        assert len(views) == clicks.CLICKS, f"{entry['name']} is clicked in {sorted(views)}"
        for point in entry["points"]:
            column, row = (int(v) for v in point["xy"])
            assert scene.labels[Path(point["view"]).stem][row, column] == index, f"{entry['name']}: {point} misses"
    print(f"{agreement:.4f} of {carried} carried pixels meet the same mask")


def sheet(plan: Plan, out: Path, path: Path) -> None:
    """A contact sheet of ten training and two test views."""
    training = [view.stem for view in plan.views if view.for_training]
    stems = training[:: max(1, len(training) // 10)][:10]
    folder.contact_sheet(out, stems + [v.stem for v in plan.views if not v.for_training][:2], path)
