"""A run whose scene was moved: found out, and told the new place, where that has the same pictures."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from analytic_scene import camera_at
from sanerf.data.scene import Scene, TrainingMask, View
from sanerf.data.scene_json import scene_to_json
from sanerf.errors import UserError
from sanerf.geometry.transforms import IDENTITY
from sanerf.run.config import RunConfig
from sanerf.run.folder import Run, create_run, open_run
from sanerf.run.relink import check_photographs, relink_run

SIDE = 12


def write_picture(path: Path, width: int = SIDE) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (width, SIDE)).save(path)
    return path


@pytest.fixture
def run(tmp_path) -> Run:
    """Of a capture with two pictures and a mask within it, a third beside it, and a fourth in a place of its own."""
    capture = tmp_path / "here" / "capture"
    files = [capture / "images" / "0.png", capture / "images" / "1.png", tmp_path / "here" / "more" / "2.png"]
    files.append(tmp_path / "archive" / "3.png")
    views = [View(path.name, write_picture(path), camera_at(0.1 * i, 0.0, size=SIDE)) for i, path in enumerate(files)]
    views[1] = replace(views[1], training_mask=TrainingMask(write_picture(capture / "masks" / "1.png")))
    scene = Scene(capture, "made up", tuple(views), (0, 1, 2), (3,), IDENTITY, 0.05, 3.0)
    return create_run(tmp_path / "here" / "run", scene, RunConfig())


def test_a_run_moved_with_its_capture_is_told_and_has_the_same_views(run, tmp_path):
    check_photographs(run)
    here, there = tmp_path / "here", tmp_path / "there"
    here.rename(there)
    # The one in a place of its own is still where it was.
    check_photographs(open_run(there / "run"))
    (tmp_path / "archive").rename(tmp_path / "old")
    with pytest.raises(UserError, match=r"are not in \S+/here/capture any more.*`sanerf relink \S+/there/run SCENE`"):
        check_photographs(open_run(there / "run"))
    (tmp_path / "old").rename(tmp_path / "archive")

    relink_run(there / "run", there / "capture")
    found = open_run(there / "run")
    assert found.scene.root == there / "capture"
    images = [there / "capture" / "images" / "0.png", there / "capture" / "images" / "1.png"]
    images += [there / "more" / "2.png", tmp_path / "archive" / "3.png"]
    assert [view.image_path for view in found.scene.views] == images
    assert found.scene.views[1].training_mask == TrainingMask(there / "capture" / "masks" / "1.png")
    # All else is as it was.
    places = {"root": "", "views": ""}
    assert {**scene_to_json(found.scene), **places} == {**scene_to_json(run.scene), **places}
    for before, after in zip(run.scene.views, found.scene.views, strict=True):
        assert before.camera.intrinsics == after.camera.intrinsics
        assert before.camera.world_from_cam.tolist() == after.camera.world_from_cam.tolist()
    assert [path.name for path in (there / "run").iterdir()] == ["run.json"]


def test_another_capture_is_refused_and_the_run_stays_as_it_was(run, tmp_path):
    before = (run.path / "run.json").read_bytes()

    def refused(root: Path, message: str) -> None:
        with pytest.raises(UserError, match=message):
            relink_run(run.path, root)
        assert (run.path / "run.json").read_bytes() == before

    refused(tmp_path / "nowhere", "there is no folder")
    other = shutil.copytree(run.scene.root, tmp_path / "here" / "other")
    write_picture(other / "images" / "1.png", width=SIDE + 1)
    refused(other, rf"other is not the scene of \S+/run: \S+1\.png has 13 x 12 pixels, and the run's {SIDE} x {SIDE}")
    (other / "images" / "0.png").unlink()
    (other / "masks" / "1.png").unlink()
    refused(other, r"2 of its 5 pictures are not there, such as \S+other/images/0\.png")
    with pytest.raises(UserError, match="is no run folder"):
        relink_run(tmp_path / "nowhere", run.scene.root)
    assert json.loads(before)["scene"]["root"] == str(run.scene.root)
