"""`transforms.json`: axes, intrinsics, sizes, missing pictures, nerfstudio's split, and what is refused."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from scene_writer import opengl_matrix, ring_poses, save_json, write_picture, write_transforms

from sanerf.data.transforms_json import read_transforms
from sanerf.errors import UserError
from sanerf.geometry.lenses import PINHOLE, Lens


def test_cameras_are_opencv_cameras_in_the_frame_of_the_file(tmp_path):
    write_transforms(tmp_path)
    capture = read_transforms(tmp_path)
    assert [view.name for view in capture.views] == [f"{i:03d}.png" for i in range(9)]
    for view, pose in zip(capture.views, ring_poses(9), strict=True):
        torch.testing.assert_close(view.camera.world_from_cam, torch.from_numpy(pose))
    camera = capture.views[0].camera
    assert (camera.width, camera.height, camera.fx, camera.fy, camera.cx, camera.cy) == (8, 6, 10.0, 11.0, 4.5, 3.25)
    assert capture.warnings == () and capture.train is None


def test_distortion_is_in_opencvs_order_without_trailing_zeros(tmp_path):
    write_transforms(tmp_path, k1=0.1, k2=0.2, p1=0.3, p2=0.4, k3=0.0)
    assert read_transforms(tmp_path).views[0].camera.lens == Lens("opencv", (0.1, 0.2, 0.3, 0.4))
    write_transforms(tmp_path, k4=0.5, camera_model="OPENCV")
    assert read_transforms(tmp_path).views[0].camera.lens == Lens("opencv", (0.0, 0.0, 0.0, 0.0, 0.0, 0.5))


def test_a_fisheye_has_four_radial_coefficients(tmp_path):
    fisheye = {"camera_model": "OPENCV_FISHEYE", "k1": 0.1, "k2": 0.2, "p1": 0.3, "k3": 0.4, "k5": 9.0}
    write_transforms(tmp_path, **fisheye)
    assert read_transforms(tmp_path).views[0].camera.lens == Lens("fisheye", (0.1, 0.2, 0.4))
    write_transforms(tmp_path, k4=-0.5, is_fisheye=True)
    assert read_transforms(tmp_path).views[0].camera.lens == Lens("fisheye", (0.0, 0.0, 0.0, -0.5))


def test_pictures_of_more_than_half_of_space_are_warned_of(tmp_path):
    # Corners of 8 x 6 lie 5 pixels off the centre: 1.6 radians where the focal length is 3.125, 1.5 where it is 3.333.
    write_transforms(tmp_path, count=3, is_fisheye=True, fl_x=3.125, fl_y=3.125, cx=4.0, cy=3.0)
    assert read_transforms(tmp_path).warnings == (
        "3 of 3 pictures show more than 180 degrees from corner to corner (000.png, for one); prompts are not "
        "projected to what lies beyond 90 degrees off the axis",
    )
    write_transforms(tmp_path, count=3, is_fisheye=True, fl_x=3.3333, fl_y=3.3333, cx=4.0, cy=3.0)
    assert read_transforms(tmp_path).warnings == ()


def test_intrinsics_follow_the_size_of_the_file(tmp_path):
    write_transforms(tmp_path, w=16, h=12)
    camera = read_transforms(tmp_path).views[0].camera
    assert (camera.width, camera.height, camera.fx, camera.fy, camera.cx, camera.cy) == (8, 6, 5.0, 5.5, 2.25, 1.625)


def test_a_frame_may_have_intrinsics_of_its_own(tmp_path):
    content = write_transforms(tmp_path)
    content["frames"][3] |= {"fl_x": 20.0, "k1": 0.25}
    save_json(tmp_path / "transforms.json", content)
    views = read_transforms(tmp_path).views
    assert (views[3].camera.fx, views[3].camera.lens) == (20.0, Lens("opencv", (0.25,)))
    assert (views[4].camera.fx, views[4].camera.lens) == (10.0, PINHOLE)


def test_angles_of_view_stand_in_for_focal_lengths(tmp_path):
    write_transforms(tmp_path, fl_x=None, fl_y=None, cx=None, cy=None, w=None, h=None, camera_angle_x=math.pi / 2)
    camera = read_transforms(tmp_path).views[0].camera
    assert (camera.fx, camera.fy) == pytest.approx((4.0, 4.0))  # half of 8 pixels over tan 45 degrees
    assert (camera.cx, camera.cy) == (4.0, 3.0)


def test_missing_pictures_give_one_sentence(tmp_path):
    write_transforms(tmp_path, missing=(2, 5, 6, 7))
    capture = read_transforms(tmp_path)
    assert [view.name for view in capture.views] == ["000.png", "001.png", "003.png", "004.png", "008.png"]
    assert capture.warnings == (
        "4 pictures of the 9 listed in transforms.json left out, for want of the file: "
        "images/002.png, images/005.png, images/006.png, ...",
    )


def test_paths_may_lack_the_ending_and_names_keep_their_folders(tmp_path):
    for name in ("left/a.JPG", "right/a.jpg"):
        write_picture(tmp_path / "images" / name)
    first, second = ring_poses(2)
    frames = [
        {"file_path": "images\\right\\a", "transform_matrix": opengl_matrix(first)},
        {"file_path": "./images/left/a", "transform_matrix": opengl_matrix(second)[:3]},
    ]
    save_json(tmp_path / "transforms.json", {"fl_x": 10, "frames": frames})
    capture = read_transforms(tmp_path)
    assert [view.name for view in capture.views] == ["left/a.JPG", "right/a.jpg"]
    torch.testing.assert_close(capture.views[0].camera.world_from_cam, torch.from_numpy(second))


def test_absolute_and_relative_paths_may_mix(tmp_path, monkeypatch):
    content = write_transforms(tmp_path, count=2)
    content["frames"][1]["file_path"] = str(tmp_path / "images" / "001.png")
    save_json(tmp_path / "transforms.json", content)
    monkeypatch.chdir(tmp_path.parent)
    assert [view.name for view in read_transforms(Path(tmp_path.name)).views] == ["000.png", "001.png"]


def test_pictures_with_transparent_pixels_make_a_scene_with_alpha(tmp_path):
    write_transforms(tmp_path, count=2)
    for i in range(2):
        write_picture(tmp_path / f"images/{i:03d}.png", mode="RGBA")
    assert read_transforms(tmp_path).has_alpha
    opaque = Image.open(tmp_path / "images/000.png")
    opaque.putalpha(255)
    opaque.save(tmp_path / "images/000.png")
    assert not read_transforms(tmp_path).has_alpha


def test_nerfstudios_lists_give_the_split(tmp_path):
    lists = {
        "train_filenames": ["images/000.png", "images/004.png"],
        "val_filenames": ["images/001.png", "images/002.png"],
    }
    write_transforms(tmp_path, **lists, test_filenames=["images/003.png"])
    capture = read_transforms(tmp_path)
    assert (capture.train, capture.test) == (("000.png", "004.png"), ("003.png",))
    write_transforms(tmp_path, missing=(2,), **lists)
    (tmp_path / "images" / "002.png").unlink()
    assert read_transforms(tmp_path).test == ("001.png",)


def test_a_sideways_file_is_turned_only_where_the_calibration_is_upright(tmp_path):
    def camera_of(width, height, json_width, json_height, exif_orientation):
        write_transforms(tmp_path, count=1, w=json_width, h=json_height)
        write_picture(tmp_path / "images/000.png", width, height, exif_orientation=exif_orientation)
        return read_transforms(tmp_path).views[0].camera

    # As COLMAP sees it: the stored grid, whatever EXIF says.
    assert (camera_of(40, 20, 40, 20, 6).width, camera_of(40, 20, 80, 40, 6).width) == (40, 40)
    # Calibrated for the turned picture: 20 wide and 40 high.
    turned = camera_of(40, 20, 40, 80, 6)
    assert (turned.width, turned.height, turned.fx) == (20, 40, 5.0)
    with pytest.raises(UserError, match="is 40x20 but its calibration is for 20x40, another shape"):
        camera_of(40, 20, 20, 40, 1)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"camera_model": "FISHEYE624"}, "camera model FISHEYE624, which is not supported"),
        ({"camera_model": "EQUIRECTANGULAR", "is_fisheye": True}, "camera model EQUIRECTANGULAR, which is not"),
        ({"w": 12}, "is 8x6 but its calibration is for 12x6, another shape"),
        ({"fl_x": None, "fl_y": None}, "no focal length for images/000.png: expected fl_x or camera_angle_x"),
        ({"fl_x": -3.0}, "must be positive"),
        ({"fl_x": math.nan}, "fl_x of images/000.png .* is nan; expected a finite number"),
        ({"cx": "middle"}, "cx of images/000.png .* is 'middle'; expected a finite number"),
        ({"w": 0, "h": 0}, "expected a size in pixels"),
        ({"fl_x": None, "fl_y": None, "camera_angle_x": 0.0}, "the angle of view 0; expected radians between 0 and pi"),
        ({"fl_x": None, "fl_y": None, "camera_angle_x": 60}, "the angle of view 60; expected radians between 0 and pi"),
        ({"train_filenames": 3}, "must be lists of the frames' file paths"),
        ({"train_filenames": [["images/000.png"]]}, "must be lists of the frames' file paths"),
    ],
)
def test_unusable_intrinsics_are_refused_in_a_sentence(tmp_path, change, sentence):
    write_transforms(tmp_path, **change)
    with pytest.raises(UserError, match=sentence):
        read_transforms(tmp_path)


@pytest.mark.parametrize(
    ("matrix", "sentence"),
    [
        (np.full((4, 4), np.nan), "pose of images/002.png .* has entries that are not finite numbers"),
        (np.diag([2.0, 2.0, 2.0, 1.0]), "is not rigid: its camera axes have lengths 2, 2, 2"),
        (np.diag([-1.0, 1.0, 1.0, 1.0]), "mirrors the camera"),
        (np.eye(3), r"is a matrix of shape \(3, 3\); expected 4x4 or 3x4"),
        (np.array([["a"]]), "transform_matrix of images/002.png .* is not a matrix of numbers"),
    ],
)
def test_unusable_poses_are_refused_in_a_sentence(tmp_path, matrix, sentence):
    content = write_transforms(tmp_path)
    content["frames"][2]["transform_matrix"] = matrix.tolist()
    save_json(tmp_path / "transforms.json", content)
    with pytest.raises(UserError, match=sentence):
        read_transforms(tmp_path)


def test_a_slightly_inexact_rotation_is_made_exact(tmp_path):
    content = write_transforms(tmp_path)
    pose = np.array(content["frames"][0]["transform_matrix"]).round(3)
    content["frames"][0]["transform_matrix"] = pose.tolist()
    save_json(tmp_path / "transforms.json", content)
    rotation = read_transforms(tmp_path).views[0].camera.world_from_cam[:3, :3]
    torch.testing.assert_close(rotation @ rotation.T, torch.eye(3, dtype=torch.float64), rtol=0, atol=1e-14)
    torch.testing.assert_close(rotation, torch.from_numpy(ring_poses(9)[0][:3, :3]), rtol=0, atol=1e-3)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ([1], "holds no JSON object"),
        ({"fl_x": 1}, "lists no frames"),
        ({"frames": [{"transform_matrix": []}]}, "frame 0 of .* has no file_path"),
        ({"frames": [{"file_path": "a.png"}]}, r"frame 0 of .* \(a.png\) has no transform_matrix"),
        (
            {"frames": [{"file_path": "a.png", "transform_matrix": []}]},
            "none of the 1 pictures listed in .* is there; the first should be .*a.png",
        ),
    ],
)
def test_an_unusable_file_is_refused_in_a_sentence(tmp_path, content, sentence):
    save_json(tmp_path / "transforms.json", content)
    with pytest.raises(UserError, match=sentence):
        read_transforms(tmp_path)


def test_broken_json_and_a_picture_listed_twice_are_refused(tmp_path):
    content = write_transforms(tmp_path)
    content["frames"][1]["file_path"] = "images/000.png"
    save_json(tmp_path / "transforms.json", content)
    with pytest.raises(UserError, match=r"lists the picture 000.png twice"):
        read_transforms(tmp_path)
    (tmp_path / "transforms.json").write_text("{", encoding="utf-8")
    with pytest.raises(UserError, match="is not readable JSON"):
        read_transforms(tmp_path)
