"""Pixels that must not be learnt from: from `mask_path` to the bank, which never draws them."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from scene_writer import save_json, write_blender, write_transforms

from sanerf.data.check import check_scene
from sanerf.data.images import load_kept
from sanerf.data.load import load_scene, read_capture
from sanerf.data.pixels import load_bank
from sanerf.data.scene import TrainingMask
from sanerf.data.scene_json import scene_from_json, scene_to_json
from sanerf.errors import UserError


def write_masked(root, masked=(1, 4), count=9):
    """Pictures of 8x6; those in `masked` come with a mask that is black in the two leftmost columns and one pixel."""
    content = write_transforms(root, count=count)
    mask = np.full((6, 8), 255, dtype=np.uint8)
    mask[:, :2] = 0
    mask[5, 7] = 0
    (root / "masks").mkdir()
    for i in masked:
        Image.fromarray(mask).save(root / "masks" / f"{i:03d}.png")
        content["frames"][i]["mask_path"] = f"./masks/{i:03d}.png"
    save_json(root / "transforms.json", content)
    return mask > 0


def bank_of(scene, downscale=1):
    return load_bank(scene, scene.train, downscale, seed=0)


def test_pixels_under_black_are_never_drawn_and_all_others_are(tmp_path):
    white = write_masked(tmp_path)
    scene = load_scene(tmp_path, holdout="every:8")
    bank = bank_of(scene)
    kept = np.ones((len(scene.train), 6, 8), dtype=bool)
    for place, index in enumerate(scene.train):
        if scene.views[index].name in ("001.png", "004.png"):
            kept[place] = white
    drawn = bank.draw(20_000, torch.Generator().manual_seed(0))
    assert bank.place is not None
    in_all = bank.view_of(drawn) * 6 * 8 + bank.place[drawn]
    assert set(in_all.tolist()) == set(np.flatnonzero(kept).tolist())
    # Equally likely: 310 of 336 pixels, 64.5 draws each, a deviation of 8 in one standard one.
    counts = torch.bincount(drawn, minlength=len(bank))
    assert counts.min() > 64.5 - 5 * 8 and counts.max() < 64.5 + 5 * 8


def test_without_masks_pixels_are_drawn_as_ever(tmp_path):
    write_transforms(tmp_path)
    bank = bank_of(load_scene(tmp_path))
    assert bank.place is None
    expected = torch.randint(len(bank), (50,), generator=torch.Generator().manual_seed(3))
    assert torch.equal(bank.draw(50, torch.Generator().manual_seed(3)), expected)


def test_a_smaller_picture_keeps_only_pixels_that_are_white_all_over(tmp_path):
    white = write_masked(tmp_path)
    view = read_capture(tmp_path).views[1]
    halves = white.reshape(3, 2, 4, 2).all(axis=(1, 3))
    assert np.array_equal(load_kept(view, (4, 3)).numpy(), halves)
    assert not halves[2, 3]
    # To five columns: the second covers file columns 1.6 to 3.2, of which 0 and 1 are black, and the last holds (5, 7).
    fifths = load_kept(view, (5, 6)).numpy()
    assert fifths.tolist() == [[False, False, True, True, True]] * 5 + [[False, False, True, True, False]]


def test_a_mask_may_be_smaller_than_its_picture_but_of_its_shape(tmp_path):
    write_masked(tmp_path)
    small = np.full((3, 4), 255, dtype=np.uint8)
    small[0, 0] = 0
    Image.fromarray(small).save(tmp_path / "masks" / "001.png")
    view = read_capture(tmp_path).views[1]
    assert (~load_kept(view)).nonzero().tolist() == [[0, 0], [0, 1], [1, 0], [1, 1]]
    Image.new("L", (6, 2)).save(tmp_path / "masks" / "001.png")
    with pytest.raises(UserError, match=r"the mask .*001\.png is 6x2, another shape than its picture .* of 8x6"):
        load_kept(view)


def test_a_mask_of_the_other_colour(tmp_path):
    white = write_masked(tmp_path)
    view = read_capture(tmp_path).views[1]
    assert view.training_mask == TrainingMask(tmp_path / "masks" / "001.png")
    inverted = replace(view, training_mask=TrainingMask(tmp_path / "masks" / "001.png", "white"))
    assert np.array_equal(load_kept(inverted).numpy(), ~white)


def test_masks_of_blender_scenes_are_read_as_well(tmp_path):
    write_blender(tmp_path, {"train": 3}, mode="RGB")
    source = tmp_path / "transforms_train.json"
    content = json.loads(source.read_text())
    content["frames"][2]["mask_path"] = "mask.png"
    source.write_text(json.dumps(content))
    Image.new("L", (8, 8)).save(tmp_path / "mask.png")
    masks = {view.name: view.training_mask for view in read_capture(tmp_path).views}
    assert masks == {"train/r_0.png": None, "train/r_1.png": None, "train/r_2.png": TrainingMask(tmp_path / "mask.png")}


def test_masks_go_through_the_run_folders_json(tmp_path):
    write_masked(tmp_path)
    scene = load_scene(tmp_path)
    document = json.loads(json.dumps(scene_to_json(scene)))
    assert document["views"][1]["training_mask"] == {"path": "masks/001.png", "excluded": "black"}
    assert "training_mask" not in document["views"][0]
    found = scene_from_json(document)
    assert [view.training_mask for view in found.views] == [view.training_mask for view in scene.views]


def test_masks_that_are_missing_or_exclude_everything_are_refused(tmp_path):
    write_masked(tmp_path, masked=range(9))
    for i in range(9):
        Image.new("L", (8, 6)).save(tmp_path / "masks" / f"{i:03d}.png")
    with pytest.raises(UserError, match="exclude every pixel of every training view; are they inverted"):
        bank_of(load_scene(tmp_path))
    (tmp_path / "masks" / "004.png").unlink()
    with pytest.raises(UserError, match=r"the mask .*004\.png of images/004\.png in .* is not there"):
        read_capture(tmp_path)


def test_what_nerfstudio_has_applied_to_the_poses_is_not_applied_again(tmp_path):
    """As `ns-process-data` writes a Polycam capture: intrinsics a frame, depth files, a transform already applied."""
    content = write_transforms(tmp_path)
    plain = read_capture(tmp_path)
    for i, frame in enumerate(content["frames"]):
        frame |= {key: content[key] for key in ("fl_x", "fl_y", "cx", "cy", "w", "h")}
        frame |= {"fl_x": 10.0 + i, "depth_file_path": f"depth/{i:03d}.png"}
    del content["fl_x"], content["fl_y"], content["cx"], content["cy"], content["w"], content["h"]
    applied = [[0, 0, 2.0, 0], [1.0, 0, 0, 5], [0, 1.0, 0, 0]]
    content |= {"camera_model": "OPENCV", "orientation_override": "none", "applied_transform": applied}
    save_json(tmp_path / "transforms.json", content | {"applied_scale": 0.3, "ply_file_path": "sparse.ply"})
    for i, (view, before) in enumerate(zip(read_capture(tmp_path).views, plain.views, strict=True)):
        assert torch.equal(view.camera.world_from_cam, before.camera.world_from_cam)
        assert (view.camera.fx, view.camera.fy, view.camera.cy) == (10.0 + i, before.camera.fy, before.camera.cy)


def test_doctor_counts_masked_views_and_names_a_mask_that_cannot_be_used(tmp_path):
    write_masked(tmp_path)
    report = check_scene(tmp_path)
    assert report.facts["masked"] == 2
    assert "2 views have masks of pixels that are not learnt from." in report.sentences
    (tmp_path / "masks" / "004.png").write_bytes(b"nothing")
    assert any("004.png cannot be read" in problem for problem in check_scene(tmp_path).problems)
