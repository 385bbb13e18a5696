"""Lenses: printed formulas and closed forms, every family one to one up to the edge of its field, no points folded."""

import math

import pytest
import torch

from sanerf.geometry.cameras import Camera, camera_rays, inside_image, project
from sanerf.geometry.lenses import PINHOLE, Lens, distort, undistort

LENSES = {
    "opencv": Lens("opencv", (0.1, -0.05, 0.002, -0.003, 0.02, 0.04, -0.01, 0.005)),
    "equidistant": Lens("fisheye"),
    "fisheye": Lens("fisheye", (0.05, -0.02, 0.01, -0.003)),
    "fisheye that folds at 65 degrees": Lens("fisheye", (-0.26,)),
    "thin prism": Lens("thin_prism_fisheye", (0.05, -0.02, 0.001, -0.002, 0.003, -0.001, 0.002, -0.001)),
    "rad-tan thin prism": Lens(
        "rad_tan_thin_prism_fisheye",
        (-0.03, 0.1, -0.06, 0.01, 0.002, -0.0005, 0.001, -0.002, 0.0003, -0.0002, 0.0004, -0.0001),
    ),
    "fov": Lens("fov", (0.9,)),
    "fov without distortion": Lens("fov", (0.0,)),
    "division, barrel": Lens("division", (-0.2,)),
    "division, pincushion": Lens("division", (0.1,)),
    "eucm": Lens("eucm", (0.6, 1.1)),
    "eucm of a pinhole": Lens("eucm", (0.0, 1.0)),
}
every_lens = pytest.mark.parametrize("lens", LENSES.values(), ids=LENSES.keys())


def directions(least: float, most: float, count: int = 60) -> torch.Tensor:
    """Unit directions in camera axes from `least` to `most` degrees off the optical axis, all around it."""
    angles, turns = torch.linspace(least, most, count).double().deg2rad(), torch.linspace(0, 6.2, 13).double()
    theta, phi = (t.reshape(-1) for t in torch.meshgrid(angles, turns, indexing="ij"))
    return torch.stack([theta.sin() * phi.cos(), theta.sin() * phi.sin(), theta.cos()], dim=-1)


@every_lens
def test_undistort_after_distort_is_the_identity_up_to_85_degrees(lens):
    towards = directions(0, 85)
    torch.testing.assert_close(undistort(lens, distort(lens, 3 * towards)), towards, rtol=0, atol=1e-9)


@every_lens
def test_distort_after_undistort_is_the_identity_on_the_plane_before_90_degrees(lens):
    axis = torch.linspace(-0.9, 0.9, 19, dtype=torch.float64)
    xy = torch.stack(torch.meshgrid(axis, axis, indexing="ij"), dim=-1).reshape(-1, 2)
    rays = undistort(lens, xy)
    torch.testing.assert_close(rays.norm(dim=-1), torch.ones(len(xy), dtype=torch.float64))
    in_front = rays[:, 2] > 0
    assert in_front.double().mean() > 0.8
    torch.testing.assert_close(distort(lens, rays)[in_front], xy[in_front], rtol=0, atol=1e-9)


@every_lens
def test_the_radius_grows_with_the_angle_so_that_nothing_folds_back(lens):
    radius = distort(lens, directions(0, 89.9, 400)).norm(dim=-1).reshape(400, -1)
    assert (radius.diff(dim=0) > 0).all()


@pytest.mark.parametrize("family", ["fisheye", "thin_prism_fisheye", "rad_tan_thin_prism_fisheye"])
def test_fisheyes_are_one_to_one_behind_the_camera_too(family):
    towards = directions(80, 170)
    lens = Lens(family, (0.02, 0.001))
    torch.testing.assert_close(undistort(lens, distort(lens, towards)), towards, rtol=0, atol=1e-9)


def test_an_equidistant_fisheye_measures_angles():
    theta = math.radians(85)
    point = torch.tensor([[0.6 * math.sin(theta), -0.8 * math.sin(theta), math.cos(theta)]], dtype=torch.float64)
    assert distort(Lens("fisheye"), 7 * point)[0].tolist() == pytest.approx([0.6 * theta, -0.8 * theta], abs=1e-14)


