"""`sanerf segment` with the built-in segmenter: undisturbed, and killed three times.

The stage in pictures of 128 x 96 pixels: in smaller ones `mini` sees too little.
"""

import json
import shutil
import signal
from pathlib import Path

import numpy as np
import pytest
import torch
from command_process import files, in_a_process
from command_stage import CONFIG, VIEWS, write_masks, write_scene
from PIL import Image
from safetensors.torch import load_file

from sanerf.data.load import load_scene
from sanerf.kernels.backend import kernels_for
from sanerf.run.train_run import train_run

SCALE = 4
CLICKS = {"ball": (16.0, 10.0), "wall": (5.0, 19.0)}
"""In view 9, in pixels of pictures of 32 x 24."""
TRAINING_VIEWS = len(VIEWS) - 2


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    """A folder with the larger scene, true masks, prompts, and a trained run."""
    root = tmp_path_factory.mktemp("mini")
    write_scene(root / "scene", scale=SCALE)
    write_masks(root / "masks")
    objects = [
        {"name": name, "points": [{"view": "9.png", "xy": [SCALE * x, SCALE * y], "label": 1}]}
        for name, (x, y) in CLICKS.items()
    ]
    (root / "prompts.json").write_text(json.dumps({"objects": objects}))
    cpu = torch.device("cpu")
    train_run(load_scene(root / "scene"), CONFIG, root / "run", kernels=kernels_for("numba", cpu))
    return root


@pytest.fixture(scope="module")
def undisturbed(root) -> Path:
    """A copy of the run, segmented in one go, in a real process and with nothing said of a segmenter."""
    run = shutil.copytree(root / "run", root / "undisturbed")
    ended = in_a_process("segment", run, "--prompts", root / "prompts.json", "--json")
    assert ended.code == 0, ended.err
    assert json.loads(ended.out)["objects"] == list(CLICKS)
    return run


def stored(run: Path) -> dict[str, bytes]:
    """The files of the run's first segmentation by their names, but for the seconds, which no two runs share."""
    folder = run / "segmentations" / "001"
    found = {name: (folder / name).read_bytes() for name in files(folder)}
    record = json.loads(found["segmentation.json"])
    return {**found, "segmentation.json": json.dumps({**record, "seconds": None}).encode()}


@pytest.mark.slow
def test_two_clicks_become_two_objects_in_views_that_were_not_trained_on(undisturbed, root, sanerf):
    """The whole picture as a mask would have IoUs of 0.33 and 0.5."""
    assert len(files(undisturbed / "features")) == TRAINING_VIEWS
    assert json.loads(stored(undisturbed)["segmentation.json"])["segmenter"] == "mini"
    ended = sanerf("evaluate", undisturbed, "--masks", root / "masks", "--json")
    assert ended.code == 0, ended.err
    objects = json.loads(ended.out)["objects"]
    assert objects.keys() == CLICKS.keys()
    assert all(scores["views"] == 2 and scores["iou"] > 0.7 for scores in objects.values()), objects


@pytest.mark.slow
def test_a_scribble_a_painted_stroke_and_a_mask_become_objects_too(undisturbed, root, sanerf):
    """The ball by a line over it and the wall by a painted stroke, then both by rough masks of a quarter of the size,
    each mask going back to the decoder once. The features are there already."""
    run = shutil.copytree(undisturbed, root / "drawn", ignore=shutil.ignore_patterns("segmentations"))
    stroke = np.zeros((SCALE * 24, SCALE * 32), dtype=np.uint8)
    stroke[SCALE * 22 - 2 : SCALE * 22 + 3, SCALE * 3 : SCALE * 28] = 255
    (root / "drawings").mkdir()
    Image.fromarray(stroke).save(root / "drawings" / "wall.png")
    for name in CLICKS:
        shutil.copy(root / "masks" / name / "9.png", root / "drawings" / f"rough_{name}.png")
    line = {"view": "9.png", "xy": [[SCALE * 13.0, SCALE * 10.0], [SCALE * 19.0, SCALE * 10.0]], "label": 1}
    painted = {"view": "9.png", "path": "wall.png", "label": 1}
    for objects in (
        [{"name": "ball", "scribbles": [line]}, {"name": "wall", "scribbles": [painted]}],
        [{"name": name, "masks": [{"view": "9.png", "path": f"rough_{name}.png"}]} for name in CLICKS],
    ):
        (root / "drawings" / "prompts.json").write_text(json.dumps({"objects": objects}))
        ended = sanerf("segment", run, "--prompts", root / "drawings" / "prompts.json", "--refine", 1)
        assert ended.code == 0, ended.err
        record = json.loads(next((run / "segmentations").glob("*/segmentation.json")).read_text())
        assert record["refine"] == 1
        ended = sanerf("evaluate", run, "--masks", root / "masks", "--json")
        assert ended.code == 0, ended.err
        scored = json.loads(ended.out)["objects"]
        assert all(scores["views"] == 2 and scores["iou"] > 0.7 for scores in scored.values()), scored


# They kill the process before the third cached file, and before the segmentation, gets its name. All is written then.
BEFORE_A_CACHED_FILE = """
import itertools, os, signal
rename, calls = os.replace, itertools.count(1)
def killed(source, target, **options):
    if "features" in str(target) and next(calls) == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    rename(source, target, **options)
os.replace = killed
"""
BEFORE_THE_SEGMENTATION = """
import os, signal
rename = os.rename
def killed(source, target, **options):
    if str(target).endswith("001"):
        os.kill(os.getpid(), signal.SIGKILL)
    rename(source, target, **options)
os.rename = killed
"""


@pytest.mark.slow
def test_killed_twice_it_goes_on_and_ends_like_one_that_was_not(undisturbed, root, sanerf):
    run = shutil.copytree(root / "run", root / "killed")
    command = ("segment", run, "--prompts", root / "prompts.json")
    for prelude, encoded in ((BEFORE_A_CACHED_FILE, 2), (BEFORE_THE_SEGMENTATION, TRAINING_VIEWS)):
        killed = in_a_process(*command, prelude=prelude)
        assert killed.code == -signal.SIGKILL and killed.out == "", killed
        cached = [path for path in (run / "features").glob("*.safetensors") if path.name[0] != "."]
        assert len(cached) == encoded and all(load_file(path) for path in cached)
        # Only under a temporary, hidden name, which no reader takes for a segmentation.
        assert not list((run / "segmentations").glob("[!.]*"))
        ended = sanerf("evaluate", run, "--json")
        assert ended.code == 0, ended.err
        assert json.loads(ended.out).get("objects", {}) == {}
    ended = sanerf(*command)
    assert ended.code == 0, ended.err
    assert stored(run) == stored(undisturbed)
