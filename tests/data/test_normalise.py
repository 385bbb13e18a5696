"""The normalised world: where the origin, up and unit are, for each kind of capture."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from scene_writer import RING_CENTRE, looking_at, ring_poses

from sanerf.data.capture import Capture
from sanerf.data.normalise import focus_point, looks_inward, mean_up, normalise, rotation_to_z
from sanerf.data.scene import View
from sanerf.geometry.cameras import Camera
from sanerf.geometry.transforms import Similarity


def cameras_at(poses: list[np.ndarray]) -> list[Camera]:
    return [Camera(8, 6, 10.0, 10.0, 4.0, 3.0, torch.from_numpy(pose)) for pose in poses]


def capture_of(poses: list[np.ndarray], close_bound: float | None = None) -> Capture:
    views = tuple(View(f"{i}.png", Path(f"{i}.png"), camera) for i, camera in enumerate(cameras_at(poses)))
    return Capture(Path(), "made up", views, close_bound=close_bound)


def forward_poses(count: int = 20) -> list[np.ndarray]:
    """Cameras on a wall of about 2 x 1, all looking along +x to within a degree, at random."""
    generator = np.random.default_rng(0)
    eyes = generator.uniform(-1, 1, (count, 3)) * [0.0, 1.0, 0.5] + [5.0, 0.0, 1.0]
    wobble = generator.normal(0, 0.01, (count, 3)) * [0.0, 1.0, 1.0]
    return [looking_at(eye, eye + np.array([1.0, 0.0, 0.0]) + w) for eye, w in zip(eyes, wobble, strict=True)]


def test_an_inward_capture_in_any_frame_comes_to_the_origin_upright_with_unit_distance():
    tilt = rotation_to_z(torch.tensor([0.3, -0.5, 0.2], dtype=torch.float64)).T
    file_from_upright = Similarity(7.0, tilt, torch.tensor([4.0, -2.0, 9.0], dtype=torch.float64))
    capture = capture_of(ring_poses(12))
    capture = replace(
        capture,
        views=tuple(replace(view, camera=file_from_upright.apply_to_camera(view.camera)) for view in capture.views),
    )
    found = normalise(capture)
    cameras = [found.world_from_file.apply_to_camera(view.camera) for view in capture.views]
    centres = torch.stack([camera.centre for camera in cameras])
    axes = torch.stack([camera.world_from_cam[:3, 2] for camera in cameras])
    # The ring is 0.6 of its radius above what it looks at: exactly so in the world.
    torch.testing.assert_close(centres[:, 2], torch.full((12,), 0.6, dtype=torch.float64))
    torch.testing.assert_close(centres.norm(dim=-1), torch.ones(12, dtype=torch.float64))
    torch.testing.assert_close(axes, -centres)
    assert (found.near, found.far) == (0.05, math.inf)


def test_the_focus_is_not_pulled_away_by_cameras_that_look_elsewhere():
    poses = ring_poses(16)
    for i in (2, 3):
        poses[i] = looking_at(poses[i][:3, 3], poses[i][:3, 3] + np.array([0.3, 5.0, 4.0]))
    focus = focus_point(cameras_at(poses))
    assert np.abs(focus.numpy() - RING_CENTRE).max() < 0.02


def test_a_half_circle_and_an_arc_of_fifty_degrees_count_as_looking_inward():
    for degrees in (180, 50):
        angles = np.radians(np.linspace(-degrees / 2, degrees / 2, 15))
        eyes = np.stack([4 * np.cos(angles), 4 * np.sin(angles), np.ones(15)], axis=1)
        cameras = cameras_at([looking_at(eye, np.zeros(3)) for eye in eyes])
        focus = focus_point(cameras)
        assert looks_inward(cameras, focus)
        assert focus.abs().max() < 1e-6


def test_a_forward_facing_capture_is_centred_on_its_cameras_with_the_near_bound_at_one_half():
    capture = capture_of(forward_poses(), close_bound=4.0)
    found = normalise(capture)
    centres = torch.stack([view.camera.centre for view in capture.views])
    assert found.world_from_file.scale == pytest.approx(0.125)
    assert found.world_from_file.apply(centres).mean(dim=0).abs().max() < 1e-9
    assert (found.near, found.far) == (pytest.approx(0.45), math.inf)


def test_a_forward_facing_capture_without_bounds_is_scaled_by_the_spread_of_its_cameras():
    capture = capture_of(forward_poses())
    found = normalise(capture)
    centres = found.world_from_file.apply(torch.stack([view.camera.centre for view in capture.views]))
    assert float(centres.square().sum(dim=-1).mean().sqrt()) == pytest.approx(0.25)


def test_a_panorama_looks_outward_and_a_single_view_forward():
    outward = [looking_at(pose[:3, 3], 2 * pose[:3, 3] - RING_CENTRE) for pose in ring_poses(12)]
    for poses in (outward, outward[:1]):
        cameras = cameras_at(poses)
        assert not looks_inward(cameras, focus_point(cameras))
    one = normalise(capture_of(outward[:1]))
    assert one.world_from_file.scale == 1.0
    assert one.world_from_file.apply(torch.from_numpy(outward[0][None, :3, 3])).abs().max() < 1e-9


@pytest.mark.parametrize("up", [(0.0, 0.0, 1.0), (0.0, 0.0, -1.0), (1.0, 0.0, 0.0), (0.2, -0.7, -0.6)])
def test_rotation_to_z_is_a_rotation_that_takes_up_to_z(up):
    direction = torch.tensor(up, dtype=torch.float64)
    rotation = rotation_to_z(direction)
    torch.testing.assert_close(rotation @ direction / direction.norm(), torch.tensor([0.0, 0.0, 1.0]).double())
    torch.testing.assert_close(rotation @ rotation.T, torch.eye(3, dtype=torch.float64))
    assert float(torch.linalg.det(rotation)) == pytest.approx(1.0)


def test_cameras_that_do_not_agree_on_up_turn_nothing():
    upside_down = np.diag([-1.0, -1.0, 1.0, 1.0])
    poses = [pose @ turn for pose in ring_poses(4) for turn in (np.eye(4), upside_down)]
    up = mean_up(cameras_at(poses))
    assert up.norm() < 1e-9
    assert torch.equal(rotation_to_z(up), torch.eye(3, dtype=torch.float64))