def test_a_radial_fisheye_is_the_formula_of_the_opencv_documentation():
    k = (0.05, -0.02, 0.01, -0.003)
    x, y, z = 0.9, -1.2, 0.5
    theta = math.atan(math.hypot(x / z, y / z))
    bent = theta * (1 + k[0] * theta**2 + k[1] * theta**4 + k[2] * theta**6 + k[3] * theta**8)
    found = distort(Lens("fisheye", k), torch.tensor([[x, y, z]], dtype=torch.float64))[0]
    assert found.tolist() == pytest.approx([bent * x / math.hypot(x, y), bent * y / math.hypot(x, y)], abs=1e-14)


def test_lenses_without_their_distortion_are_pinholes():
    towards = directions(0, 80)
    expected = towards[:, :2] / towards[:, 2:]
    for lens in (PINHOLE, Lens("fov", (0.0,)), Lens("fov", (1e-7,)), Lens("division"), Lens("eucm", (0.0, 1.0))):
        torch.testing.assert_close(distort(lens, towards), expected, rtol=1e-9, atol=1e-9)
    assert PINHOLE.is_pinhole and Lens("division", (0.0,)).is_pinhole and not Lens("fisheye").is_pinhole


def test_eucm_with_alpha_one_half_is_the_unified_model_of_a_parabolic_mirror():
    # alpha = 1/2, beta = 1: (x, y) / ((|p| + z) / 2), that is a radius of 2 tan(theta / 2).
    radius = distort(Lens("eucm", (0.5, 1.0)), directions(0, 85)).norm(dim=-1).reshape(60, -1)[:, 0]
    expected = 2 * torch.tan(torch.linspace(0, 85, 60).double().deg2rad() / 2)
    torch.testing.assert_close(radius, expected)


@every_lens
def test_points_outside_of_the_field_of_view_stay_off_the_picture(lens):
    # A picture that ends 40 degrees off the axis to each side.
    edge = float(distort(lens, directions(40, 40, 1)).abs().amax())
    camera = Camera(200, 200, 100 / edge, 100 / edge, 100.0, 100.0, torch.eye(4, dtype=torch.float64), lens)
    outside = directions(60, 89.5)
    xy, depth_z = project(camera, outside)
    assert not inside_image(camera, xy).any() and (depth_z > 0).all()
    _, behind = project(camera, directions(91, 180))
    assert (behind < 0).all()


@every_lens
def test_a_camera_projects_its_own_rays_to_their_pixels(lens):
    camera = Camera(64, 48, 40.0, 50.0, 31.0, 25.5, torch.eye(4, dtype=torch.float64), lens)
    xy = torch.rand(200, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * torch.tensor([64, 48])
    rays = camera_rays(camera, xy)
    back, depth_z = project(camera, 2.5 * rays.directions)
    torch.testing.assert_close(back, xy, rtol=0, atol=1e-7)
    torch.testing.assert_close(depth_z, 2.5 * rays.z_per_distance)


def test_single_precision_points_are_projected_in_double_precision():
    camera = Camera(64, 48, 40.0, 50.0, 31.0, 25.5, torch.eye(4, dtype=torch.float64), LENSES["fisheye"])
    points = 2 * directions(0, 85).float()
    expected, _ = project(camera, points.double())
    assert (project(camera, points)[0] - expected).abs().max() < 1e-5


@pytest.mark.parametrize(
    ("family", "coefficients", "sentence"),
    [
        ("equirectangular", (), "there is no lens family 'equirectangular'; expected one of opencv, fisheye"),
        ("fisheye", (0.1,) * 5, "a lens of family fisheye has 4 coefficients, not 5"),
        ("eucm", (0.5,), "a lens of family eucm has 2 coefficients, not 1"),
        ("opencv", (math.nan,), "not finite"),
    ],
)
def test_what_is_no_lens_is_refused(family, coefficients, sentence):
    with pytest.raises(ValueError, match=sentence):
        Lens(family, coefficients)
