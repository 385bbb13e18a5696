"""Meshes of spheres: volume, area, closedness and orientation against closed forms, trimesh as the second opinion."""

import json
import math
import struct
import sys

import numpy as np
import pytest
import torch
import trimesh
from torch import Tensor

from sanerf.errors import MissingExtraError, UserError
from sanerf.export.lattice import BLOCK, Lattice, check_resolution, lattice_positions, make_lattice, sample_lattice
from sanerf.export.mesh import (
    Mesh,
    colour_vertices,
    keep_large_components,
    keep_seen_components,
    mesh_from_function,
    signed_volume,
    surface_area,
    transform_mesh,
)
from sanerf.export.mesh_files import write_mesh
from sanerf.export.ply import read_ply
from sanerf.geometry.transforms import Similarity

RADIUS = 0.6
LOW, HIGH = torch.tensor([-1.0, -0.9, -0.8]), torch.tensor([1.0, 0.9, 0.8])


def ball(points: Tensor, centre: tuple[float, float, float] = (0.0, 0.0, 0.0), radius: float = RADIUS) -> Tensor:
    """A soft ball: 0.5 on its surface, 1 deep inside, 0 far away."""
    return torch.sigmoid(20 * (radius - (points - points.new_tensor(centre)).norm(dim=1)))


def all_positions(lattice: Lattice) -> Tensor:
    index = torch.cartesian_prod(*(torch.arange(n + 1, dtype=torch.float64) for n in lattice.cells))
    return lattice_positions(lattice, index).float()


def as_trimesh(mesh: Mesh) -> trimesh.Trimesh:
    return trimesh.Trimesh(mesh.vertices, mesh.faces, process=True)


@pytest.fixture(scope="module")
def sphere() -> Mesh:
    mesh = mesh_from_function(ball, bounds_min=LOW, bounds_max=HIGH, resolution=64)
    return colour_vertices(mesh, lambda points, normals: (points + 1) / 2)


def test_sphere_has_the_volume_and_area_of_a_sphere(sphere):
    assert signed_volume(sphere) == pytest.approx(4 / 3 * math.pi * RADIUS**3, rel=0.005)
    assert surface_area(sphere) == pytest.approx(4 * math.pi * RADIUS**2, rel=0.005)
    assert np.abs(np.linalg.norm(sphere.vertices, axis=1) - RADIUS).max() < 0.002
    assert not sphere.invented.any()


def test_sphere_is_closed_and_turned_outwards(sphere):
    independent = as_trimesh(sphere)
    assert independent.is_watertight and independent.is_winding_consistent and independent.euler_number == 2
    assert independent.volume == pytest.approx(signed_volume(sphere), rel=1e-5)
    cosines = (sphere.normals * sphere.vertices).sum(axis=1) / np.linalg.norm(sphere.vertices, axis=1)
    assert cosines.min() > 0.995


def test_what_the_box_cuts_open_gets_a_flat_lid_marked_as_invented():
    cut = 0.2
    mesh = mesh_from_function(ball, bounds_min=LOW, bounds_max=torch.tensor([1.0, 0.9, cut]), resolution=64, level=0.5)
    height = RADIUS + cut
    assert signed_volume(mesh) == pytest.approx(math.pi * height**2 * (3 * RADIUS - height) / 3, rel=0.005)
    lid = math.pi * (RADIUS**2 - cut**2)
    assert surface_area(mesh) == pytest.approx(2 * math.pi * RADIUS * height + lid, rel=0.01)
    assert as_trimesh(mesh).is_watertight
    np.testing.assert_array_equal(mesh.vertices[mesh.invented][:, 2], np.float32(cut))
    # The other vertices on the lid's plane are its rim.
    flat = (mesh.vertices[:, 2] == np.float32(cut)) & ~mesh.invented
    np.testing.assert_allclose(
        np.linalg.norm(mesh.vertices[flat, :2], axis=1), math.sqrt(RADIUS**2 - cut**2), atol=0.02
    )


def test_refinement_gives_the_dense_values_near_the_surface_for_fewer_questions():
    asked = 0

    def counted(points: Tensor) -> Tensor:
        nonlocal asked
        assert len(points) <= 5000
        asked += len(points)
        return ball(points)

    lattice = make_lattice(LOW, HIGH, resolution=120)
    values = sample_lattice(counted, lattice, level=0.5, chunk=5000)
    dense = ball(all_positions(lattice)).reshape(values.shape)
    assert torch.equal(values > 0.5, dense > 0.5)
    near = (dense - 0.5).abs() < 0.3
    torch.testing.assert_close(values[near], dense[near], atol=1e-5, rtol=0)
    assert asked < 0.5 * dense.numel()


