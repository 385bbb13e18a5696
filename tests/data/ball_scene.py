"""Three balls photographed from known places: pictures and identities drawn ray by ray, for readers to be held against.

Nothing here is the package's: a camera is its OpenCV pose and its intrinsics for pixel centres at halves, and each
layout's test writes them down in that layout's own convention.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from scene_writer import looking_at

from sanerf.data.capture import Capture
from sanerf.geometry.cameras import project

WIDTH, HEIGHT = 96, 72
FX, FY, CX, CY = 110.0, 104.0, 50.25, 34.5
CENTRES = np.array([[1.0, 2.0, 0.5], [1.6, 2.2, 0.9], [0.5, 1.5, 1.0]])
RADIUS = 0.11
COLOURS = np.array([[220, 30, 30], [30, 200, 40], [40, 60, 230]], dtype=np.uint8)
IDENTITIES = (7, 300, 12)


@dataclass(frozen=True)
class Shot:
    """One photograph: OpenCV's world_from_cam, colours (h w 3), identities (h w), 0 where no ball is, and which balls
    are seen whole."""

    pose: np.ndarray
    rgb: np.ndarray
    identities: np.ndarray
    whole: list[bool]


def shots(count: int = 5) -> list[Shot]:
    """Photographs from all round, each camera rolled by another angle, so that no axis may be mistaken for another."""
    out = []
    for i in range(count):
        angle = 0.4 + 2 * np.pi * i / count
        pose = looking_at(np.array([1.0 + 3 * np.cos(angle), 2.0 + 3 * np.sin(angle), 2.0]), CENTRES.mean(axis=0))
        roll = 0.3 + i
        pose[:3, :3] = pose[:3, :3] @ [[np.cos(roll), -np.sin(roll), 0], [np.sin(roll), np.cos(roll), 0], [0, 0, 1]]
        out.append(_photograph(pose))
    return out


def _photograph(pose: np.ndarray) -> Shot:
    x, y = np.meshgrid(np.arange(WIDTH) + 0.5, np.arange(HEIGHT) + 0.5)
    rays = np.stack([(x - CX) / FX, (y - CY) / FY, np.ones_like(x)], axis=-1) @ pose[:3, :3].T
    rays /= np.linalg.norm(rays, axis=-1, keepdims=True)
    pixels = np.zeros(len(CENTRES))
    rgb, identities = np.full((HEIGHT, WIDTH, 3), 128, dtype=np.uint8), np.zeros((HEIGHT, WIDTH), dtype=np.int32)
    # From the farthest ball to the nearest, which may stand in front of it.
    for i in np.argsort(-np.linalg.norm(CENTRES - pose[:3, 3], axis=1)):
        to_centre = CENTRES[i] - pose[:3, 3]
        along = rays @ to_centre
        hit = (along > 0) & (to_centre @ to_centre - along**2 < RADIUS**2)
        rgb[hit], identities[hit] = COLOURS[i], IDENTITIES[i]
        inside = hit.any() and not (hit[0].any() or hit[-1].any() or hit[:, 0].any() or hit[:, -1].any())
        pixels[i] = hit.sum() if inside else -1
    return Shot(pose, rgb, identities, [(identities == k).sum() == n for k, n in zip(IDENTITIES, pixels, strict=True)])


def save_png(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def assert_balls_are_where_cameras_see_them(capture: Capture, shot_of: dict[str, Shot]) -> None:
    """Each ball's projected centre is the middle of its pixels; to a twentieth of a pixel in the mean, for half a pixel
    is what conventions differ by, and to 0.3 each, for the balls have but some 40 pixels."""
    assert [view.name for view in capture.views] == sorted(shot_of)
    errors = []
    for view in capture.views:
        shot = shot_of[view.name]
        xy, depth_z = project(view.camera, torch.from_numpy(CENTRES))
        assert (depth_z > 0).all()
        picture = np.asarray(Image.open(view.image_path).convert("RGB")).astype(int)
        for i, (x, y) in enumerate(xy.tolist()):
            if not shot.whole[i]:
                continue
            rows, columns = np.nonzero(shot.identities == IDENTITIES[i])
            errors.append((columns.mean() + 0.5 - x, rows.mean() + 0.5 - y))
            assert np.abs(picture[int(y), int(x)] - COLOURS[i]).max() < 40, (view.name, i)
    assert len(errors) >= 2 * len(shot_of)
    assert np.abs(errors).max() < 0.3
    assert np.abs(np.mean(errors, axis=0)).max() < 0.05
