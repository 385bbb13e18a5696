"""Messy Rooms' metadata.json, written by hand: quaternions, the signs of K, order, the last fifth, numpy masks."""

import json
from pathlib import Path

import numpy as np
import pytest
from ball_scene import CX, CY, FX, FY, HEIGHT, WIDTH, Shot, assert_balls_are_where_cameras_see_them, save_png, shots
from scipy.spatial.transform import Rotation

from sanerf.data.instance_maps import map_paths, read_map
from sanerf.data.load import load_scene, read_capture
from sanerf.data.messy_rooms import rotation_of
from sanerf.errors import UserError


def write(root: Path, count: int = 11) -> dict[str, Shot]:
    """A scene as Kubric writes it, numbered without padding so that order by name is another than order by number."""
    out, positions, quaternions = {}, [], []
    for i, shot in enumerate(shots(count)):
        save_png(root / "color" / f"{i}.png", shot.rgb)
        (root / "instance").mkdir(exist_ok=True)
        np.save(root / "instance" / f"{i}.npy", shot.identities)
        blender = shot.pose[:3, :3] * [1, -1, -1]
        x, y, z, w = Rotation.from_matrix(blender).as_quat()
        positions.append(shot.pose[:3, 3].tolist())
        quaternions.append([w, x, y, z])
        out[f"{i}.png"] = shot
    calibration = [[FX / WIDTH, 0, -CX / WIDTH], [0, -FY / HEIGHT, -CY / HEIGHT], [0, 0, -1]]
    camera = {"K": calibration, "positions": positions, "quaternions": quaternions, "focal_length": 35.0}
    (root / "metadata.json").write_text(json.dumps({"camera": camera, "instances": []}))
    return out


def test_balls_are_where_the_cameras_see_them(tmp_path):
    written = write(tmp_path)
    capture = read_capture(tmp_path)
    assert capture.layout == "messy rooms" and not capture.has_alpha
    assert_balls_are_where_cameras_see_them(capture, written)


def test_the_last_fifth_by_number_is_held_out(tmp_path):
    write(tmp_path)
    scene = load_scene(tmp_path)
    assert {scene.views[i].name for i in scene.test} == {"8.png", "9.png", "10.png"}
    assert len(scene.train) == 8


def test_pictures_that_are_left_find_their_cameras_by_number(tmp_path):
    written = write(tmp_path)
    for i in (0, 4):
        (tmp_path / "color" / f"{i}.png").unlink()
        del written[f"{i}.png"]
    assert_balls_are_where_cameras_see_them(read_capture(tmp_path), written)
    (tmp_path / "color" / "3.png").rename(tmp_path / "color" / "11.png")
    with pytest.raises(UserError, match=r"has 11 cameras but .*color has 9 pictures, so which belongs to which"):
        read_capture(tmp_path)


def test_instance_maps_are_numpy_arrays(tmp_path):
    written = write(tmp_path, 5)
    scene = load_scene(tmp_path)
    for index, path in map_paths(tmp_path / "instance", scene).items():
        assert np.array_equal(read_map(path), written[scene.views[index].name].identities)


def test_a_quaternion_of_any_length_is_its_rotation():
    generator = np.random.default_rng(0)
    for w, x, y, z in generator.normal(size=(20, 4)):
        expected = Rotation.from_quat([x, y, z, w]).as_matrix()
        assert np.abs(rotation_of(3 * np.array([w, x, y, z])) - expected).max() < 1e-12


@pytest.mark.parametrize("text", ["[1, 2]", "no JSON", '{"camera": {"K": 1}}'])
def test_another_metadata_json_is_no_messy_room(tmp_path, text):
    (tmp_path / "metadata.json").write_text(text)
    with pytest.raises(UserError, match="is no scene"):
        read_capture(tmp_path)


@pytest.mark.parametrize(
    ("key", "value", "sentence"),
    [
        ("quaternions", "none", "needs positions, quaternions and K of the camera, all numbers"),
        ("quaternions", [[1.0, 0.0, 0.0]] * 5, r"has positions \(5, 3\), quaternions \(5, 3\)"),
        ("quaternions", [[0.0, 0.0, 0.0, 0.0]] * 5, "has quaternions that are no rotations"),
        ("positions", None, r"has positions \(\), quaternions"),
        ("K", [[0, 0, 0]] * 3, "has no focal lengths"),
    ],
)
def test_unusable_metadata_is_refused_in_a_sentence(tmp_path, key, value, sentence):
    write(tmp_path, 5)
    content = json.loads((tmp_path / "metadata.json").read_text())
    content["camera"][key] = value
    (tmp_path / "metadata.json").write_text(json.dumps(content))
    with pytest.raises(UserError, match=sentence):
        read_capture(tmp_path)
