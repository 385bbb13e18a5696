"""A scene's folder read back, and whether its cameras, masks and Blender's depth agree. No Blender needed.

It reads the cameras from `transforms.json`, not from the code that made them, and so would see a wrong axis or a
half-pixel shift.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from PIL import Image


class WrittenScene:
    """The folder read back: stems in order, poses and masks (H x W, object index, 0 for none)."""

    def __init__(self, folder: Path) -> None:
        contents = json.loads((folder / "transforms.json").read_text())
        self.size = (contents["w"], contents["h"])
        self.focal = np.array([contents["fl_x"], contents["fl_y"]])
        self.centre = np.array([contents["cx"], contents["cy"]])
        self.names = [entry["name"] for entry in json.loads((folder / "scene.json").read_text())["objects"]]
        self.world_from_cam: dict[str, np.ndarray] = {}
        self.labels: dict[str, np.ndarray] = {}
        for frame in contents["frames"]:
            stem = Path(frame["file_path"]).stem
            with Image.open(folder / frame["file_path"]) as picture:
                assert picture.size == self.size, f"{stem}: {picture.size}"
            self.world_from_cam[stem] = np.array(frame["transform_matrix"])
            self.labels[stem] = self._read_masks(folder, stem)
        listed = contents["train_filenames"] + contents["test_filenames"]
        assert sorted(listed) == sorted(f["file_path"] for f in contents["frames"]), "split lists and frames differ"
        self.split = (len(contents["train_filenames"]), len(contents["test_filenames"]))

    def _read_masks(self, folder: Path, stem: str) -> np.ndarray:
        labels = np.zeros(self.size[::-1], np.uint8)
        for index, name in enumerate(self.names, start=1):
            with Image.open(folder / "masks" / name / f"{stem}.png") as picture:
                mask = np.asarray(picture, bool)
            assert mask.shape == labels.shape and not labels[mask].any(), f"{name}/{stem}: size or overlap"
            labels[mask] = index
        return labels

    def unproject(self, stem: str, depth_z: np.ndarray, pixel_centre: float = 0.5) -> np.ndarray:
        """World points (H x W x 3) of all pixels at their depths."""
        rows, columns = np.mgrid[: self.size[1], : self.size[0]] + pixel_centre
        x, y = (columns - self.centre[0]) / self.focal[0], -(rows - self.centre[1]) / self.focal[1]
        p_cam = np.stack([x, y, -np.ones_like(x)], axis=-1) * depth_z[..., None].astype(float)
        return p_cam @ self.world_from_cam[stem][:3, :3].T + self.world_from_cam[stem][:3, 3]

    def project(self, stem: str, p_world: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Column, row, depth_z and whether it is in the picture, of world points (N x 3)."""
        p_cam = (p_world - self.world_from_cam[stem][:3, 3]) @ self.world_from_cam[stem][:3, :3]
        depth_z = -p_cam[:, 2]
        xy = self.centre + self.focal * p_cam[:, :2] * [1.0, -1.0] / depth_z[:, None]
        column, row = np.floor(xy).astype(int).T
        inside = (depth_z > 0) & (column >= 0) & (column < self.size[0]) & (row >= 0) & (row < self.size[1])
        return np.clip(column, 0, self.size[0] - 1), np.clip(row, 0, self.size[1] - 1), depth_z, inside


def reprojected_agreement(
    scene: WrittenScene, depth_z: dict[str, np.ndarray], tolerance: float = 0.002
) -> tuple[float, int]:
    """Of object pixels carried into another view and seen there (by depth), how many meet the same object's mask.

    Two depths that differ by less than `tolerance` metres are one surface; `depth_z[stem]` is Blender's (H x W).
    """
    rng, stems = np.random.default_rng(0), list(depth_z)
    same = total = 0
    for stem in stems:
        rows, columns = np.nonzero(scene.labels[stem])
        picked = rng.permutation(len(rows))[:400]
        rows, columns = rows[picked], columns[picked]
        points = scene.unproject(stem, depth_z[stem])[rows, columns]
        for other in rng.choice([s for s in stems if s != stem], 6, replace=False):
            column, row, depth, inside = scene.project(other, points)
            seen = inside & (np.abs(depth_z[other][row, column] - depth) < tolerance)
            same += int((scene.labels[other][row, column] == scene.labels[stem][rows, columns])[seen].sum())
            total += int(seen.sum())
    return same / total, total
