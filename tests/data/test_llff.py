"""LLFF: axes, scaled intrinsics, bounds, reduced folders, and which row belongs to which picture."""

import numpy as np
import pytest
import torch
from scene_writer import ring_poses, save_json, write_llff

from sanerf.data.llff import read_llff
from sanerf.errors import UserError


def test_rows_become_opencv_cameras_at_the_size_of_the_pictures(tmp_path):
    poses = ring_poses(5)
    write_llff(tmp_path, poses)
    capture = read_llff(tmp_path)
    assert [view.name for view in capture.views] == [f"IMG_{i:02d}.png" for i in range(5)]
    for view, pose in zip(capture.views, poses, strict=True):
        torch.testing.assert_close(view.camera.world_from_cam, torch.from_numpy(pose))
    camera = capture.views[0].camera
    assert (camera.width, camera.height, camera.fx, camera.fy, camera.cx, camera.cy) == (8, 6, 10.0, 10.0, 4.0, 3.0)
    assert capture.close_bound == 2.0


def test_the_largest_reduced_folder_stands_in_for_images(tmp_path):
    write_llff(tmp_path, ring_poses(3), "images_16")
    write_llff(tmp_path, ring_poses(3), "images_8")
    assert {view.image_path.parent.name for view in read_llff(tmp_path).views} == {"images_8"}
    write_llff(tmp_path, ring_poses(3), "images")
    assert {view.image_path.parent.name for view in read_llff(tmp_path).views} == {"images"}


def test_views_json_tells_the_rows_of_pictures_that_are_left(tmp_path):
    poses = ring_poses(5)
    write_llff(tmp_path, poses)
    for i in (0, 3):
        (tmp_path / "images" / f"IMG_{i:02d}.png").unlink()
    with pytest.raises(UserError, match=r"has 5 poses but .*images has 3 pictures"):
        read_llff(tmp_path)
    save_json(tmp_path / "views.json", {"names": ["IMG_01", "IMG_02", "IMG_04"], "rows_of_poses_bounds": [1, 2, 4]})
    centres = [view.camera.centre.numpy() for view in read_llff(tmp_path).views]
    np.testing.assert_allclose(centres, [poses[i][:3, 3] for i in (1, 2, 4)])


@pytest.mark.parametrize(
    ("column", "value", "sentence"),
    [
        (0, np.nan, "pose of IMG_01.png in .* has entries that are not finite"),
        (14, 0.0, "the height, width and focal length 12, 16, 0; they must be positive"),
        (9, 30.0, "is 8x6 but its calibration is for 30x12"),
        (15, -1.0, "gives -1 as the nearest bound"),
    ],
)
def test_unusable_rows_are_refused_in_a_sentence(tmp_path, column, value, sentence):
    rows = write_llff(tmp_path, ring_poses(3))
    rows[1, column] = value
    np.save(tmp_path / "poses_bounds.npy", rows)
    with pytest.raises(UserError, match=sentence):
        read_llff(tmp_path)


def test_unusable_files_are_refused_in_a_sentence(tmp_path):
    np.save(tmp_path / "poses_bounds.npy", np.zeros((3, 15)))
    with pytest.raises(UserError, match=r"shape \(3, 15\); expected one row of 17 numbers a picture"):
        read_llff(tmp_path)
    np.save(tmp_path / "poses_bounds.npy", np.zeros((3, 17)))
    with pytest.raises(UserError, match="no pictures; expected them in images/"):
        read_llff(tmp_path)
    (tmp_path / "poses_bounds.npy").write_bytes(b"no array")
    with pytest.raises(UserError, match="is not a readable NumPy file"):
        read_llff(tmp_path)
