"""Clicks for `prompts.json`, set as a person would who walks round the table.

`SPOTS` says for each object from which sides it is clicked and where on it. The training view that looks from nearest
that side and shows the spot is taken, and there the pixel next to the spot that lies deepest in the object's mask.
The convention is the project's: pixel (0, 0) has its centre at (0.5, 0.5), x right, y down.
"""

from __future__ import annotations

import numpy as np

from blender_parts.views import Observed, View, distance_to_edge, pixels_of, project
from bundled_scene.cameras import LENS

# By object: (side from which it is clicked, as the camera's azimuth about the object in degrees; the spot's offset from
# the object's place on the table in world metres; label). A label of 0 is a click on what is seen through the object.
Spot = tuple[float, tuple[float, float, float], int]
SPOTS: dict[str, tuple[Spot, ...]] = {
    "ring": (
        (-65.0, (0.066, 0.031, 0.09), 1),
        (115.0, (-0.066, -0.031, 0.09), 1),
        (25.0, (0.0, 0.0, 0.165), 1),
        (-65.0, (0.0, 0.0, 0.09), 0),
    ),
    "chair": ((-120.0, (0.0, 0.0, 0.092), 1), (60.0, (0.03, 0.052, 0.178), 1), (150.0, (-0.016, 0.054, 0.085), 1)),
    "mug_right": ((-100.0, (0.0, 0.0, 0.055), 1), (70.0, (0.0, 0.0, 0.06), 1), (165.0, (0.0, 0.0, 0.06), 1)),
    "pumpkin": ((80.0, (0.0, 0.0, 0.06), 1), (-55.0, (0.0, 0.0, 0.075), 1), (-165.0, (0.0, 0.0, 0.075), 1)),
    "teapot": ((-95.0, (0.0, 0.0, 0.06), 1), (10.0, (0.0, 0.0, 0.075), 1), (140.0, (0.0, 0.0, 0.075), 1)),
}
REACH_PIXELS, MARGIN_PIXELS, THIN_MARGIN_PIXELS, DEPTH_TOLERANCE = 9, 5, 3, 0.004
LAYER = 0.03  # metres


def visible(observed: Observed, p_world: np.ndarray) -> np.ndarray:
    """Whether each world point (N x 3) is what the view sees at its pixel (N, bool)."""
    xy, depth_z = project(LENS, observed.view, p_world)
    column, row, inside = pixels_of(LENS, xy)
    return inside & (np.abs(observed.depth_z[row, column] - depth_z) < DEPTH_TOLERANCE)


def _side_angle(view: View, place: np.ndarray, side_degrees: float) -> float:
    """How far round, in degrees, a view is from the wanted side of the object at `place`."""
    offset = view.world_from_cam[:2, 3] - place[:2]
    azimuth = np.degrees(np.arctan2(offset[1], offset[0]))
    return float(abs((azimuth - side_degrees + 180.0) % 360.0 - 180.0))


def _deepest_pixel(observed: Observed, index: int, spot: np.ndarray) -> tuple[np.ndarray, int] | None:
    """The pixel near a world point that lies deepest in the object, as (position, margin); None if it is hidden.

    What is `LAYER` nearer or farther than the surface at the spot counts as outside: a rod before its own chair's seat
    is clicked on the rod.
    """
    xy, _ = project(LENS, observed.view, spot[None])
    column, row, inside = pixels_of(LENS, xy)
    mask = observed.index == index
    if not (inside[0] and mask[row[0], column[0]]):
        return None
    mask &= np.abs(observed.depth_z - observed.depth_z[row[0], column[0]]) < LAYER
    rows, columns = np.mgrid[: LENS.height, : LENS.width] + 0.5
    away = np.hypot(columns - xy[0, 0], rows - xy[0, 1])
    margin = np.minimum(distance_to_edge(mask), 2 * MARGIN_PIXELS)
    score = np.where((away <= REACH_PIXELS) & (margin > 0), margin - 0.1 * away, -np.inf)
    best = np.unravel_index(np.argmax(score), score.shape)
    return np.array([best[1] + 0.5, best[0] + 0.5]), int(margin[best])


def _positive(seen: list[Observed], index: int, place: np.ndarray, spot: Spot, used: set[str]) -> dict:
    """The click on `spot`: the nearest side's view in which it is deep in the mask, or else as deep as may be."""
    side, offset, _ = spot
    by_side = sorted(seen, key=lambda observed: _side_angle(observed.view, place, side))
    for needed in (MARGIN_PIXELS, THIN_MARGIN_PIXELS):
        for observed in by_side[:9]:
            found = _deepest_pixel(observed, index, place + offset)
            if found and found[1] > needed and observed.view.file_name not in used:
                return {"view": observed.view.file_name, "xy": found[0].tolist(), "label": 1}
    raise AssertionError(f"label {index}: no view from {side} degrees shows the spot {offset}")


def _negative(seen: list[Observed], index: int, place: np.ndarray, spot: Spot) -> dict:
    """The click through an object's opening: the nearest side's view in which it is well clear of the object."""
    side, offset, _ = spot
    for observed in sorted(seen, key=lambda observed: _side_angle(observed.view, place, side)):
        xy, _ = project(LENS, observed.view, (place + offset)[None])
        column, row, inside = pixels_of(LENS, xy)
        if inside[0] and distance_to_edge(observed.index != index)[row[0], column[0]] > 2 * MARGIN_PIXELS:
            return {"view": observed.view.file_name, "xy": [column[0] + 0.5, row[0] + 0.5], "label": 0}
    raise AssertionError(f"label {index}: no training view looks through the object at {offset}")


def choose(observed: list[Observed], names: list[str], places: list[tuple[float, float, float]]) -> dict:
    """The contents of `prompts.json`; object `names[k]` has label index k + 1 and stands at `places[k]`."""
    seen = [o for o in observed if o.view.stem.startswith("train_")]
    objects = []
    for name, spots in SPOTS.items():
        index, place = names.index(name) + 1, np.array(places[names.index(name)])
        points: list[dict] = []
        for spot in spots:
            if spot[2]:
                points.append(_positive(seen, index, place, spot, {p["view"] for p in points}))
            else:
                points.append(_negative(seen, index, place, spot))
        objects.append({"name": name, "points": points})
    return {"objects": objects}
