"""Pixels to rays and back: hand-computed pixels, the identity project after unproject, resampled pictures."""

import math

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sanerf.geometry.cameras import Camera, camera_rays, image_rays, inside_image, pixel_centres, project, resized
from sanerf.geometry.lenses import Lens

# A phone's lens (k1, k2, p1, p2), calibrated for the fox capture: its polynomial folds back 53 degrees off axis.
PHONE_LENS = (0.0578421, -0.0805099, -0.000980296, 0.00015575)


def quaternion_pose(quaternion: tuple[float, ...], centre: tuple[float, ...]) -> torch.Tensor:
    w, x, y, z = (value / math.sqrt(sum(q * q for q in quaternion)) for value in quaternion)
    pose = torch.eye(4, dtype=torch.float64)
    pose[:3, :3] = torch.tensor(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ],
        dtype=torch.float64,
    )
    pose[:3, 3] = torch.tensor(centre, dtype=torch.float64)
    return pose


def plain_camera(pose: torch.Tensor | None = None, distortion: tuple[float, ...] = ()) -> Camera:
    pose = torch.eye(4, dtype=torch.float64) if pose is None else pose
    return Camera(640, 480, 500.0, 400.0, 320.0, 240.0, pose, Lens("opencv", distortion))


def any_camera(quaternion, centre, fx, fy, distortion) -> Camera:
    return Camera(64, 48, fx, fy, 31.0, 25.5, quaternion_pose(quaternion, centre), Lens("opencv", distortion))


camera_parameters = st.tuples(
    st.tuples(*[st.floats(-1, 1)] * 4).filter(lambda q: sum(v * v for v in q) > 0.01),
    st.tuples(*[st.floats(-2, 2)] * 3),
    st.floats(40, 80),
    st.floats(40, 80),
    st.one_of(
        st.just(()),
        st.just(PHONE_LENS),
        st.tuples(*[st.floats(-b, b) for b in (0.15, 0.05, 0.005, 0.005, 0.02, 0.05, 0.02, 0.01)]),
    ),
)


def test_project_gives_the_pixel_computed_by_hand():
    xy, depth_z = project(plain_camera(), torch.tensor([[0.2, -0.1, 2.0]], dtype=torch.float64))
    # 500 * 0.2 / 2 + 320 and 400 * -0.1 / 2 + 240
    torch.testing.assert_close(xy, torch.tensor([[370.0, 220.0]], dtype=torch.float64))
    assert depth_z.tolist() == [2.0]


def test_project_follows_world_from_cam():
    # The camera stands at (10, 0, 0), looks along world +x, and its x axis points along world -y, its y along -z.
    pose = torch.tensor([[0, 0, 1, 10], [-1, 0, 0, 0], [0, -1, 0, 0], [0, 0, 0, 1]], dtype=torch.float64)
    xy, depth_z = project(plain_camera(pose), torch.tensor([[14.0, 1.0, 2.0]], dtype=torch.float64))
    # In the camera: x = -1, y = -2, z = 4.
    torch.testing.assert_close(xy, torch.tensor([[320 - 125.0, 240 - 200.0]], dtype=torch.float64))
    assert depth_z.tolist() == [4.0]


@settings(max_examples=80, deadline=None)
@given(parameters=camera_parameters, x=st.floats(0, 64), y=st.floats(0, 48), distance=st.floats(0.1, 10))
def test_project_after_unproject_is_the_identity(parameters, x, y, distance):
    camera = any_camera(*parameters)
    xy = torch.tensor([[x, y]], dtype=torch.float64)
    rays = camera_rays(camera, xy)
    back, depth_z = project(camera, rays.origins + distance * rays.directions)
    torch.testing.assert_close(back, xy, rtol=0, atol=1e-6)
    torch.testing.assert_close(depth_z, distance * rays.z_per_distance, rtol=0, atol=1e-9)
    torch.testing.assert_close(rays.directions.norm(dim=-1), torch.ones(1, dtype=torch.float64))


@settings(max_examples=15, deadline=None)
@given(parameters=camera_parameters, factor=st.integers(2, 4))
def test_a_resized_camera_keeps_its_rays(parameters, factor):
    camera = any_camera(*parameters)
    xy = pixel_centres(camera).double()
    larger = resized(camera, camera.width * factor, camera.height * factor)
    torch.testing.assert_close(camera_rays(larger, xy * factor).directions, camera_rays(camera, xy).directions)
    assert (larger.width, larger.height) == (64 * factor, 48 * factor)


def test_image_rays_are_in_row_major_order_of_pixel_centres():
    camera = resized(plain_camera(), 4, 3)
    assert pixel_centres(camera)[:5].tolist() == [[0.5, 0.5], [1.5, 0.5], [2.5, 0.5], [3.5, 0.5], [0.5, 1.5]]
    rays = image_rays(camera)
    assert len(rays) == 12
    torch.testing.assert_close(
        rays[torch.tensor([6])].directions, camera_rays(camera, torch.tensor([[2.5, 1.5]])).directions
    )


def test_a_point_far_outside_the_field_of_view_does_not_fold_back_onto_the_picture():
    pose = torch.eye(4, dtype=torch.float64)
    camera = Camera(567, 1008, 722.1, 721.6, 291.1, 506.8, pose, Lens("opencv", PHONE_LENS))
    angles = torch.linspace(45, 89, 200, dtype=torch.float64).deg2rad()
    for turn in (0.0, 1.0, 2.0, 4.0):
        off_axis = torch.stack([angles.sin() * math.cos(turn), angles.sin() * math.sin(turn), angles.cos()], dim=-1)
        xy, _ = project(camera, off_axis)
        assert not inside_image(camera, xy).any()


def test_inside_image_takes_the_near_edges_and_leaves_the_far_ones():
    xy = torch.tensor([[0.0, 0.0], [639.9, 479.9], [640.0, 10.0], [10.0, 480.0], [-0.1, 5.0]])
    assert inside_image(plain_camera(), xy).tolist() == [True, True, False, False, False]