def test_refinement_follows_a_surface_that_the_coarse_corners_miss():
    """A rod as thin as a quarter of a block leaves a ball; no coarse corner beyond the ball is inside it."""
    lattice = make_lattice(LOW, HIGH, resolution=96)
    cell = 2.0 / lattice.cells[0]

    def lollipop(points: Tensor) -> Tensor:
        x, y, z = (points - 3.5 * cell).unbind(1)
        rod = 2 * cell - torch.maximum((y**2 + z**2).sqrt(), x.abs() - 0.8)
        return torch.maximum(rod, 0.3 - points.norm(dim=1))

    values = sample_lattice(lollipop, lattice, level=0.0, chunk=1 << 16)
    dense = lollipop(all_positions(lattice)).reshape(values.shape)
    corners = dense[::BLOCK, ::BLOCK, ::BLOCK]
    assert not (corners[9:] > 0).any(), "the rod must be invisible to the coarse pass"
    assert (dense[80:] > 0).any()
    assert torch.equal(values > 0, dense > 0)


def test_small_pieces_and_cavities_go():
    def pieces(points: Tensor) -> Tensor:
        hollow = ball(points, radius=0.5) - ball(points, radius=0.25)
        return torch.maximum(hollow, ball(points, (0.8, 0.0, 0.0), 0.08))

    mesh = mesh_from_function(pieces, bounds_min=LOW, bounds_max=HIGH, resolution=64, level=0.5)
    shell = 4 / 3 * math.pi * (0.5**3 - 0.25**3)
    everything = keep_large_components(mesh, fraction=0.0, cavities=True)
    assert len(everything.faces) == len(mesh.faces)
    hollow = keep_large_components(mesh, fraction=0.05, cavities=True)
    assert signed_volume(hollow) == pytest.approx(shell, rel=0.02)
    solid = keep_large_components(mesh, fraction=0.05)
    assert signed_volume(solid) == pytest.approx(4 / 3 * math.pi * 0.5**3, rel=0.02)
    assert len(solid.vertices) == solid.faces.max() + 1 and as_trimesh(solid).is_watertight
    assert as_trimesh(keep_large_components(mesh, fraction=0.01)).body_count == 2


def test_pieces_that_nobody_saw_go_however_large():
    """Two balls, the smaller one seen from all sides, the larger one at three places."""
    small, large = (-0.5, 0.0, 0.0), (0.5, 0.0, 0.0)
    mesh = mesh_from_function(
        lambda points: torch.maximum(ball(points, small, 0.2), ball(points, large, 0.4)),
        bounds_min=LOW,
        bounds_max=HIGH,
        resolution=64,
    )
    around = np.random.default_rng(0).normal(size=(400, 3))
    around *= 0.2 / np.linalg.norm(around, axis=1, keepdims=True)
    seen = np.concatenate([around + small, [[0.9, 0, 0], [0.5, 0.4, 0], [0.1, 0, 0]]]).astype(np.float32)
    kept = keep_seen_components(mesh, seen, reach=0.05)
    assert kept.vertices[:, 0].max() < 0 and signed_volume(kept) == pytest.approx(4 / 3 * math.pi * 0.2**3, rel=0.05)
    assert len(keep_seen_components(mesh, seen + 5, reach=0.05).faces) == len(mesh.faces)


def test_smoothing_removes_noise():
    noise = torch.Generator().manual_seed(0)

    def noisy(points: Tensor) -> Tensor:
        return ball(points) + 0.2 * torch.randn(len(points), generator=noise)

    rough = mesh_from_function(noisy, bounds_min=LOW, bounds_max=HIGH, resolution=48)
    noise.manual_seed(0)
    calm = mesh_from_function(noisy, bounds_min=LOW, bounds_max=HIGH, resolution=48, smooth=1.5)
    true_area = 4 * math.pi * RADIUS**2
    assert surface_area(rough) > 1.3 * true_area
    assert surface_area(calm) == pytest.approx(true_area, rel=0.05)


def test_no_surface_a_flat_box_and_too_fine_a_grid_are_said():
    with pytest.raises(UserError, match=r"no surface at level 2 .* from 0 to 1"):
        mesh_from_function(lambda p: (p[:, 0] > 0).float(), bounds_min=LOW, bounds_max=HIGH, resolution=16, level=2.0)
    with pytest.raises(UserError, match=r"no surface at level 0\.5"):
        mesh_from_function(lambda p: torch.ones(len(p)), bounds_min=LOW, bounds_max=HIGH, resolution=16)
    with pytest.raises(UserError, match="box with a volume"):
        mesh_from_function(ball, bounds_min=LOW, bounds_max=LOW, resolution=16)
    with pytest.raises(UserError, match="at most 216 million"):
        mesh_from_function(ball, bounds_min=LOW, bounds_max=HIGH, resolution=2000)
    for resolution in (10**7, 10**11, 10**30, 10**400):
        with pytest.raises(UserError, match="more than 216 million grid points"):
            mesh_from_function(ball, bounds_min=LOW, bounds_max=HIGH, resolution=resolution)


