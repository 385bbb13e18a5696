"""The stage of `analytic_scene` as files on disk: a scene of ten tiny pictures, true masks, prompts, run settings."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from analytic_scene import camera_at, cast, picture
from sanerf.aggregate.distill import DistillationConfig
from sanerf.fields.feature import FeatureConfig
from sanerf.fields.object import ObjectConfig
from sanerf.fields.radiance import RadianceConfig
from sanerf.geometry.cameras import Camera, resized
from sanerf.run.config import AggregateConfig, RunConfig, SamplingConfig, TrainingConfig

WIDTH, HEIGHT = 32, 24
VIEWS = [(0.1, 0.1), (-0.5, 0.0), (0.5, 0.0), (0.0, -0.5), (0.0, 0.5), (-0.4, 0.4), (0.4, -0.4), (0.45, 0.4),
         (-0.2, 0.2), (0.3, 0.0)]  # fmt: skip
TEST = ("0", "8")
CONFIG = RunConfig(
    radiance=RadianceConfig(levels=4, entries_log2=12, channels=2, coarsest=8, finest=32, hidden=16, geometry=7),
    sampling=SamplingConfig(bins=64, samples=32, grid_side=32, opacity_cap=0.2, uniform=0.2),
    training=TrainingConfig(steps=150, rays=256, learning_rate=3e-2, final_uniform=0.2),
    object=ObjectConfig(levels=4, entries_log2=12, coarsest=8, finest=64, hidden=16),
    aggregate=AggregateConfig(steps=60, revisions=1, rays=1024, learning_rate=2e-2),
    feature=FeatureConfig(levels=4, entries_log2=12, coarsest=8, finest=64, hidden=16, latent=8),
    distillation=DistillationConfig(steps=60, rays=1024, learning_rate=2e-2),
)


@dataclass(frozen=True)
class Stage:
    """The folders that tests share and do not change: the scene, its masks and prompts in `root`, and a trained run."""

    root: Path
    run: Path

    scene = property(lambda self: self.root / "scene")
    masks = property(lambda self: self.root / "masks")
    prompts = property(lambda self: self.root / "prompts.json")


def stage_camera(x: float, y: float) -> Camera:
    square = camera_at(x, y, towards=(0.0, 0.0, 0.2))
    return Camera(WIDTH, HEIGHT, 32.0, 32.0, WIDTH / 2, HEIGHT / 2, square.world_from_cam)


def write_scene(root: Path, frames: int = len(VIEWS), scale: int = 1) -> Path:
    """The stage as `transforms.json` and cut-out pictures, `scale` times as large; the unit is doubled in the file."""
    (root / "images").mkdir(parents=True)
    listed = []
    for i, xy in enumerate(VIEWS[:frames]):
        camera = resized(stage_camera(*xy), scale * WIDTH, scale * HEIGHT)
        rgb, alpha = picture(camera)
        Image.fromarray(torch.cat([rgb, alpha[..., None]], dim=-1).numpy()).save(root / "images" / f"{i}.png")
        pose = camera.world_from_cam.numpy() @ np.diag([1.0, -1.0, -1.0, 1.0])
        pose[:3, 3] *= 2
        listed.append({"file_path": f"images/{i}.png", "transform_matrix": pose.tolist()})
    width, height, focal = scale * WIDTH, scale * HEIGHT, scale * 32.0
    numbers = {"w": width, "h": height, "fl_x": focal, "fl_y": focal, "cx": width / 2, "cy": height / 2}
    (root / "transforms.json").write_text(json.dumps({**numbers, "frames": listed}))
    return root


def ball_mask(index: int) -> np.ndarray:
    return cast(stage_camera(*VIEWS[index]))[1].reshape(HEIGHT, WIDTH).numpy()


def write_masks(root: Path) -> Path:
    """True masks of the ball and of the wall in every view, as folders."""
    for name in ("ball", "wall"):
        (root / name).mkdir(parents=True)
        for i, xy in enumerate(VIEWS):
            solid = cast(stage_camera(*xy))[0].isfinite().reshape(HEIGHT, WIDTH).numpy()
            mask = ball_mask(i) if name == "ball" else solid & ~ball_mask(i)
            Image.fromarray(mask.astype(np.uint8) * 255).save(root / name / f"{i}.png")
    return root


def write_prompts(path: Path, **changed) -> Path:
    """A click on the middle of the ball in view 9 and one on the wall; `changed` replaces keys of the ball's click."""
    click = {"view": "9.png", "xy": [16.0, 10.0], "label": 1, **changed}
    wall = {"name": "wall", "points": [{"xyz": [0.9, 0.9, 1.6], "label": 1}]}
    path.write_text(json.dumps({"objects": [{"name": "ball", "points": [click]}, wall]}))
    return path
