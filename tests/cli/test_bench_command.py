"""`sanerf bench segmenter`: its JSON, its files, what it refuses, and that it goes on."""

import json
import signal

import numpy as np
import pytest
from command_process import assert_refused, files, in_a_process
from PIL import Image

from sanerf.segmenter.mini.segmenter import MiniSegmenter

KEYS = {"clicks", "box", "noc85", "noc90", "encode_seconds", "decode_seconds"}
"""Of the contract with scripts."""

KILLED = """
import os
from sanerf.segmenter.mini.segmenter import MiniSegmenter
whole = MiniSegmenter.encode
def encode(self, image, calls=[]):
    calls.append(1)
    if len(calls) == 4:
        os._exit(9)
    return whole(self, image)
MiniSegmenter.encode = encode
"""
"""The warm-up and two pictures are encoded; at the third the process dies as if it were killed."""


@pytest.fixture
def data(tmp_path):
    """Three pictures of an orange disc on blue, each elsewhere."""
    y, x = np.mgrid[:72, :96]
    for folder in ("images", "masks"):
        (tmp_path / "data" / folder).mkdir(parents=True)
    for index in range(3):
        disc = (x - 30 - 15 * index) ** 2 + (y - 36) ** 2 < 20**2
        pixels = np.where(disc[..., None], (230, 130, 30), (40, 60, 110)).astype(np.uint8)
        Image.fromarray(pixels).save(tmp_path / "data/images" / f"{index}.jpg", quality=95)
        Image.fromarray(disc.astype(np.uint8) * 255).save(tmp_path / "data/masks" / f"{index}.png")
    return tmp_path / "data"


def test_json_alone_is_printed_and_nothing_written_without_out(data, sanerf, tmp_path):
    ended = sanerf("bench", "segmenter", "--data", data, "--json")
    assert ended.code == 0, ended.err
    scores = json.loads(ended.out)
    assert scores.keys() >= KEYS and scores["clicks"].keys() == {"1", "3", "5", "10"}
    assert scores["segmenter"] == "mini" and scores["cases"] == scores["pictures"] == 3
    # A disc of its own colour on an even ground is what any segmenter finds.
    assert scores["box"]["iou"] > 0.9 and scores["clicks"]["10"]["iou"] > 0.9
    assert 0 < scores["decode_seconds"] < 10 and 0 < scores["encode_seconds"] < 10
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


def test_killed_it_goes_on_where_it_was(data, sanerf, tmp_path):
    out = tmp_path / "out"
    ended = in_a_process("bench", "segmenter", "--data", data, "--out", out, prelude=KILLED)
    assert ended.code == 9
    kept = (out / "answers.jsonl").read_text()
    assert kept.count("\n") == 2
    ended = sanerf("bench", "segmenter", "--data", data, "--out", out, "--json")
    assert ended.code == 0 and json.loads(ended.out)["pictures"] == 3
    assert (out / "answers.jsonl").read_text().startswith(kept)
    assert files(out) == ["answers.jsonl", "bench.json", "report.html"]


def test_an_interruption_promises_to_go_on_only_where_something_is_kept(data, sanerf, tmp_path, monkeypatch):
    monkeypatch.setattr(MiniSegmenter, "encode", lambda *_: signal.raise_signal(signal.SIGINT))
    bench = ("bench", "segmenter", "--data", data)
    kept = sanerf(*bench, "--out", tmp_path / "out")
    assert (kept.code, kept.out) == (1, "") and "Traceback" not in kept.err
    assert kept.err.splitlines()[-1].endswith("the same command goes on from what this one has done")
    assert sanerf(*bench).err.splitlines()[-1] == "sanerf: interrupted; nothing is half written"


def test_what_cannot_be_is_refused_in_one_sentence(data, sanerf, tmp_path):
    bench = ("bench", "segmenter", "--data")
    assert_refused(sanerf("bench", "fields", "--data", data), "there is no suite 'fields' to bench; there is segmenter")
    assert_refused(sanerf(*bench, tmp_path / "none"), "there is no folder .*none/images; expected pictures in images/")
    assert_refused(sanerf(*bench, data, "--baselines", "sam"), "--baselines knows grabcut, u2net, not 'sam'")
    assert_refused(sanerf(*bench, data, "--baselines", "u2net"), "--baselines u2net and --u2net FILE.onnx go together")
    assert_refused(sanerf(*bench, data, "--segmenter", "masks:x"), "gives masks and no segmenter")
    whole = (data / "images/1.jpg").read_bytes()
    (data / "images/1.jpg").write_bytes(whole[: len(whole) // 2])
    assert_refused(sanerf(*bench, data), "the picture .*1.jpg cannot be read: .*truncated")
    for mask in (data / "masks").iterdir():
        mask.unlink()
    assert_refused(sanerf(*bench, data), r"none of the 3 pictures .* has a mask of its name .*; expected 0.png there")
    for picture in (data / "images").iterdir():
        picture.unlink()
    assert_refused(sanerf(*bench, data), "there are no pictures in .*images$")


def test_a_folder_that_is_not_the_benchmarks_is_refused_before_the_segmenter_is_loaded(
    data, sanerf, tmp_path, monkeypatch
):
    def load(*_: object) -> None:
        raise AssertionError("the segmenter was loaded")

    monkeypatch.setattr("sanerf.segmenter.load.load_segmenter", load)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("mine")
    bench = ("bench", "segmenter", "--data", data)
    assert_refused(sanerf(*bench, "--out", tmp_path / "mine"), "mine holds files that sanerf did not write")
    assert "the segmenter was loaded" in sanerf(*bench, "--out", tmp_path / "new").err
