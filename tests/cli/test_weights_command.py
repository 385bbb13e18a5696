"""`sanerf weights`: what it lists, how it points at files, and what it refuses."""

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import pytest
from command_process import assert_refused

from sanerf.segmenter import weights
from sanerf.segmenter.weights import Weight


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SANERF_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "weights"


@pytest.fixture
def known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file that is the authors' `sam:vit_b`, as this test's list has it; no server answers at its address."""
    file = tmp_path / "mine.pth"
    file.write_bytes(b"weights")
    sha256 = hashlib.sha256(b"weights").hexdigest()
    weight = Weight(name="sam:vit_b", address="http://127.0.0.1:1/vit_b.pth", megabytes=1, sha256=sha256)
    monkeypatch.setitem(weights.WEIGHTS, "sam:vit_b", weight)
    return file


def test_the_list_says_what_is_here_and_where_the_rest_is(sanerf, known, cache):
    def listed() -> dict:
        ended = sanerf("weights", "list", "--json")
        assert ended.code == 0
        return json.loads(ended.out)

    before = listed()
    assert before["folder"] == str(cache) and len(before["weights"]) == 10
    assert not any(weight["present"] for weight in before["weights"])
    large = next(weight for weight in before["weights"] if weight["name"] == "sam2:large")
    assert large["address"].endswith("/sam2.1_hiera_large.pt") and large["licence"] == "Apache-2.0"
    assert sanerf("weights", "add", "sam:vit_b", known).code == 0
    here = [weight for weight in listed()["weights"] if weight["present"]]
    assert [(weight["name"], weight["file"]) for weight in here] == [("sam:vit_b", str(known))]
    verified = sanerf("weights", "verify", "--json")
    assert json.loads(verified.out) == {"verified": {"sam:vit_b": str(known)}}
    assert str(known) in sanerf("weights").out
    known.write_bytes(b"weightz")
    assert_refused(sanerf("weights", "verify"), "not the file that the authors give out as sam:vit_b")


def test_verify_names_all_bad_files_and_no_good_one(sanerf, known, tmp_path, monkeypatch):
    files = {name: tmp_path / f"{name[-1]}.pth" for name in ("sam:vit_b", "sam:vit_l", "sam:vit_h")}
    for name, file in files.items():
        file.write_bytes(b"weights")
        monkeypatch.setitem(weights.WEIGHTS, name, replace(weights.WEIGHTS["sam:vit_b"], name=name))
        assert sanerf("weights", "add", name, file).code == 0
    files["sam:vit_b"].write_bytes(b"weightz")
    files["sam:vit_h"].unlink()
    ended = sanerf("weights", "verify")
    assert_refused(ended, r"b\.pth is not the file .*; and there is no file \S+h\.pth, where sam:vit_h should be$")
    assert "l.pth" not in ended.err.splitlines()[-1]


def test_add_says_where_the_file_lies_wherever_one_stands(sanerf, known, monkeypatch):
    monkeypatch.chdir(known.parent)
    added = sanerf("weights", "add", "sam:vit_b", known.name, "--json")
    assert json.loads(added.out) == {"name": "sam:vit_b", "file": str(known)}


def test_an_interrupted_pull_promises_to_go_on_and_nothing_else_does(sanerf, known, monkeypatch):
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("sanerf.segmenter.download.pull", interrupted)
    monkeypatch.setattr("sanerf.segmenter.weights.remember", interrupted)
    pulled = sanerf("weights", "pull", "sam:vit_b")
    assert pulled.code == 1 and pulled.err.splitlines()[-1].endswith("goes on from what this one has done")
    added = sanerf("weights", "add", "sam:vit_b", known)
    assert added.code == 1 and added.err.splitlines()[-1].endswith("interrupted; nothing is half written")


def test_refusals_are_sentences(sanerf, known, tmp_path):
    unreached = sanerf("weights", "pull", "sam:vit_b")
    assert unreached.code == 1 and unreached.out == "" and "Traceback" not in unreached.err
    said = unreached.err.splitlines()[-1]
    assert said.startswith("sanerf: http") and "cannot be reached" in said and "weights add sam:vit_b FILE`" in said
    assert_refused(sanerf("weights", "pull"), "which weight.* `sanerf weights pull NAME`")
    assert_refused(sanerf("weights", "add"), "which weight.* `sanerf weights add NAME FILE`")
    assert_refused(sanerf("weights", "pull", "sam:vit_x"), "no weight 'sam:vit_x'; there are sam:vit_b, ")
    assert_refused(sanerf("weights", "add", "sam:vit_b"), "which file?")
    assert_refused(sanerf("weights", "pull", "sam:vit_b", known), "`sanerf weights pull` takes no file")
    assert_refused(sanerf("weights", "add", "sam:vit_b", tmp_path / "none"), "there is no file")
    assert_refused(sanerf("weights", "add", "sam:vit_l", known), "not the file that the authors give out as sam:vit_l")
    assert_refused(sanerf("weights", "verify", "sam2:tiny"), "`sanerf weights pull sam2:tiny` fetches it")
    empty = sanerf("weights", "verify")
    assert empty.code == 0 and "no weights are on this machine" in empty.out
