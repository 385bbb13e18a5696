"""`sanerf bench clicks`: its figures and files, that it goes on, leaves the run alone, and what it refuses."""

import csv
import json

import pytest
import torch
from command_process import assert_refused, files
from command_stage import ball_mask

import sanerf.evaluation.clicks_bench as bench
import sanerf.segmenter.load
from sanerf.segmenter.protocol import ImageFeatures, MaskHypotheses

REACH = 4.0


class Discs:
    """Answers with a disc of `REACH` pixels about every click inside and what the mask prompt shows, less such discs
    about clicks outside: the more clicks, the nearer to any object."""

    name, fingerprint = "discs", "discs-1"

    def encode(self, image):
        return ImageFeatures({"nothing": torch.zeros(1)}, image.shape[0], image.shape[1])

    def decode(self, features, prompts):
        return [self._answer(features, prompt) for prompt in prompts]

    def _answer(self, features, prompt):
        rows, columns = torch.meshgrid(
            torch.arange(features.height) + 0.5, torch.arange(features.width) + 0.5, indexing="ij"
        )
        mask = torch.zeros(features.height, features.width, dtype=torch.bool)
        if prompt.mask_logits is not None:
            mask |= prompt.mask_logits > 0
        for wanted in (1, 0):
            for x, y in prompt.points[prompt.labels == wanted].tolist():
                disc = (columns - x) ** 2 + (rows - y) ** 2 <= REACH**2
                mask = mask | disc if wanted else mask & ~disc
        return MaskHypotheses(torch.where(mask, 4.0, -4.0)[None], torch.tensor([0.9]))


@pytest.fixture
def call(stage, tmp_path, monkeypatch):
    """The command with a segmenter whose answers are known, and games of six clicks, which are enough here."""
    monkeypatch.setattr(bench, "MOST_CLICKS", 6)
    monkeypatch.setattr(sanerf.segmenter.load, "load_segmenter", lambda text, device: Discs())
    return ("bench", "clicks", stage.run, "--masks", stage.masks, "--out", tmp_path / "out")


def test_figures_and_pages_of_a_run(call, stage, sanerf, tmp_path, monkeypatch):
    before = {path: path.stat().st_mtime_ns for path in stage.run.rglob("*")}
    all_of_it = (*call, "--seeds", "0,1", "--objects", "ball", "--every", "4", "--json")
    ended = sanerf(*all_of_it)
    assert ended.code == 0, ended.err
    result = json.loads(ended.out)
    assert {path: path.stat().st_mtime_ns for path in stage.run.rglob("*")} == before
    # Robot and suggested once, random with each of two seeds.
    assert result["games"] == 4
    (of_run,) = result["runs"].values()
    assert list(of_run) == ["robot", "suggested", "random"]
    assert of_run["robot"]["noc90"]["seeds"] == 1 and of_run["random"]["noc90"]["seeds"] == 2
    for of_clicker in of_run.values():
        assert 1 <= of_clicker["noc80"]["mean"] <= of_clicker["noc85"]["mean"] <= of_clicker["noc90"]["mean"] <= 20
    # All begin with the same click; the robot's next discs then fill the ball.
    assert len({of_clicker["iou_after_1"]["mean"] for of_clicker in of_run.values()}) == 1
    assert of_run["robot"]["iou_after_5"]["mean"] > of_run["robot"]["iou_after_1"]["mean"]
    fewer = 1 - of_run["suggested"]["noc90"]["mean"] / of_run["random"]["noc90"]["mean"]
    assert result["suggested_fewer_than_random"] == pytest.approx(fewer, abs=1e-3)
    out = tmp_path / "out"
    written = [name for name in files(out) if not name.startswith("kept/")]
    assert written == ["clicks.csv", "clicks.md", "clicks.tex", "games.jsonl", "report.html"]
    with open(out / "clicks.csv", newline="") as file:
        read = {(line["measure"], line["clicker"]): line for line in csv.DictReader(file)}
    assert round(float(read["noc90", "robot"]["mean"]), 4) == of_run["robot"]["noc90"]["mean"]
    # The curve, and the three clickers' worst views.
    assert (out / "report.html").read_text().count("<img src") == 4

    # Every click was in a view that takes part, the first and fifth of those trained on, and says what is there.
    games = [json.loads(line)["value"] for line in (out / "games.jsonl").read_text().splitlines()]
    for game in games:
        assert len(game["clicks"]) == len(game["iou"]) > 1
        for click in game["clicks"]:
            assert click["view"] in (1, 5)
            assert ball_mask(click["view"])[int(click["y"]), int(click["x"])] == click["label"]

    # Called again nothing is played; another object adds its own games.
    kept = (out / "games.jsonl").read_text()
    with monkeypatch.context() as patched:
        patched.setattr(bench, "play", None)
        again = sanerf(*all_of_it)
        assert again.code == 0 and json.loads(again.out)["runs"] == result["runs"]
    assert (out / "games.jsonl").read_text() == kept
    ended = sanerf(*call, "--seeds", "5", "--objects", "ball", "--every", "4", "--clickers", "robot", "--json")
    assert ended.code == 0 and (out / "games.jsonl").read_text() == kept, "chance has no part in the robot's game"
    monkeypatch.setattr(bench, "clicks_version", lambda: "another")
    assert sanerf(*call, "--objects", "ball", "--every", "4", "--clickers", "robot").code == 0
    assert (out / "games.jsonl").read_text().count("\n") == 5


def test_what_cannot_be_is_refused_in_one_sentence(call, sanerf, tmp_path):
    needs = "bench clicks needs trained runs and --out"
    assert_refused(sanerf("bench", "clicks", "--out", tmp_path / "out"), needs)
    assert_refused(sanerf(*call[:-2]), needs)
    assert_refused(sanerf(*call, "--clickers", "me"), "there is no clicker 'me'; there are robot, suggested, random")
    assert_refused(sanerf(*call, "--every", "0"), "--every should be at least 1, not 0")
    assert_refused(sanerf(*call, "--objects", "cup"), "has no mask of 'cup' in any training view")
    assert not (tmp_path / "out").exists()
