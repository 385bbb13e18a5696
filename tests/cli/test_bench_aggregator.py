"""`sanerf bench aggregator`: its figures and files, that it goes on, leaves the run alone, and what it refuses."""

import csv
import json

import numpy as np
import pytest
from command_process import assert_refused, files
from PIL import Image

import sanerf.evaluation.aggregator_bench as bench


@pytest.fixture
def scored(stage, sanerf, tmp_path):
    """One seed, exact and noisy masks, with and without the review."""
    before = {path: path.stat().st_mtime_ns for path in stage.run.rglob("*")}
    call = ("bench", "aggregator", stage.run, "--masks", stage.masks, "--out", tmp_path / "out", "--seeds", "0")
    ended = sanerf(*call, "--arms", "full,no-review", "--json")
    assert ended.code == 0, ended.err
    assert {path: path.stat().st_mtime_ns for path in stage.run.rglob("*")} == before
    return call, tmp_path / "out", json.loads(ended.out)


def test_figures_masks_and_pages_of_a_run(scored, sanerf, stage, monkeypatch):
    call, out, result = scored
    (of_run,) = result["runs"].values()
    assert result["jobs"] == 4 and set(of_run) == {"none", "noisy"}
    assert set(of_run["none"]) == {"full", "no-review"}
    assert set(of_run["noisy"]) == {"given", "given_own", "full", "no-review"}
    # The stage is a ball before a wall, easily told apart; the noise takes much off so small masks.
    assert of_run["none"]["full"]["iou"]["mean"] > 0.85
    assert of_run["noisy"]["given"]["iou"]["mean"] < of_run["noisy"]["given_own"]["iou"]["mean"] < 0.99
    written = [name for name in files(out) if not name.startswith("masks/")]
    assert written == ["ablation.csv", "ablation.md", "ablation.tex", "jobs.jsonl", "report.html"]
    with open(out / "ablation.csv", newline="") as file:
        read = list(csv.DictReader(file))
    (exact,) = [
        line for line in read if (line["masks"], line["measure"], line["arm"]) == ("exact masks", "mean IoU", "full")
    ]
    assert round(float(exact["mean"]), 4) == of_run["none"]["full"]["iou"]["mean"]
    assert (out / "report.html").read_text().count("<img") >= 8

    # Masks of training views alone; the exact ones are the truth itself.
    given = sorted(path.relative_to(out / "masks") for path in (out / "masks").rglob("*.png"))
    assert not {path.stem for path in given} & {"0", "8"}
    exact_masks = [path for path in given if "-none-" in path.parts[0]]
    assert len(exact_masks) == 16
    for path in exact_masks:
        truth = np.asarray(Image.open(stage.masks / path.relative_to(path.parts[0]))) > 127
        assert np.array_equal(np.asarray(Image.open(out / "masks" / path)) > 127, truth)

    # Called again nothing is computed; another seed adds its own jobs; a changed aggregator does all anew.
    kept = (out / "jobs.jsonl").read_text()
    with monkeypatch.context() as patched:
        patched.setattr(bench, "aggregate_masks", None)
        ended = sanerf(*call, "--arms", "full,no-review", "--json")
        assert ended.code == 0 and json.loads(ended.out)["runs"] == result["runs"]
    assert (out / "jobs.jsonl").read_text() == kept
    ended = sanerf(*call[:-1], "0,1", "--arms", "full", "--noise", "noisy", "--json")
    assert ended.code == 0, ended.err
    assert (out / "jobs.jsonl").read_text().count("\n") == 5
    (of_run,) = json.loads(ended.out)["runs"].values()
    assert of_run["noisy"]["full"]["iou"]["seeds"] == 2
    assert of_run["noisy"]["given_own"]["iou"]["spread"] > 0, "each seed has noise of its own"
    monkeypatch.setattr(bench, "aggregator_version", lambda: "another")
    assert sanerf(*call, "--arms", "full", "--noise", "none").code == 0
    assert (out / "jobs.jsonl").read_text().count("\n") == 6


def test_what_cannot_be_is_refused_in_one_sentence(stage, sanerf, tmp_path):
    call = ("bench", "aggregator", stage.run, "--masks", stage.masks, "--out", tmp_path / "out")
    needs = "bench aggregator needs trained runs and --out"
    assert_refused(sanerf("bench", "aggregator", "--out", tmp_path / "out"), needs)
    assert_refused(sanerf(*call[:-2]), needs)
    assert_refused(sanerf(*call, "--arms", "best"), "there is no arm 'best'; there are full, no-review")
    assert_refused(sanerf(*call, "--seeds", "0,one"), "--seeds should be whole numbers with commas .* not '0,one'")
    assert_refused(sanerf(*call, "--objects", "cup"), "has no mask of 'cup' in any training view")
    assert_refused(sanerf(*call[:3], *call[5:]), "there is no folder of exact masks .*; name another with --masks")
    assert_refused(sanerf("bench", "segmenter"), "bench segmenter needs --data")
    assert_refused(sanerf("bench", "segmenter", stage.run, "--data", tmp_path), "bench segmenter takes no runs")
    assert not (tmp_path / "out").exists()
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.tex").touch()
    assert_refused(sanerf(*call), "holds files that sanerf did not write")
