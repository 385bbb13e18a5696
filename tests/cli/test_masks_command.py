"""`sanerf masks`: the values in a data set's maps, masks of objects, and their use by `evaluate`."""

import json

import numpy as np
import pytest
from command_stage import HEIGHT, TEST, VIEWS, WIDTH, ball_mask
from PIL import Image


@pytest.fixture
def maps(stage, tmp_path):
    """Identities of the stage in every view: the ball 21, the wall 300."""
    folder = tmp_path / "instance"
    folder.mkdir()
    for i in range(len(VIEWS)):
        values = np.zeros((HEIGHT, WIDTH), dtype=np.uint16)
        for name, value in (("ball", 21), ("wall", 300)):
            values[np.asarray(Image.open(stage.masks / name / f"{i}.png")) > 127] = value
        Image.fromarray(values).save(folder / f"{i}.png")
    return folder


def test_values_are_listed_with_a_place_to_click(stage, maps, sanerf):
    ended = sanerf("masks", stage.scene, "--maps", maps, "--json")
    assert ended.code == 0, ended.err
    ball, wall = json.loads(ended.out)["instances"]
    assert (ball["value"], ball["views"], wall["value"], wall["views"]) == (21, 10, 300, 10)
    index = int(ball["view"].removesuffix(".png"))
    x, y = ball["xy"]
    assert ball_mask(index)[int(y), int(x)] and ball["pixels"] == ball_mask(index).sum()
    assert "value 21: in 10 views" in sanerf("masks", stage.scene, "--maps", maps).out


def test_written_masks_score_as_the_true_ones_do(segmented, maps, sanerf, tmp_path):
    (tmp_path / "objects.json").write_text('{"ball": 21, "wall": [300]}')
    out = tmp_path / "masks"
    ended = sanerf("masks", segmented.scene, "--maps", maps, "--objects", tmp_path / "objects.json", "--out", out)
    assert ended.code == 0, ended.err
    for i in range(len(VIEWS)):
        assert np.array_equal(np.asarray(Image.open(out / "ball" / f"{i}.png")) == 255, ball_mask(i))
    scores = []
    for masks in (out, segmented.masks):
        ended = sanerf("evaluate", segmented.run, "--masks", masks, "--report", tmp_path / "r.html", "--json")
        assert ended.code == 0, ended.err
        scores.append(json.loads(ended.out)["objects"])
    assert scores[0] == scores[1] and scores[0]["ball"]["views"] == len(TEST)


def test_objects_and_out_go_together(stage, maps, sanerf, tmp_path):
    ended = sanerf("masks", stage.scene, "--maps", maps, "--out", tmp_path / "masks")
    assert ended.code == 2 and "--objects and --out go together" in ended.err
    assert not (tmp_path / "masks").exists()
