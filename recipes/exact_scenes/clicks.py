"""Clicks for `prompts.json`, set from the exact masks as a careful person would. No Blender needed.

Each object gets three positive clicks in three training views that see it well and from sides as different as may be;
the click is the pixel that lies deepest inside the object's visible part, away from any jump in depth.
Pixel (0, 0) has its centre at (0.5, 0.5), x right, y down.
"""

from __future__ import annotations

import numpy as np

from blender_parts.views import Lens, Observed, distance_to_edge, unproject

CLICKS = 3
LEAST_PIXELS = 40
GOOD_PART = 0.4  # of the area in the view that shows most; below it a view is not clicked in, where others are left
JUMP = 0.04  # of the depth: neighbours farther apart than this do not belong to the same layer


def margins(observed: Observed, index: int) -> np.ndarray:
    """How deep (H x W, pixels) each pixel lies in the object's visible part; edges of depth count as edges."""
    mask, depth_z = observed.index == index, observed.depth_z
    smooth = mask.copy()
    for before, after in ((np.s_[:-1], np.s_[1:]), (np.s_[:, :-1], np.s_[:, 1:])):
        nearer = np.minimum(depth_z[before], depth_z[after])
        step = mask[before] & mask[after] & (np.abs(depth_z[after] - depth_z[before]) > JUMP * nearer)
        smooth[before] &= ~step
        smooth[after] &= ~step
    return distance_to_edge(smooth, limit=12)


def deepest(observed: Observed, index: int) -> tuple[tuple[int, int], int]:
    """The (row, column) that lies deepest in the object, nearest to its visible part's mean where several do."""
    margin = margins(observed, index)
    rows, columns = np.nonzero(margin == margin.max())
    middle = [pixels.mean() for pixels in np.nonzero(observed.index == index)]
    nearest = int(np.argmin((rows - middle[0]) ** 2 + (columns - middle[1]) ** 2))
    return (int(rows[nearest]), int(columns[nearest])), int(margin.max())


def _directions(lens: Lens, seen: list[Observed], index: int) -> np.ndarray:
    """Unit vectors (N x 3) from the object's middle, as all views together see it, to each camera."""
    points = []
    for one in seen:
        rows, columns = np.nonzero(one.index == index)
        xy = np.stack([columns, rows], axis=1)[::17] + 0.5
        points.append(unproject(lens, one.view, xy, one.depth_z[rows, columns][::17].astype(float)))
    offset = np.stack([one.view.world_from_cam[:3, 3] for one in seen]) - np.median(np.concatenate(points), axis=0)
    return offset / np.linalg.norm(offset, axis=1, keepdims=True)


def three_views(lens: Lens, observed: list[Observed], index: int) -> list[Observed]:
    """Training views to click in: the one that shows most of the object first, then those farthest from the chosen."""
    seen = [o for o in observed if o.view.for_training and (o.index == index).sum() >= LEAST_PIXELS]
    assert len(seen) >= CLICKS, f"label {index}: only {len(seen)} training views see it"
    # Views where the click would lie deep are better than those that show the object's rim.
    worth = np.array([(o.index == index).sum() * min(6, deepest(o, index)[1]) for o in seen], float)
    good = worth >= min(GOOD_PART * worth.max(), np.sort(worth)[-CLICKS])
    seen, worth = [o for o, fine in zip(seen, good, strict=True) if fine], worth[good]
    directions = _directions(lens, seen, index)
    chosen = [int(np.argmax(worth))]
    while len(chosen) < CLICKS:
        likeness = (directions @ directions[chosen].T).max(axis=1)
        likeness[chosen] = np.inf
        chosen.append(int(np.argmin(likeness)))
    return [seen[k] for k in chosen]


def choose(lens: Lens, observed: list[Observed], names: list[str], clicked: tuple[str, ...]) -> dict:
    """The contents of `prompts.json`; object `names[k]` has label k + 1."""
    objects = []
    for name in clicked:
        index, points = names.index(name) + 1, []
        for one in three_views(lens, observed, index):
            (row, column), _ = deepest(one, index)
            points.append({"view": one.view.file_name, "xy": [column + 0.5, row + 0.5], "label": 1})
        objects.append({"name": name, "points": points})
    return {"objects": objects}
