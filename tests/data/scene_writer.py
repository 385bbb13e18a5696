"""Tiny scenes on disk in every layout: cameras on a ring of radius 4 about the point (1, 2, 3), looking at it."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

RING_CENTRE = np.array([1.0, 2.0, 3.0])
RING_RADIUS = 4.0


def looking_at(eye: np.ndarray, target: np.ndarray) -> np.ndarray:
    """The OpenCV world_from_cam of an upright camera (world z up) at `eye`."""
    forward = (target - eye) / np.linalg.norm(target - eye)
    right = np.cross(forward, [0.0, 0.0, 1.0])
    right /= np.linalg.norm(right)
    pose = np.eye(4)
    pose[:3, :3] = np.stack([right, np.cross(forward, right), forward], axis=1)
    pose[:3, 3] = eye
    return pose


def ring_poses(count: int, centre: np.ndarray = RING_CENTRE) -> list[np.ndarray]:
    angles = np.linspace(0, 2 * math.pi, count, endpoint=False)
    offsets = RING_RADIUS * np.stack([0.8 * np.cos(angles), 0.8 * np.sin(angles), np.full(count, 0.6)], axis=1)
    return [looking_at(centre + offset, centre) for offset in offsets]


def write_picture(path: Path, width: int = 8, height: int = 6, mode: str = "RGB", exif_orientation: int = 1) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    channels = len(mode)
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, channels), dtype=np.uint8)
    picture = Image.fromarray(pixels)
    exif = picture.getexif()
    exif[0x0112] = exif_orientation
    picture.save(path, exif=exif)


def opengl_matrix(world_from_cam: np.ndarray) -> list[list[float]]:
    return (world_from_cam @ np.diag([1.0, -1.0, -1.0, 1.0])).tolist()


def write_transforms(root: Path, count: int = 9, missing: tuple[int, ...] = (), **top: Any) -> dict[str, Any]:
    """`transforms.json` with pictures images/000.png ... of 8x6, save those in `missing`; returns its content."""
    frames = []
    for i, pose in enumerate(ring_poses(count)):
        path = f"images/{i:03d}.png"
        frames.append({"file_path": path, "transform_matrix": opengl_matrix(pose)})
        if i not in missing:
            write_picture(root / path)
    content = {"fl_x": 10.0, "fl_y": 11.0, "cx": 4.5, "cy": 3.25, "w": 8, "h": 6, **top, "frames": frames}
    content = {key: value for key, value in content.items() if value is not None}
    save_json(root / "transforms.json", content)
    return content


def write_blender(root: Path, parts: dict[str, int], mode: str = "RGBA") -> None:
    """transforms_PART.json with that many views about the origin, picture paths without an ending."""
    for part, count in parts.items():
        frames = []
        for i, pose in enumerate(ring_poses(count, np.zeros(3))):
            write_picture(root / part / f"r_{i}.png", 8, 8, mode)
            frames.append({"file_path": f"./{part}/r_{i}", "transform_matrix": opengl_matrix(pose)})
        save_json(root / f"transforms_{part}.json", {"camera_angle_x": 0.8, "frames": frames})


def llff_row(world_from_cam: np.ndarray, height: float, width: float, focal: float, bounds: tuple[float, float]):
    right, down, forward, eye = world_from_cam[:3].T
    matrix = np.stack([down, right, -forward, eye, [height, width, focal]], axis=1)
    return np.concatenate([matrix.reshape(-1), bounds])


def write_llff(root: Path, poses: list[np.ndarray], folder: str = "images", bounds=(2.0, 30.0)) -> np.ndarray:
    """`poses_bounds.npy` calibrated for 16x12 with pictures of 8x6; returns the array."""
    for i in range(len(poses)):
        write_picture(root / folder / f"IMG_{i:02d}.png")
    rows = np.stack([llff_row(pose, 12.0, 16.0, 20.0, bounds) for pose in poses])
    np.save(root / "poses_bounds.npy", rows)
    return rows


def save_json(path: Path, content: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content), encoding="utf-8")
