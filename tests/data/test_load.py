"""`load_scene`: which layout, which split, the Blender layout, and the error sentences of a folder."""

import json
import math

import pytest
import torch
from scene_writer import ring_poses, save_json, write_blender, write_llff, write_picture, write_transforms

from sanerf.data.load import load_scene
from sanerf.errors import UserError


def names(scene, which):
    return [scene.views[i].name for i in scene.split(which)]


def test_every_eighth_view_is_held_out_by_default(tmp_path):
    write_transforms(tmp_path, count=17)
    scene = load_scene(tmp_path)
    assert names(scene, "test") == ["000.png", "008.png", "016.png"]
    assert len(scene.train) == 14 and not set(scene.train) & set(scene.test)
    assert scene.layout == "transforms.json" and scene.root == tmp_path


def test_holdout_by_number_by_list_and_not_at_all(tmp_path):
    write_transforms(tmp_path / "scene", count=9)
    listing = tmp_path / "names.txt"
    listing.write_text("003.png\n\n007\n", encoding="utf-8")
    assert load_scene(tmp_path / "scene", holdout="every:4").test == (0, 4, 8)
    assert load_scene(tmp_path / "scene", holdout=str(listing)).test == (3, 7)
    scene = load_scene(tmp_path / "scene", holdout="none")
    assert (scene.test, len(scene.train)) == ((), 9)


def test_the_files_own_split_is_the_default_and_can_be_overruled(tmp_path):
    write_transforms(tmp_path, count=9, train_filenames=["images/001.png", "images/002.png"],
                     test_filenames=["images/002.png", "images/005.png"])  # fmt: skip
    scene = load_scene(tmp_path)
    assert (scene.train, scene.test) == ((1,), (2, 5))
    assert load_scene(tmp_path, holdout="every:8").test == (0, 8)


def test_blender_scenes_have_their_split_alpha_and_path_names(tmp_path):
    write_blender(tmp_path, {"train": 4, "val": 3, "test": 2})
    scene = load_scene(tmp_path)
    assert names(scene, "train") == [f"train/r_{i}.png" for i in range(4)]
    assert names(scene, "test") == ["test/r_0.png", "test/r_1.png"]
    assert len(scene.views) == 6 and scene.has_alpha
    assert scene.views[0].camera.fx == pytest.approx(4 / math.tan(0.4))
    # The frame of the file stands upright about its origin: cameras at radius 4 come to 1, nothing turns.
    torch.testing.assert_close(scene.world_from_file.rotation, torch.eye(3, dtype=torch.float64))
    assert scene.world_from_file.scale == pytest.approx(0.25)
    assert scene.world_from_file.translation.abs().max() < 1e-12
    assert (scene.near, scene.far) == pytest.approx((0.05, 2.0))


def test_val_stands_in_for_test_and_without_both_every_eighth_is_held_out(tmp_path):
    write_blender(tmp_path / "a", {"train": 4, "val": 3})
    assert names(load_scene(tmp_path / "a"), "test") == ["val/r_0.png", "val/r_1.png", "val/r_2.png"]
    write_blender(tmp_path / "b", {"train": 9})
    assert names(load_scene(tmp_path / "b"), "test") == ["train/r_0.png", "train/r_8.png"]


def test_the_blender_layout_with_opaque_pictures_is_an_ordinary_capture(tmp_path):
    write_blender(tmp_path, {"train": 4, "test": 2}, mode="RGB")
    scene = load_scene(tmp_path)
    assert not scene.has_alpha and scene.far == math.inf


def test_parts_are_warned_of_pictures_of_more_than_half_of_space_together(tmp_path):
    # Corners of 8 x 8 lie 4 sqrt(2) pixels off the centre: 1.6 radians where the focal length is 3.536.
    write_blender(tmp_path, {"train": 4, "test": 2})
    source = tmp_path / "transforms_train.json"
    content = json.loads(source.read_text())
    save_json(source, {**content, "fl_x": 3.536, "is_fisheye": True})
    assert load_scene(tmp_path).warnings == (
        "4 of 6 pictures show more than 180 degrees from corner to corner (train/r_0.png, for one); prompts are not "
        "projected to what lies beyond 90 degrees off the axis",
    )
    save_json(source, {**content, "fl_x": 3.7, "is_fisheye": True})  # 1.53 radians
    assert load_scene(tmp_path).warnings == ()


def test_the_scene_is_in_the_world_and_the_file_frame_can_be_had_back(tmp_path):
    poses = ring_poses(8)
    write_llff(tmp_path, poses)
    scene = load_scene(tmp_path)
    for view, pose in zip(scene.views, poses, strict=True):
        in_file = scene.world_from_file.inverse().apply_to_camera(view.camera)
        torch.testing.assert_close(in_file.world_from_cam, torch.from_numpy(pose))
    assert scene.view_index("IMG_03") == 3


def test_a_view_name_that_fits_two_views_or_none_is_refused(tmp_path):
    write_blender(tmp_path, {"train": 2, "test": 2})
    scene = load_scene(tmp_path)
    with pytest.raises(UserError, match="'r_0' fits 2 views"):
        scene.view_index("r_0")
    with pytest.raises(UserError, match="there is no view 'r_9'"):
        scene.view_index("r_9")


def test_folders_that_are_no_scene_are_refused_in_a_sentence(tmp_path):
    with pytest.raises(UserError, match=r"there is no folder .*nowhere"):
        load_scene(tmp_path / "nowhere")
    file = tmp_path / "file.txt"
    file.write_text("", encoding="utf-8")
    with pytest.raises(UserError, match="is a file; expected the folder of a scene"):
        load_scene(file)
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(UserError, match=r"is no scene: expected transforms\.json, transforms_train\.json"):
        load_scene(empty)
    write_picture(tmp_path / "photos" / "images" / "a.jpg")
    with pytest.raises(UserError, match="pictures but no camera poses; `sanerf process"):
        load_scene(tmp_path / "photos")
    (tmp_path / "colmap" / "colmap" / "sparse" / "0").mkdir(parents=True)
    with pytest.raises(UserError, match=r"is no scene: .* or a COLMAP model in sparse/0"):
        load_scene(tmp_path / "colmap")


def test_unreadable_headers_are_refused_by_name(tmp_path):
    write_transforms(tmp_path)
    (tmp_path / "images" / "004.png").write_bytes(b"not a picture")
    with pytest.raises(UserError, match=r"004\.png cannot be read: it is not a picture in a known format"):
        load_scene(tmp_path)


@pytest.mark.parametrize(
    ("holdout", "sentence"),
    [
        ("every:x", "expected every:N with a whole N of at least 2"),
        ("every:1", "expected every:N with a whole N of at least 2"),
        ("third", "expected every:8, none or a text file of view names"),
    ],
)
def test_unusable_holdouts_are_refused_in_a_sentence(tmp_path, holdout, sentence):
    write_transforms(tmp_path)
    with pytest.raises(UserError, match=sentence):
        load_scene(tmp_path, holdout=holdout)


def test_a_split_that_leaves_nothing_to_train_on_is_refused(tmp_path):
    write_transforms(tmp_path, count=1)
    with pytest.raises(UserError, match=r"no view of .* is left to train on"):
        load_scene(tmp_path)
