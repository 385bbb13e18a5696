"""A capture of uniform photographs, each with a square of another grey in it, which its mask marks."""

import json
from pathlib import Path

import numpy as np
from PIL import Image

from analytic_scene import camera_at

WIDTH = HEIGHT = 24
GREY, SQUARE = 128, 64
"""Bytes of the photographs, outside of the square of 8 x 8 pixels and in it."""
VIEWS = [(0.1, 0.1), (-0.5, 0.0), (0.5, 0.0), (0.0, -0.5), (0.0, 0.5), (-0.4, 0.4), (0.4, -0.4), (0.45, 0.4),
         (-0.2, 0.2)]  # fmt: skip
TEST = (0, 8)
"""The views that every:8 holds out."""


def write_capture(root: Path) -> Path:
    """As `transforms.json` with `images/` and `masks/`."""
    (root / "images").mkdir(parents=True)
    (root / "masks").mkdir()
    frames = []
    for i, (x, y) in enumerate(VIEWS):
        photo, mask = np.full((HEIGHT, WIDTH, 3), GREY, np.uint8), np.zeros((HEIGHT, WIDTH), np.uint8)
        photo[4:12, 8:16], mask[4:12, 8:16] = SQUARE, 255
        Image.fromarray(photo).save(root / "images" / f"{i}.png")
        Image.fromarray(mask).save(root / "masks" / f"{i}.png")
        pose = camera_at(x, y, towards=(0.0, 0.0, 0.2)).world_from_cam.numpy() @ np.diag([1.0, -1.0, -1.0, 1.0])
        frames.append({"file_path": f"images/{i}.png", "transform_matrix": pose.tolist()})
    numbers = {"w": WIDTH, "h": HEIGHT, "fl_x": 24.0, "fl_y": 24.0, "cx": WIDTH / 2, "cy": HEIGHT / 2}
    (root / "transforms.json").write_text(json.dumps({**numbers, "frames": frames}))
    return root
