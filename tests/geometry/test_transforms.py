"""Similarities: there and back, and cameras that keep what they see."""

import math

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sanerf.geometry.cameras import Camera, project
from sanerf.geometry.lenses import Lens
from sanerf.geometry.transforms import IDENTITY, Similarity


def turned_about_z(angle: float) -> torch.Tensor:
    c, s = math.cos(angle), math.sin(angle)
    return torch.tensor([[c, -s, 0], [s, c, 0], [0, 0, 1]], dtype=torch.float64)


similarities = st.builds(
    lambda scale, angle, shift: Similarity(scale, turned_about_z(angle), torch.tensor(shift, dtype=torch.float64)),
    st.floats(0.01, 100),
    st.floats(-4, 4),
    st.tuples(*[st.floats(-10, 10)] * 3),
)


def test_apply_scales_after_turning_and_shifts_last():
    similarity = Similarity(2.0, turned_about_z(math.pi / 2), torch.tensor([1.0, 0.0, 0.0], dtype=torch.float64))
    found = similarity.apply(torch.tensor([[3.0, 0.0, 5.0]]))
    torch.testing.assert_close(found, torch.tensor([[1.0, 6.0, 10.0]]))


@settings(max_examples=50, deadline=None)
@given(similarity=similarities)
def test_the_inverse_takes_points_back(similarity):
    points = torch.tensor([[1.0, 2.0, 3.0], [-4.0, 0.5, 0.0]], dtype=torch.float64)
    torch.testing.assert_close(similarity.inverse().apply(similarity.apply(points)), points, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(similarity.apply(similarity.inverse().apply(points)), points, rtol=1e-9, atol=1e-8)


@settings(max_examples=50, deadline=None)
@given(similarity=similarities)
def test_a_moved_camera_sees_moved_points_at_the_same_pixels(similarity):
    pose = torch.eye(4, dtype=torch.float64)
    pose[:3, :3], pose[:3, 3] = turned_about_z(0.7), torch.tensor([0.1, -0.2, -3.0])
    camera = Camera(64, 48, 50.0, 55.0, 32.0, 24.0, pose, Lens("opencv", (0.1, -0.02)))
    points = torch.tensor([[0.2, 0.1, 0.0], [-0.5, 0.4, 1.0]], dtype=torch.float64)
    xy, depth_z = project(camera, points)
    moved_xy, moved_depth_z = project(similarity.apply_to_camera(camera), similarity.apply(points))
    torch.testing.assert_close(moved_xy, xy, rtol=0, atol=1e-7)
    torch.testing.assert_close(moved_depth_z, similarity.scale * depth_z, rtol=1e-9, atol=1e-9)


def test_the_identity_changes_nothing():
    points = torch.tensor([[1.0, 2.0, 3.0]])
    assert torch.equal(IDENTITY.apply(points), points)


def test_one_similarity_after_another_is_both():
    turn = torch.tensor([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]], dtype=torch.float64)
    first = Similarity(2.0, turn, torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64))
    second = Similarity(0.5, turn.T, torch.tensor([0.0, -1.0, 4.0], dtype=torch.float64))
    points = torch.tensor([[1.0, 0.0, 0.0], [0.3, -2.0, 5.0]], dtype=torch.float64)
    torch.testing.assert_close(second.after(first).apply(points), second.apply(first.apply(points)))
    assert second.after(first).scale == 1.0
