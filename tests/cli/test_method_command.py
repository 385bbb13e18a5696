"""`sanerf segment --method`: a baseline's answer is stored, scored, rendered and exported like any other."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from command_process import assert_refused, files
from command_stage import HEIGHT, WIDTH
from PIL import Image

from sanerf.evaluation.baselines import segment
from sanerf.run import decoding
from sanerf.segmenter.protocol import ImageFeatures, MaskHypotheses


class RedOrNot:
    """Knows two things in a picture, what is red and what is not, and answers with the one that was clicked."""

    name, fingerprint = "red", "red-1"

    def encode(self, image):
        return ImageFeatures({"red": image[..., 0].float() - image[..., 2]}, image.shape[0], image.shape[1])

    def map_frame(self, height, width):
        return {}

    def decode(self, features, prompts):
        red = features.maps["red"] > 100
        out = []
        for prompt in prompts:
            column, row = prompt.points[0].long().tolist()
            mask = red if bool(red[row, column]) else ~red
            out.append(MaskHypotheses(torch.where(mask, 4.0, -4.0)[None], torch.tensor([0.9])))
        return out


@pytest.fixture(scope="module")
def clicks(tmp_path_factory) -> Path:
    """A click inside of each object in view 9, and one in view 1 that no method of one view may need."""
    clicks = {"ball": [("9.png", [16.0, 10.0]), ("1.png", [16.0, 12.0])], "wall": [("9.png", [5.0, 19.0])]}
    objects = [
        {"name": name, "points": [{"view": view, "xy": xy, "label": 1} for view, xy in places]}
        for name, places in clicks.items()
    ]
    path = tmp_path_factory.mktemp("clicks") / "prompts.json"
    path.write_text(json.dumps({"objects": objects}))
    return path


@pytest.fixture(scope="module")
def carried(stage, tmp_path_factory) -> Path:
    """A copy of the run, to be segmented."""
    return shutil.copytree(stage.run, tmp_path_factory.mktemp("carried") / "run")


def test_sa3d_is_stored_scored_rendered_and_exported(stage, clicks, carried, sanerf, monkeypatch, tmp_path):
    """In views that were not asked; a bowl of the whole picture would have IoUs of 0.33 and 0.5."""
    monkeypatch.setattr(decoding, "load_segmenter", lambda *_: RedOrNot())
    ended = sanerf("segment", carried, "--prompts", clicks, "--method", "sa3d", "--json")
    assert ended.code == 0, ended.err
    result = json.loads(ended.out)
    assert result["objects"] == ["ball", "wall"]
    assert list(result["seconds"]) == ["encode", "decode", "sample", "carry", "assess"]
    record = json.loads((carried / "segmentations" / "001" / "segmentation.json").read_text())
    assert record["method"] == "sa3d" and record["field"] == "voted"
    said = record["carried"]["ball"]
    assert said["first_view"] == "9.png" and said["accepted"] + len(said["rejected"]) + len(said["unseen"]) == 8
    assert said["accepted"] >= 6 and record["carried"]["wall"]["accepted"] >= 6

    # In its photograph the decoder finds the ball without an error, by the prompts that the run has kept.
    ended = sanerf("evaluate", carried, "--masks", stage.masks, "--name", "ball", "--alone", "photograph", "--json")
    assert ended.code == 0, ended.err
    assert json.loads(ended.out)["decoder_alone"]["iou"] > 0.99
    ended = sanerf("evaluate", carried, "--masks", stage.masks, "--json")
    assert ended.code == 0, ended.err
    scored = json.loads(ended.out)["objects"]
    assert all(scores["views"] == 2 and scores["iou"] > 0.7 for scores in scored.values()), scored
    ended = sanerf("render", carried, "--views", "test", "--what", "mask:ball", "--out", tmp_path / "masks")
    assert ended.code == 0, ended.err
    (picture,) = [path for path in (tmp_path / "masks").rglob("*0*.png")]
    mask = np.asarray(Image.open(picture))
    assert mask.shape[:2] == (HEIGHT, WIDTH) and 0.02 < (mask > 127).mean() < 0.5
    ended = sanerf("export", carried, "--name", "ball", "--format", "points", "--out", tmp_path / "ball.ply")
    assert ended.code == 0, ended.err


def test_isrf_is_stored_and_scored_with_features_that_tell_the_objects_apart(
    stage, clicks, sanerf, monkeypatch, tmp_path
):
    """Features that say whether a place is near the ball, whose radius is 0.7 in the file's frame."""
    run = shutil.copytree(stage.run, tmp_path / "run")
    monkeypatch.setattr(decoding, "load_segmenter", lambda *_: RedOrNot())

    def in_or_near_the_ball(decoder, stages):
        return lambda p: (decoder.run.scene.world_from_file.inverse().apply(p).norm(dim=1, keepdim=True) < 0.9).float()

    monkeypatch.setattr(segment, "distilled_features", in_or_near_the_ball)
    ended = sanerf("segment", run, "--prompts", clicks, "--method", "isrf", "--json")
    assert ended.code == 0, ended.err
    result = json.loads(ended.out)
    assert list(result["seconds"]) == ["encode", "decode", "sample", "grow", "assess"]
    record = json.loads((run / "segmentations" / "001" / "segmentation.json").read_text())
    assert record["method"] == "isrf" and record["field"] == "voted"
    ended = sanerf("evaluate", run, "--masks", stage.masks, "--json")
    assert ended.code == 0, ended.err
    scored = json.loads(ended.out)["objects"]
    assert all(scores["views"] == 2 and scores["iou"] > 0.7 for scores in scored.values()), scored


def test_what_a_method_cannot_do_is_refused(stage, carried, sanerf):
    before = files(carried)
    command = ("segment", carried, "--prompts", stage.prompts, "--method")
    assert_refused(sanerf(*command, "sa3d", "--segmenter", f"masks:{stage.masks}"), "masks:.* has none")
    assert_refused(sanerf(*command, "sa3d", "--instant"), "--method sa3d answers in its own way")
    assert_refused(sanerf(*command, "sa3d", "--add"), "--method sa3d answers in its own way")
    assert_refused(sanerf("evaluate", carried, "--alone", "photograph"), "--alone needs --masks")
    assert_refused(sanerf(*command, "isrf", "--segmenter", f"masks:{stage.masks}"), "--method isrf asks .* has none")
    assert files(carried) == before
