"""Camera paths: axes and frame, and what is refused."""

import math
import re
from pathlib import Path

import pytest
import torch
from scene_writer import opengl_matrix, ring_poses, save_json

from sanerf.data.camera_path import read_camera_path
from sanerf.errors import UserError
from sanerf.geometry.transforms import IDENTITY, Similarity

NUMBERS = {"w": 20, "h": 10, "fl_x": 15.0, "fl_y": 16.0, "cx": 9.0, "cy": 5.5}
FRAMES = [{"transform_matrix": opengl_matrix(pose)} for pose in ring_poses(2)]


def test_a_path_is_read_from_the_files_frame_into_the_world(tmp_path):
    save_json(tmp_path / "path.json", {**NUMBERS, "frames": FRAMES})
    quarter_turn = torch.tensor([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]], dtype=torch.float64)
    world_from_file = Similarity(0.5, quarter_turn, torch.tensor([1.0, 0.0, 0.0], dtype=torch.float64))
    cameras = read_camera_path(tmp_path / "path.json", world_from_file)
    for camera, pose in zip(cameras, ring_poses(2), strict=True):
        assert (camera.width, camera.height) == (20, 10)
        assert (camera.fx, camera.fy, camera.cx, camera.cy) == (15.0, 16.0, 9.0, 5.5)
        x, y, z = pose[:3, 3]
        torch.testing.assert_close(camera.centre, torch.tensor([1 - y / 2, x / 2, z / 2], dtype=torch.float64))
        forward = torch.from_numpy(pose[:3, 2])
        torch.testing.assert_close(camera.world_from_cam[:3, 2], quarter_turn @ forward)


def test_the_example_of_the_documentation_stands_and_looks_as_it_says(tmp_path):
    page = (Path(__file__).parents[2] / "docs" / "cli.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```json\n(\{\"w\".*?)```", page, re.DOTALL)
    (tmp_path / "path.json").write_text(example)
    (camera,) = read_camera_path(tmp_path / "path.json", IDENTITY)
    assert (camera.width, camera.height, camera.fx, camera.cy) == (1280, 720, 1000.0, 360.0)
    assert camera.centre.tolist() == [0.5, -3.0, 1.2]
    right, down, forward = camera.world_from_cam[:3, :3].T.tolist()
    assert (right, down, forward) == ([1.0, 0.0, 0.0], [0.0, 0.0, -1.0], [0.0, 1.0, 0.0])


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"fl_x": 0.0}, "focal lengths and a centre of 0.0, 16.0, 9.0, 5.5; expected positive numbers"),
        ({"cy": math.nan}, "expected positive numbers"),
        ({"w": math.inf}, "is no camera path"),
        ({"w": 0}, "a size of at least one pixel"),
        ({"frames": []}, "needs frames with 4 x 4 matrices"),
        ({"frames": [{}]}, "is no camera path: KeyError"),
        ({"frames": [{"transform_matrix": [[1.0]]}]}, "needs frames with 4 x 4 matrices"),
    ],
)
def test_an_unusable_path_is_refused_in_a_sentence(tmp_path, change, sentence):
    save_json(tmp_path / "path.json", {**NUMBERS, "frames": FRAMES, **change})
    with pytest.raises(UserError, match=sentence):
        read_camera_path(tmp_path / "path.json", IDENTITY)


def test_a_missing_key_is_named(tmp_path):
    numbers = {key: value for key, value in NUMBERS.items() if key != "fl_y"}
    save_json(tmp_path / "path.json", {**numbers, "frames": FRAMES})
    with pytest.raises(UserError, match=r"has no 'fl_y'; a camera path needs w, h, fl_x, fl_y, cx, cy and frames"):
        read_camera_path(tmp_path / "path.json", IDENTITY)
