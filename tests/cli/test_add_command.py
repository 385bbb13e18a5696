"""`sanerf segment --add` and `--remove`: what stays, what is asked again, and that objects are joined."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from command_process import assert_refused, files
from command_stage import HEIGHT, VIEWS, WIDTH, stage_camera
from PIL import Image

from analytic_scene import cast
from sanerf.geometry.cameras import image_rays


@pytest.fixture(scope="module")
def masks(stage, tmp_path_factory) -> Path:
    """The stage's masks, and those of the wall's two halves."""
    root = shutil.copytree(stage.masks, tmp_path_factory.mktemp("more") / "masks")
    for name in ("left", "right"):
        (root / name).mkdir()
    for i, xy in enumerate(VIEWS):
        camera = stage_camera(*xy)
        wall = np.asarray(Image.open(root / "wall" / f"{i}.png")) > 127
        distance = cast(camera)[0].reshape(HEIGHT, WIDTH)
        rays = image_rays(camera)
        x = (rays.origins[:, 0] + rays.directions[:, 0] * distance.reshape(-1)).reshape(HEIGHT, WIDTH).numpy()
        for name, side in (("left", x < 0), ("right", x >= 0)):
            Image.fromarray((wall & side).astype(np.uint8) * 255).save(root / name / f"{i}.png")
    return root


def names_file(path: Path, *names: str) -> Path:
    path.write_text(json.dumps({"objects": [{"name": name} for name in names]}))
    return path


def segment(run: Path, masks: Path, *names: str) -> tuple[object, ...]:
    prompts = names_file(run / f"{'-'.join(names)}.json", *names)
    return ("segment", run, "--prompts", prompts, "--segmenter", f"masks:{masks}", "--json")


def record_of(run: Path) -> dict:
    """The record of the only segmentation."""
    (folder,) = (run / "segmentations").glob("[0-9]*")
    return json.loads((folder / "segmentation.json").read_text())


def ious(sanerf, run: Path, masks: Path) -> dict[str, float]:
    ended = sanerf("evaluate", run, "--masks", masks, "--json")
    assert ended.code == 0, ended.err
    return {name: scores["iou"] for name, scores in json.loads(ended.out)["objects"].items()}


@pytest.mark.parametrize("instant", [False, True])
def test_objects_are_added_corrected_and_removed(stage, sanerf, masks, tmp_path, instant):
    run = shutil.copytree(stage.run, tmp_path / "run")
    how = ("--instant",) if instant else ()
    assert sanerf(*segment(run, masks, "ball", "left"), *how).code == 0
    before = ious(sanerf, run, masks)

    ended = sanerf(*segment(run, masks, "right"), "--add", *how)
    assert ended.code == 0, ended.err
    assert json.loads(ended.out)["objects"] == ["ball", "left", "right"]
    record = record_of(run)
    assert record["names"] == ["ball", "left", "right"] and record["kept"] == ["ball", "left"]
    assert record["prompts"] == {"objects": [{"name": name} for name in record["names"]]}
    assert set(record["decoded"]) == {"ball", "left", "right"}
    added = ious(sanerf, run, masks)
    assert set(added) == {"ball", "left", "right"} and added["right"] > 0.8, added
    assert all(added[name] > before[name] - 0.03 for name in before), (before, added)

    # No pixel is two objects.
    rendered = tmp_path / "rendered"
    what = ",".join(["unknown", *(f"mask:{name}" for name in record["names"])])
    ended = sanerf("render", run, "--views", "test", "--what", what, "--out", rendered)
    assert ended.code == 0, ended.err
    for stem in ("0", "8"):
        shown = [np.asarray(Image.open(rendered / "mask" / name / f"{stem}.png")) > 127 for name in record["names"]]
        assert np.sum(shown, axis=0).max() == 1
        # Training views with masks saw nearly all that a held-out view sees.
        assert np.mean(np.asarray(Image.open(rendered / "unknown" / f"{stem}.png")) > 127) < 0.1

    # A correction of one object leaves the others' masks as they are.
    kept = {path.name: path.read_bytes() for path in (run / "segmentations").glob("*/decoded/ball/*.png")}
    ended = sanerf(*segment(run, masks, "left"), "--add", *how)
    assert ended.code == 0, ended.err
    record = record_of(run)
    assert record["names"] == ["ball", "left", "right"] and record["kept"] == ["ball", "right"]
    assert {path.name: path.read_bytes() for path in (run / "segmentations").glob("*/decoded/ball/*.png")} == kept
    again = ious(sanerf, run, masks)
    assert all(again[name] > added[name] - 0.03 for name in added), (added, again)

    ended = sanerf("segment", run, "--remove", "left,ball")
    assert ended.code == 0 and ended.out == "removed left, ball\n", ended
    alone = ious(sanerf, run, masks)
    assert alone == {"right": again["right"]}, "to the bit"
    assert_refused(sanerf("export", run, "--name", "ball", "--format", "masks", "--out", tmp_path / "x"), "no object")
    # What was removed may come again, and leaves nothing behind.
    ended = sanerf(*segment(run, masks, "ball"), "--add", *how)
    assert ended.code == 0, ended.err
    assert record_of(run)["names"] == ["right", "ball"] and "removed" not in record_of(run)


def test_objects_of_several_calls_are_joined_whatever_they_are(stage, sanerf, masks, tmp_path):
    """One was trained and one voted; what is asked for last is trained, and all are of one segmentation."""
    run = shutil.copytree(stage.run, tmp_path / "run")
    assert sanerf(*segment(run, masks, "ball")).code == 0
    assert sanerf(*segment(run, masks, "left"), "--instant").code == 0
    ended = sanerf(*segment(run, masks, "right"), "--add")
    assert ended.code == 0, ended.err
    record = record_of(run)
    assert record["names"] == ["ball", "left", "right"] and record["field"] == "trained"
    assert min(ious(sanerf, run, masks).values()) > 0.8


def test_an_object_that_starts_anew_has_its_later_prompts_alone(segmented, sanerf, tmp_path):
    run = shutil.copytree(segmented.run, tmp_path / "run")
    click = {"xyz": [0.0, 0.0, 0.0], "label": 1}
    (tmp_path / "more.json").write_text(json.dumps({"objects": [{"name": "ball", "points": [click]}]}))
    command = ("segment", run, "--prompts", tmp_path / "more.json", "--segmenter", f"masks:{segmented.masks}", "--add")
    first = {"view": "9.png", "xy": [16.0, 10.0], "label": 1}
    for options, points in (((), [first, click]), (("--remove", "ball"), [click])):
        ended = sanerf(*command, "--instant", *options)
        assert ended.code == 0, ended.err
        by_name = {entry["name"]: entry for entry in record_of(run)["prompts"]["objects"]}
        assert by_name["ball"]["points"] == points and set(by_name) == {"ball", "wall"}


def test_what_cannot_be_added_or_removed_is_refused_and_changes_nothing(segmented, sanerf, tmp_path):
    run = shutil.copytree(segmented.run, tmp_path / "run")
    before = files(run / "segmentations")

    def refused(message: str, *options: object) -> None:
        assert_refused(sanerf("segment", run, *options), message)
        assert files(run / "segmentations") == before

    more = ("--segmenter", f"masks:{segmented.masks}", "--prompts")
    refused("sanerf segment needs --prompts")
    refused("sanerf segment needs --prompts", "--remove", "ball", "--add")
    refused("--remove goes alone or with --add", *more, segmented.prompts, "--remove", "ball")
    refused("has no object 'cup'; its objects are: ball, wall", "--remove", "ball,cup")
    for names in ("", ",", "ball,"):
        refused(f"--remove should be names with commas between them, not '{names}'", "--remove", names)
    for option in (("--instant",), ("--then-refine",), ("--refine", 1), ("--segmenter", f"masks:{segmented.masks}")):
        message = f"--remove without --prompts only lets objects go; {option[0]} goes with --prompts"
        refused(message, "--remove", "ball", *option)
    refused("has no object 'cup'; its objects are: ball, wall", *more, segmented.prompts, "--add", "--remove", "cup")
    spelt = names_file(tmp_path / "spelt.json", "Ball")
    refused("the run has an object called 'ball'; write it so, not 'Ball'", *more, spelt, "--add")
    refused("has no mask of 'hat'|no folder 'hat'", *more, names_file(tmp_path / "hat.json", "hat"), "--add")
    shutil.rmtree(run / "segmentations" / "001" / "decoded" / "wall")
    before = files(run / "segmentations")
    ball = names_file(tmp_path / "ball.json", "ball")
    refused("keeps no masks of the object 'wall', which --add needs; segment it anew", *more, ball, "--add")
