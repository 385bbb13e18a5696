"""Checks of the written folder: that its cameras, masks and clicks agree with one another and with Blender's depth."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from blender_parts.written_scene import WrittenScene, reprojected_agreement

MAX_BYTES = 8 * 2**20
# The bare table: the top's rectangle less a margin, and the circle round the origin that holds the cloth.
TABLE_HALF, CLOTH_RADIUS = (0.47, 0.36), 0.42


def _table_height_error(scene: WrittenScene, depth_z: dict[str, np.ndarray], pixel_centre: float) -> float:
    """Median |z| in metres of what the pixels see of the bare table top, whose height is 0."""
    heights = []
    for stem, depth in depth_z.items():
        p_world = scene.unproject(stem, depth, pixel_centre)
        x, y, z = np.moveaxis(p_world, -1, 0)
        bare = (abs(x) < TABLE_HALF[0]) & (abs(y) < TABLE_HALF[1]) & (np.hypot(x, y) > CLOTH_RADIUS) & (abs(z) < 0.003)
        heights.append(abs(z[bare & (scene.labels[stem] == 0)]))
    return float(np.median(np.concatenate(heights)))


def check_folder(folder: Path, depth_z: dict[str, np.ndarray]) -> None:
    """Raise where the folder is wrong, print its figures; `depth_z[stem]` is Blender's depth (H x W, metres)."""
    scene = WrittenScene(folder)
    assert scene.split == (60, 12), f"the split has {scene.split} views"
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    assert size <= MAX_BYTES, f"the folder takes {size} bytes"
    errors = {shift: _table_height_error(scene, depth_z, shift) for shift in (0.5, 0.0, 1.0)}
    assert errors[0.5] < 1e-5, f"the table top is off its plane by {errors[0.5]} m"
    agreement, carried = reprojected_agreement(scene, depth_z)
    assert agreement > 0.985, f"only {agreement:.4f} of carried pixels meet their own mask"
    clicks = json.loads((folder / "prompts.json").read_text())["objects"]
    for entry in clicks:
        index = scene.names.index(entry["name"]) + 1
        for point in entry["points"]:
            column, row = (int(v) for v in point["xy"])
            hit = scene.labels[Path(point["view"]).stem][row, column] == index
            assert hit == bool(point["label"]), f"{entry['name']}: the click {point} misses"
    for index, name in enumerate(scene.names, start=1):
        areas = [int((labels == index).sum()) for labels in scene.labels.values()]
        print(f"{name:12s} {np.median(areas):6.0f} px median, in {np.count_nonzero(areas)} of {len(areas)} views")
    print(f"{size / 2**20:.2f} MiB; table off its plane by {errors[0.5]:.1e} m (pixel centres at 0: {errors[0.0]:.1e},")
    print(f"at 1: {errors[1.0]:.1e}); {agreement:.4f} of {carried} carried pixels meet the same mask")
    print(f"{sum(len(entry['points']) for entry in clicks)} clicks checked")
