"""Panoptic Lifting's layout, written by hand: axes, the half pixel, the split, lost poses, invalid pixels."""

import json
from pathlib import Path

import numpy as np
import pytest
from ball_scene import CX, CY, FX, FY, HEIGHT, IDENTITIES, WIDTH, Shot, assert_balls_are_where_cameras_see_them, shots
from PIL import Image

from sanerf.data.images import load_kept
from sanerf.data.instance_maps import map_paths, read_map
from sanerf.data.load import load_scene, read_capture
from sanerf.errors import UserError


def write(root: Path, folder: str = "color") -> dict[str, Shot]:
    """A scene as the preprocessing scripts leave it: numbered without padding, the optical centre from pixel (0, 0)."""
    for name in (folder, "pose", "intrinsic", "rs_instance"):
        (root / name).mkdir(parents=True)
    rows = [[FX, 0, CX - 0.5, 0], [0, FY, CY - 0.5, 0], [0, 0, 1, 0], [0, 0, 0, 1]]
    (root / "intrinsic" / "intrinsic_color.txt").write_text("\n".join(" ".join(map(str, row)) for row in rows) + "\n\n")
    out = {}
    for i, shot in enumerate(shots()):
        stem = str(5 * i)
        Image.fromarray(shot.rgb).save(root / folder / f"{stem}.jpg", quality=95, subsampling=0)
        Image.fromarray(shot.identities.astype(np.uint16)).save(root / "rs_instance" / f"{stem}.png")
        np.savetxt(root / "pose" / f"{stem}.txt", shot.pose)
        out[f"{stem}.jpg"] = shot
    (root / "splits.json").write_text(json.dumps({"train": ["0", "5", "10"], "test": ["15", "20", "99"]}))
    return out


@pytest.mark.parametrize("folder", ["color", "images"])
def test_balls_are_where_the_cameras_see_them(tmp_path, folder):
    written = write(tmp_path, folder)
    capture = read_capture(tmp_path)
    assert capture.layout == "panoptic lifting"
    assert_balls_are_where_cameras_see_them(capture, written)


def test_the_split_is_that_of_the_file_or_every_eighth(tmp_path):
    write(tmp_path)
    scene = load_scene(tmp_path)
    assert {scene.views[i].name for i in scene.train} == {"0.jpg", "5.jpg", "10.jpg"}
    assert {scene.views[i].name for i in scene.test} == {"15.jpg", "20.jpg"}
    # Own captures call the held-out part val; ScanNet's names may be written as numbers.
    (tmp_path / "splits.json").write_text(json.dumps({"train": [0, 5], "val": [10]}))
    assert read_capture(tmp_path).test == ("10.jpg",)
    (tmp_path / "splits.json").unlink()
    assert load_scene(tmp_path).test == (0,)


def test_instance_maps_have_every_identity_of_16_bits(tmp_path):
    written = write(tmp_path)
    scene = load_scene(tmp_path)
    paths = map_paths(tmp_path / "rs_instance", scene)
    assert len(paths) == 5
    for index, path in paths.items():
        assert np.array_equal(read_map(path), written[scene.views[index].name].identities)
    assert max(IDENTITIES) > 255


def test_a_transforms_json_of_the_distorted_pictures_is_passed_over(tmp_path):
    write(tmp_path)
    (tmp_path / "transforms.json").write_text(json.dumps({"frames": [{"file_path": "0000.jpg"}]}))
    assert read_capture(tmp_path).layout == "panoptic lifting"


def test_views_without_a_pose_and_with_a_lost_one_are_left_out_in_a_sentence(tmp_path):
    write(tmp_path)
    (tmp_path / "pose" / "5.txt").unlink()
    (tmp_path / "pose" / "10.txt").write_text("-inf -inf -inf -inf\n" * 4)
    capture = read_capture(tmp_path)
    assert [view.name for view in capture.views] == ["0.jpg", "15.jpg", "20.jpg"]
    assert capture.warnings == (
        "1 of 5 pictures left out, for want of a file in pose/: 5.jpg",
        "1 of 5 pictures left out, because their poses are infinite (tracking was lost): 10.jpg",
    )


def test_what_invalid_shows_in_white_is_not_learnt_from(tmp_path):
    write(tmp_path)
    invalid = np.zeros((HEIGHT, WIDTH), dtype=np.uint8)
    invalid[:, :32] = 255
    (tmp_path / "invalid").mkdir()
    Image.fromarray(invalid).save(tmp_path / "invalid" / "15.jpg", quality=95)
    kept = {view.name: load_kept(view) for view in read_capture(tmp_path).views}
    assert np.array_equal(kept["15.jpg"].numpy(), invalid == 0)
    assert kept["0.jpg"].all()


def test_unusable_files_are_refused_in_a_sentence(tmp_path):
    write(tmp_path)
    pose = tmp_path / "pose" / "0.txt"
    kept = pose.read_text()
    pose.write_text("1 0 0\n0 1 0\n0 0 1\n")
    with pytest.raises(UserError, match=r"0\.txt holds an array of shape \(3, 3\); expected a matrix of 4x4 or 3x4"):
        read_capture(tmp_path)
    pose.write_text("1 0 zero 0\n")
    with pytest.raises(UserError, match="is no matrix of numbers"):
        read_capture(tmp_path)
    pose.write_text(kept)
    Image.new("RGB", (WIDTH // 2, HEIGHT // 2)).save(tmp_path / "color" / "0.jpg")
    with pytest.raises(
        UserError, match=r"does not fit the picture .*0\.jpg of 48x36; was it resized after calibration"
    ):
        read_capture(tmp_path)
    for path in (tmp_path / "color").iterdir():
        path.unlink()
    with pytest.raises(UserError, match="camera poses but no pictures; expected them in color/ or images/"):
        read_capture(tmp_path)
