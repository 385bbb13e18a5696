"""Every camera model of COLMAP against pycolmap: observations, whole pictures of rays, and points all over them."""

import numpy as np
import pytest
import torch
from colmap_writer import HEIGHT, MODELS, WIDTH, write_colmap

from sanerf.data.colmap import read_colmap
from sanerf.geometry.cameras import camera_rays, project, resized

pycolmap = pytest.importorskip("pycolmap", reason="pycolmap is the oracle: pip install 'sanerf[colmap]'")

every_model = pytest.mark.parametrize("model", MODELS)


def test_no_camera_model_of_pycolmap_is_forgotten():
    listed = set(pycolmap.CameraModelId.__members__)
    assert listed - set(MODELS) == {"INVALID", "EQUIRECTANGULAR"}


@every_model
def test_points_of_the_model_land_on_its_own_observations(tmp_path, model):
    reconstruction = write_colmap(tmp_path, model, cameras=2)
    images = {image.name: image for image in reconstruction.images.values()}
    views = read_colmap(tmp_path).views
    assert len(views) == 16
    for view in views:
        seen = [point for point in images[view.name].points2D if point.has_point3D()]
        assert len(seen) > 40
        p_file = torch.from_numpy(np.stack([reconstruction.points3D[point.point3D_id].xyz for point in seen]))
        observed = torch.from_numpy(np.stack([point.xy for point in seen]))
        # The pictures are smaller than the calibration; observations are in the calibration's pixels.
        xy, depth_z = project(resized(view.camera, WIDTH, HEIGHT), p_file)
        assert (xy - observed).abs().max() < 1e-6 and (depth_z > 0).all()


@every_model
def test_rays_and_pixels_are_pycolmaps_up_to_the_pictures_corners(tmp_path, model):
    reconstruction = write_colmap(tmp_path, model)
    view = read_colmap(tmp_path).views[0]
    image = next(image for image in reconstruction.images.values() if image.name == view.name)
    camera = resized(view.camera, WIDTH, HEIGHT)
    y, x = torch.meshgrid(torch.linspace(0, HEIGHT, 25), torch.linspace(0, WIDTH, 33), indexing="ij")
    pixels = torch.stack([x, y], dim=-1).reshape(-1, 2).double()
    in_cam = image.camera.cam_ray_from_img(pixels.numpy())
    assert np.isfinite(in_cam).all()
    if "FISHEYE" in model:
        # A field of view of some 170 degrees from corner to corner.
        assert 82 < np.degrees(np.arccos(in_cam[:, 2].min())) < 89.9

    world_from_cam = image.cam_from_world().inverse()
    rays = camera_rays(camera, pixels)
    torch.testing.assert_close(rays.directions, torch.from_numpy(in_cam @ world_from_cam.rotation.matrix().T),
                               rtol=0, atol=1e-8)  # fmt: skip
    torch.testing.assert_close(rays.z_per_distance, torch.from_numpy(in_cam[:, 2].copy()), rtol=0, atol=1e-8)

    distance = 1 + 4 * np.random.default_rng(0).random((len(in_cam), 1))
    p_file = world_from_cam * (distance * in_cam)
    expected = torch.from_numpy(image.camera.img_from_cam(distance * in_cam))
    xy, depth_z = project(camera, torch.from_numpy(p_file))
    assert (xy - expected).abs().max() < 1e-5 and (xy - pixels).abs().max() < 1e-5
    torch.testing.assert_close(depth_z, torch.from_numpy((distance * in_cam)[:, 2]), rtol=0, atol=1e-9)

    # The same points on the other side of the camera's centre are behind it.
    _, behind = project(camera, torch.from_numpy(world_from_cam * (-distance * in_cam)))
    assert (behind < 0).all()