def test_a_resolution_that_passes_beforehand_is_not_refused_once_the_object_is_known():
    """A cube needs the most points: whole blocks of 8 cells and one point more along each side, 600^3 in all."""
    largest = max(r for r in range(8, 4000, 8) if (r + 1) ** 3 <= 600**3)
    check_resolution(largest)
    assert make_lattice(LOW, LOW + 1, resolution=largest).cells == (largest, largest, largest)
    with pytest.raises(UserError, match="at most 216 million"):
        make_lattice(LOW, LOW + 1, resolution=largest + 1)
    for resolution in (largest + 1, 100_000, 10**11, 10**30):
        with pytest.raises(UserError, match=f"a mesh resolution is at most {largest}, not {resolution}"):
            check_resolution(resolution)


def test_without_scikit_image_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "skimage.measure", None)
    with pytest.raises(MissingExtraError, match=r"scikit-image.*sanerf\[mesh\]"):
        mesh_from_function(ball, bounds_min=LOW, bounds_max=HIGH, resolution=8)


def test_transform_scales_the_volume(sphere):
    turn = torch.tensor([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]], dtype=torch.float64)
    moved = transform_mesh(sphere, Similarity(3.0, turn, torch.tensor([5.0, 0, 0], dtype=torch.float64)))
    assert signed_volume(moved) == pytest.approx(27 * signed_volume(sphere), rel=1e-4)
    np.testing.assert_allclose(moved.vertices[:, 0], 5 - 3 * sphere.vertices[:, 1], atol=1e-5)
    np.testing.assert_allclose(moved.normals[:, 1], sphere.normals[:, 0], atol=1e-6)


def linear_to_srgb(linear: np.ndarray) -> np.ndarray:
    return np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)


@pytest.mark.parametrize("ending", ["ply", "obj", "glb"])
def test_trimesh_reads_shape_and_colours_back(tmp_path, sphere, ending):
    path = tmp_path / f"ball.{ending}"
    write_mesh(path, sphere)
    (found,) = trimesh.load_scene(path, process=False).geometry.values()
    np.testing.assert_allclose(found.vertices, sphere.vertices, atol=1e-6)
    np.testing.assert_array_equal(found.faces, sphere.faces)
    np.testing.assert_allclose(found.vertex_normals, sphere.normals, atol=0.05)
    assert found.is_watertight and found.volume == pytest.approx(signed_volume(sphere), rel=1e-4)
    if ending == "glb":
        # glTF's colours are linear light; where there is a material too, trimesh keeps them as an attribute.
        linear = found.visual.vertex_attributes["color"]
        np.testing.assert_allclose(linear_to_srgb(linear) * 255, sphere.colours, atol=0.01)
    else:
        np.testing.assert_allclose(found.visual.vertex_colors[:, :3].astype(int), sphere.colours, atol=1)


def test_glb_holds_every_colour_exactly_and_is_laid_out_as_the_standard_says(tmp_path, sphere):
    write_mesh(tmp_path / "ball.glb", sphere)
    data = (tmp_path / "ball.glb").read_bytes()
    magic, version, length, head, kind = struct.unpack_from("<4sIII4s", data)
    assert (magic, version, length, kind) == (b"glTF", 2, len(data), b"JSON") and head % 4 == 0
    document = json.loads(data[20 : 20 + head])
    attributes = document["meshes"][0]["primitives"][0]["attributes"]
    view = document["bufferViews"][document["accessors"][attributes["COLOR_0"]]["bufferView"]]
    body = data[20 + head + 8 :]
    assert len(body) == document["buffers"][0]["byteLength"]
    colours = np.frombuffer(body, "<f4", view["byteLength"] // 4, view["byteOffset"]).reshape(-1, 3)
    view = document["bufferViews"][document["accessors"][attributes["NORMAL"]]["bufferView"]]
    normals = np.frombuffer(body, "<f4", view["byteLength"] // 4, view["byteOffset"]).reshape(-1, 3)
    np.testing.assert_array_equal(normals, sphere.normals)
    np.testing.assert_array_equal(np.rint(linear_to_srgb(colours.astype(float)) * 255), sphere.colours)
    position = document["accessors"][attributes["POSITION"]]
    np.testing.assert_array_equal(np.float32(position["max"]), sphere.vertices.max(axis=0))


def test_ply_marks_lids_and_other_endings_are_refused(tmp_path):
    mesh = mesh_from_function(ball, bounds_min=LOW, bounds_max=torch.tensor([1.0, 0.9, 0.2]), resolution=16)
    write_mesh(tmp_path / "a.ply", mesh)
    found = read_ply(tmp_path / "a.ply")
    np.testing.assert_array_equal(found.extra["invented"], mesh.invented)
    assert found.colours is None and mesh.invented.any()
    with pytest.raises(UserError, match=r"\.ply, \.glb, \.obj"):
        write_mesh(tmp_path / "a.usd", mesh)
