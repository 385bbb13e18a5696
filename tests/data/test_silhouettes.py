"""A cut-out thing fills the unit ball, as far as the training views' silhouettes tell."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scene_writer import looking_at

from sanerf.data.load import load_scene
from sanerf.data.scene import Scene

SIZE, FOCAL, DISTANCE = 100, 130.0, 5.0
VIEWS = 8


def write_ball(
    root: Path, radius: float, *, radius_of_first: float | None = None, alpha_around: int = 0, turn: float = 1.0
) -> Path:
    """Pictures of a ball about the file's origin, drawn ray by ray, from `turn` of a circle 37 degrees above it; the
    first one may show another ball."""
    (root / "images").mkdir(parents=True)
    x, y = np.meshgrid(np.arange(SIZE) + 0.5, np.arange(SIZE) + 0.5)
    rays = np.stack([(x - SIZE / 2) / FOCAL, (y - SIZE / 2) / FOCAL, np.ones_like(x)], axis=-1)
    rays /= np.linalg.norm(rays, axis=-1, keepdims=True)
    passing = DISTANCE * np.sqrt(1 - rays[..., 2] ** 2)
    frames = []
    for i in range(VIEWS):
        angle = turn * 2 * math.pi * i / VIEWS
        eye = DISTANCE * np.array([0.8 * math.cos(angle), 0.8 * math.sin(angle), 0.6])
        pose = looking_at(eye, np.zeros(3)) @ np.diag([1.0, -1.0, -1.0, 1.0])
        frames.append({"file_path": f"images/{i}.png", "transform_matrix": pose.tolist()})
        covered = passing < (radius_of_first if i == 0 and radius_of_first else radius)
        rgba = np.full((SIZE, SIZE, 4), 200, dtype=np.uint8)
        rgba[..., 3] = np.where(covered, 255, alpha_around)
        Image.fromarray(rgba).save(root / "images" / f"{i}.png")
    numbers = {"w": SIZE, "h": SIZE, "fl_x": FOCAL, "fl_y": FOCAL, "cx": SIZE / 2, "cy": SIZE / 2}
    (root / "transforms.json").write_text(json.dumps({**numbers, "frames": frames}))
    return root


def distances(scene: Scene) -> list[float]:
    return [float(view.camera.centre.norm()) for view in scene.views]


@pytest.mark.parametrize("radius", [0.4, 1.2])
def test_the_visual_hull_fills_the_unit_ball(tmp_path, radius):
    scene = load_scene(write_ball(tmp_path, radius))
    # Lines of sight at 37 degrees graze the ball and meet above it, at 1 / cos(37 degrees) = 1.25 radii; nearby
    # cameras see over less of it, and cells and pixels take their share.
    assert 1.2 < 1 / (scene.world_from_file.scale * radius) < 1.55
    far_off = DISTANCE * scene.world_from_file.scale
    assert distances(scene) == pytest.approx([far_off] * VIEWS)
    assert (scene.near, scene.far) == pytest.approx((far_off - 1, far_off + 1))
    # Results go back to where the file has them.
    at_first_camera = scene.world_from_file.inverse().apply(scene.views[0].camera.centre[None])
    assert at_first_camera[0].tolist() == pytest.approx([4.0, 0.0, 3.0])


def test_held_out_views_are_not_looked_at(tmp_path):
    alike = load_scene(write_ball(tmp_path / "a", 0.4), holdout="every:8")
    other = load_scene(write_ball(tmp_path / "b", 0.4, radius_of_first=0.2), holdout="every:8")
    assert alike.test == other.test == (0,)
    assert alike.world_from_file.scale == other.world_from_file.scale
    assert load_scene(tmp_path / "b", holdout="none").world_from_file.scale > 1.1 * alike.world_from_file.scale


def test_a_thing_that_pictures_cut_off_keeps_the_cameras_at_unit_distance(tmp_path):
    # The picture's edge passes the origin at 1.79.
    scene = load_scene(write_ball(tmp_path, 1.85))
    assert distances(scene) == pytest.approx([1.0] * VIEWS)
    assert (scene.near, scene.far) == pytest.approx((0.05, 2.0))


def test_views_that_cut_the_thing_off_or_show_nothing_say_nothing_of_it(tmp_path):
    """The first view is cropped to a sliver of the ball, 40 pixels high at the picture's edge and 63 beyond it; the
    second is blank."""
    radius = 1.2
    whole = load_scene(write_ball(tmp_path / "whole", radius), holdout="none")
    root = write_ball(tmp_path / "less", radius)
    for i, left in ((0, 75), (1, 90)):
        picture = Image.open(root / "images" / f"{i}.png").crop((left, 0, SIZE, SIZE))
        picture.save(root / "images" / f"{i}.png")
    transforms = json.loads((root / "transforms.json").read_text())
    for i, left in ((0, 75), (1, 90)):
        transforms["frames"][i] |= {"w": SIZE - left, "h": SIZE, "fl_x": FOCAL, "fl_y": FOCAL}
        transforms["frames"][i] |= {"cx": SIZE / 2 - left, "cy": SIZE / 2}
    (root / "transforms.json").write_text(json.dumps(transforms))
    less = load_scene(root, holdout="none")
    ball = whole.world_from_file.scale * radius
    assert 0.75 * ball < less.world_from_file.scale * radius <= 1.02 * ball


def test_how_far_a_thing_reaches_back_is_not_guessed_from_one_side(tmp_path):
    """From 54 degrees of a circle it might reach far behind what is seen of it."""
    radius = 0.4
    scene = load_scene(write_ball(tmp_path, radius, turn=0.2))
    assert 1 / (scene.world_from_file.scale * radius) > 3


def test_faint_traces_of_alpha_are_not_the_thing(tmp_path):
    faint = load_scene(write_ball(tmp_path / "a", 0.4, alpha_around=8))
    clean = load_scene(write_ball(tmp_path / "b", 0.4))
    assert faint.world_from_file.scale == clean.world_from_file.scale
