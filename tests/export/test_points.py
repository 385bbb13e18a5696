"""A sphere seen from six sides becomes a cloud on that sphere, with its normals and colours."""

import math

import numpy as np
import pytest
import torch
import trimesh

from sanerf.errors import UserError
from sanerf.export.ply import read_ply
from sanerf.export.points import (
    facing_normals,
    isolated,
    surface_points,
    transform_points,
    voxel_means,
    write_points,
)
from sanerf.geometry.cameras import Camera, Rays, image_rays
from sanerf.geometry.transforms import Similarity

RADIUS = 0.5


def rays_from_six_sides(pixels: int = 80) -> Rays:
    parts = []
    for axis in range(3):
        for sign in (-1.0, 1.0):
            forward = torch.zeros(3, dtype=torch.float64)
            forward[axis] = -sign
            right = torch.roll(forward, 1).abs()
            pose = torch.eye(4, dtype=torch.float64)
            pose[:3, :3] = torch.stack([right, torch.linalg.cross(forward, right), forward], dim=1)
            pose[:3, 3] = -2 * forward
            parts.append(image_rays(Camera(pixels, pixels, 1.6 * pixels, 1.6 * pixels, pixels / 2, pixels / 2, pose)))
    return Rays(*(torch.cat([getattr(p, n) for p in parts]) for n in ("origins", "directions", "z_per_distance")))


def sphere_distances(rays: Rays) -> torch.Tensor:
    """Along each ray to the sphere about the origin, infinite where it misses."""
    half = (rays.origins * rays.directions).sum(1)
    root = half**2 - (rays.origins**2).sum(1) + RADIUS**2
    return torch.where(root > 0, -half - root.clamp(min=0).sqrt(), torch.tensor(math.inf))


@pytest.fixture(scope="module")
def scene():
    rays = rays_from_six_sides()
    distances = sphere_distances(rays)
    ends = rays.origins + distances[:, None].nan_to_num(posinf=0) * rays.directions
    return rays, distances, (ends / RADIUS + 1).clamp(0, 2) / 2


def test_sphere_points_normals_and_colours(scene):
    rays, distances, colours = scene
    cloud = surface_points(rays, distances, colours=colours, voxel=0.03)
    radii = np.linalg.norm(cloud.points, axis=1)
    # A voxel's mean lies below the sphere by at most about voxel^2 / (2 radius) = 0.0009.
    assert np.abs(radii - RADIUS).max() < 0.0015
    outward = cloud.points / radii[:, None]
    cosines = (outward * cloud.normals).sum(1)
    assert cosines.min() > math.cos(math.radians(25)) and np.median(cosines) > math.cos(math.radians(3))
    np.testing.assert_allclose(np.linalg.norm(cloud.normals, axis=1), 1, atol=1e-5)
    assert np.abs(cloud.colours / 255 - (cloud.points / RADIUS + 1) / 2).max() < 0.01
    # A plane of the sphere's area meets about area / voxel^2 = 3491 voxels, a slanted one up to sqrt 3 times more.
    assert 3000 < len(cloud) < 6100


def test_rays_that_end_nowhere_are_left_out(scene):
    rays, distances, colours = scene
    right = (colours[:, 0] > 0.5) & torch.isfinite(distances)
    nowhere = torch.where(torch.arange(len(rays)) % 2 == 0, math.inf, -1.0)
    cloud = surface_points(rays, torch.where(right, distances, nowhere), colours=colours, voxel=0.03)
    expected = surface_points(rays[right], distances[right], colours=colours[right], voxel=0.03)
    np.testing.assert_array_equal(cloud.points, expected.points)
    with pytest.raises(UserError, match="no ray ends on the object"):
        surface_points(rays, nowhere, colours=colours, voxel=0.03)


def test_floating_points_are_dropped(scene):
    rays, distances, colours = scene
    hits = torch.isfinite(distances).nonzero()[:, 0]
    floating = distances.clone()
    floating[hits[::500]] -= 0.6
    cloud = surface_points(rays, floating, colours=colours, voxel=0.03)
    kept_all = surface_points(rays, floating, colours=colours, voxel=0.03, outlier_spread=0.0)
    assert (np.linalg.norm(kept_all.points, axis=1) > RADIUS + 0.1).sum() > 10
    assert np.linalg.norm(cloud.points, axis=1).max() < RADIUS + 0.01
    assert len(cloud) > 0.95 * (np.linalg.norm(kept_all.points, axis=1) < RADIUS + 0.01).sum()


def test_voxel_means_against_a_loop():
    random = np.random.default_rng(0)
    points, values = random.random((200, 3)), random.random((200, 2))
    points[0] = 0.0
    groups: dict[tuple, list[int]] = {}
    for i, point in enumerate(points - points.min(axis=0)):
        groups.setdefault(tuple(int(c // 0.25) for c in point), []).append(i)
    found_points, found_values = voxel_means(points, values, 0.25)
    expected = [groups[key] for key in sorted(groups)]
    np.testing.assert_allclose(found_points, [points[g].mean(axis=0) for g in expected])
    np.testing.assert_allclose(found_values, [values[g].mean(axis=0) for g in expected])


def test_few_points_are_never_isolated_and_face_the_camera():
    points = np.array([[0.0, 0, 0], [100, 0, 0]])
    assert not isolated(points).any()
    np.testing.assert_allclose(facing_normals(points, np.array([[0.0, 0, 2], [0, 3, 0]])), [[0, 0, 1], [0, 1, 0]])


def test_transform_and_file(tmp_path, scene):
    rays, distances, colours = scene
    cloud = surface_points(rays, distances, colours=colours, voxel=0.1)
    quarter_turn = torch.tensor([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]], dtype=torch.float64)
    moved = transform_points(cloud, Similarity(2.0, quarter_turn, torch.tensor([1.0, 2, 3], dtype=torch.float64)))
    x, y, z = cloud.points.T
    np.testing.assert_allclose(moved.points, np.stack([1 - 2 * y, 2 + 2 * x, 3 + 2 * z], axis=1), atol=1e-6)
    np.testing.assert_allclose(moved.normals[:, 0], -cloud.normals[:, 1], atol=1e-6)
    write_points(tmp_path / "a.ply", moved)
    found = read_ply(tmp_path / "a.ply")
    np.testing.assert_array_equal(found.normals, moved.normals)
    loaded = trimesh.load(tmp_path / "a.ply")
    np.testing.assert_allclose(loaded.vertices, moved.points)
    np.testing.assert_array_equal(loaded.colors[:, :3], moved.colours)
    with pytest.raises(UserError, match=r"\.ply"):
        write_points(tmp_path / "a.xyz", moved)
