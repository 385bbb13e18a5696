"""`sanerf bench methods`: its figures and files, that it goes on, leaves the run alone, and what it refuses."""

import csv
import json
import shutil

import numpy as np
import pytest
import torch
from command_process import assert_refused, files
from command_stage import TEST, ball_mask, write_masks, write_prompts, write_scene
from PIL import Image

import sanerf.evaluation.methods_bench as bench
import sanerf.run.decoding
import sanerf.segmenter.load
from sanerf.segmenter.protocol import ImageFeatures, MaskHypotheses

RADIUS = 5.0


class Disc:
    """Answers with a disc about the first click inside."""

    name, fingerprint = "disc", "disc-1"

    def encode(self, image):
        return ImageFeatures({"nothing": torch.zeros(1)}, image.shape[0], image.shape[1])

    def decode(self, features, prompts):
        rows, columns = torch.meshgrid(
            torch.arange(features.height) + 0.5, torch.arange(features.width) + 0.5, indexing="ij"
        )
        out = []
        for prompt in prompts:
            x, y = prompt.points[prompt.labels == 1][0].tolist()
            inside = (columns - x) ** 2 + (rows - y) ** 2 <= RADIUS**2
            out.append(MaskHypotheses(torch.where(inside, 4.0, -4.0)[None], torch.tensor([0.9])))
        return out


@pytest.fixture
def discs(monkeypatch):
    for module in (sanerf.run.decoding, bench, sanerf.segmenter.load):
        monkeypatch.setattr(module, "load_segmenter", lambda text, device: Disc())


@pytest.fixture
def call(stage, tmp_path, discs):
    out = tmp_path / "out"
    return ("bench", "methods", stage.run, "--masks", stage.masks, "--prompts", stage.prompts, "--out", out)


def test_figures_masks_and_pages_of_a_run(call, stage, sanerf, tmp_path):
    other = tmp_path / "exact"
    shutil.copytree(stage.masks, other / "scene")
    (other / "scene" / "wall" / "8.png").unlink()
    before = {path: path.stat().st_mtime_ns for path in stage.run.rglob("*")}
    ended = sanerf(*call, "--methods", f"sanerf-instant,sam,masks:{other}", "--json")
    assert ended.code == 0, ended.err
    print(ended.out)
    print(files(tmp_path / "out"))
