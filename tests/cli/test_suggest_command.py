"""`sanerf suggest` and the heat map of `render`: what is stored is said, in a prompts file's words, and drawn."""

import json
import shutil

import pytest
from command_process import assert_refused, files, size_of
from command_stage import HEIGHT, TEST, WIDTH

from sanerf.data.load import load_scene
from sanerf.prompts.file import read_prompts


def test_what_segment_foresaw_is_kept_said_and_drawn(segmented, sanerf, tmp_path):
    """Of exact masks of a ball and a wall; a suggestion is a prompt as it stands."""
    record = json.loads((segmented.run / "segmentations" / "001" / "segmentation.json").read_text())
    ended = sanerf("suggest", segmented.run, "--out", tmp_path / "out", "--json")
    assert ended.code == 0, ended.err
    result = json.loads(ended.out)
    assert result["predicted_iou"] == record["predicted_iou"]
    assert result["predicted_iou"].keys() == {"ball", "wall"}
    assert result["suggested_clicks"] == record["suggested_clicks"]
    assert result["predicted_iou_views"] == record["predicted_iou_views"]
    assert all(0.5 < iou <= 1 for iou in result["predicted_iou"].values())
    clicks = {name: click for name, click in result["suggested_clicks"].items() if click is not None}
    assert files(tmp_path / "out") == sorted(
        f"{name}/{what}.png" for name in clicks for what in ("click", "uncertainty")
    )
    for name in clicks:
        assert size_of(tmp_path / "out" / name / "uncertainty.png") == ("RGB", (WIDTH, HEIGHT))

    scene, objects = load_scene(segmented.scene), []
    training = {scene.views[view].name for view in scene.train}
    # All training views see the ball and the wall.
    for of_views in result["predicted_iou_views"].values():
        assert of_views.keys() == {scene.output_stem(view) for view in scene.train}
        assert all(0.5 < iou <= 1 for iou in of_views.values())
    for name, click in clicks.items():
        assert click["view"] in training and click["expected_error"] > 0
        assert 0 <= click["xy"][0] < WIDTH and 0 <= click["xy"][1] < HEIGHT
        objects.append({"name": name, "points": [{key: click[key] for key in ("view", "xy", "label")}]})
    if objects:
        (tmp_path / "prompts.json").write_text(json.dumps({"objects": objects}))
        assert len(read_prompts(tmp_path / "prompts.json").objects) == len(objects)

    ended = sanerf("suggest", segmented.run, "--name", "ball")
    assert ended.code == 0 and ended.out.startswith(f"ball: predicted IoU {record['predicted_iou']['ball']:.2f}, ")
    assert "wall" not in ended.out


def test_predicted_beside_true(segmented, sanerf):
    record = json.loads((segmented.run / "segmentations" / "001" / "segmentation.json").read_text())
    ended = sanerf("evaluate", segmented.run, "--masks", segmented.masks, "--json")
    assert ended.code == 0, ended.err
    for name, scores in json.loads(ended.out)["objects"].items():
        assert scores["predicted_iou"] == record["predicted_iou"][name]
        assert scores["predicted_iou"] == pytest.approx(scores["iou"], abs=0.2)


def test_uncertainty_is_rendered_of_one_object_and_of_all(segmented, sanerf, tmp_path):
    ended = sanerf("render", segmented.run, "--what", "uncertainty,uncertainty:ball", "--out", tmp_path / "out")
    assert ended.code == 0, ended.err
    assert files(tmp_path / "out") == sorted(
        f"uncertainty/{folder}{stem}.png" for folder in ("", "ball/") for stem in TEST
    )


def test_what_is_refused(stage, segmented, sanerf, tmp_path):
    assert_refused(
        sanerf("suggest", segmented.run, "--name", "cup"), "has no object 'cup'; its objects are: ball, wall"
    )
    bare = shutil.copytree(stage.run, tmp_path / "bare")
    shutil.rmtree(bare / "segmentations", ignore_errors=True)
    for command in (("suggest", bare), ("evaluate", bare, "--masks", stage.masks)):
        assert_refused(sanerf(*command), "bare has no objects yet: run `sanerf segment` first")
    ended = sanerf("render", bare, "--what", "uncertainty", "--out", tmp_path / "out")
    assert_refused(ended, "has no object to be unsure of: run `sanerf segment` first")
    old = shutil.copytree(segmented.run, tmp_path / "old")
    path = old / "segmentations" / "001" / "segmentation.json"
    record = json.loads(path.read_text())
    del record["predicted_iou"], record["suggested_clicks"]
    path.write_text(json.dumps(record))
    assert_refused(sanerf("suggest", old), "'ball' was segmented by an older sanerf, .* segment it again")
