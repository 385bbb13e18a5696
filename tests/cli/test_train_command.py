"""`sanerf train`: killed and interrupted runs go on, bad scenes and options are refused."""

import json
import signal
from pathlib import Path

import numpy as np
import torch
from command_process import assert_refused, files, in_a_process
from command_stage import WIDTH, write_scene
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load_file

# Stops the process by a signal in the middle of a training step; checkpoints are written after each step.
STOP = """
import itertools, os, signal, types
from sanerf.run import training
training.time = types.SimpleNamespace(monotonic=itertools.count(0.0, 31.0).__next__)
whole_step, calls = training.training_step, itertools.count(1)
def stopped_step(*arguments):
    error = whole_step(*arguments)
    if next(calls) == 2:
        os.kill(os.getpid(), signal.{name})
    return error
training.training_step = stopped_step
"""


def test_a_run_killed_and_interrupted_ends_bit_for_bit_like_one_that_was_not(stage, sanerf):
    options = ["train", stage.scene, "--steps", 4, "--seed", 3, "--downscale", 2, "--json"]
    whole, out = stage.root / "whole", stage.root / "stopped"
    assert sanerf(*options, "--out", whole).code == 0
    assert files(whole) == ["radiance.safetensors", "run.json", "train.jsonl"]

    killed = in_a_process(*options, "--out", out, prelude=STOP.format(name="SIGKILL"))
    assert killed.code == -signal.SIGKILL
    assert files(out) == ["checkpoint.safetensors", "run.json"]
    interrupted = in_a_process(*options, "--out", out, prelude=STOP.format(name="SIGTERM"))
    assert interrupted.code == 1 and interrupted.out == "" and "Traceback" not in interrupted.err
    assert (
        interrupted.err.splitlines()[-1]
        == "sanerf: interrupted; nothing is half written, and the same command goes on from what this one has done"
    )
    # One step before it was killed in its second, and two until it was interrupted in that one.
    with safe_open(out / "checkpoint.safetensors", framework="pt") as file:
        assert file.metadata()["step"] == "3"
    ended = sanerf(*options, "--out", out)
    assert ended.code == 0 and "train 4/4" in ended.err
    assert ended.out.count("\n") == 1
    result = json.loads(ended.out)
    assert (result["run"], result["train_views"], result["test_views"]) == (str(out), 8, 2)
    assert files(out) == files(whole)
    found, expected = load_file(out / "radiance.safetensors"), load_file(whole / "radiance.safetensors")
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], expected[name]) for name in found)

    before = (out / "radiance.safetensors").stat().st_mtime_ns
    again = sanerf(*options, "--out", out)
    assert again.code == 0 and json.loads(again.out)["run"] == str(out)
    finished = "holds a finished run, which cannot be trained further, and this one differs from it in "
    for changed, difference in (
        (("--holdout", "none"), r"--holdout \(2 views, now 0\); choose"),
        (("--holdout", "every:9"), r"--holdout \(2 views, now 2 others\); choose"),
        (("--steps", 9, "--seed", 4), r"--seed \(3, now 4\), --steps \(4, now 9\); choose"),
        (("--transients", "off"), r"--transients \(on, now off\); choose"),
    ):
        assert_refused(sanerf(*options[:-1], *changed, "--out", out), finished + difference)
    assert (out / "radiance.safetensors").stat().st_mtime_ns == before


def test_scenes_that_cannot_be_trained_are_refused_and_nothing_is_left(sanerf, tmp_path):
    def refused(scene: Path, message: str) -> None:
        out = tmp_path / f"run of {scene.name}"
        assert_refused(sanerf("train", scene, "--out", out, "--steps", 1), message)
        # At the most the settings, with which the same command goes on once the picture is mended.
        assert not out.exists() or files(out) == ["run.json"]
        assert not [path for path in tmp_path.rglob("*.part*")]

    refused(tmp_path / "nowhere", "there is no folder")
    (tmp_path / "empty").mkdir()
    refused(tmp_path / "empty", "is no scene: expected transforms.json")
    no_images = write_scene(tmp_path / "no images", frames=3)
    for file in (no_images / "images").iterdir():
        file.unlink()
    refused(no_images, "none of the 3 pictures listed in .* is there")
    text = write_scene(tmp_path / "text", frames=3)
    (text / "images" / "1.png").write_text("no picture")
    refused(text, r"1\.png cannot be read: it is not a picture")
    cut = write_scene(tmp_path / "cut", frames=3)
    (cut / "images" / "1.png").write_bytes((cut / "images" / "1.png").read_bytes()[:-40])
    refused(cut, r"1\.png cannot be read")
    other_size = write_scene(tmp_path / "other size", frames=3)
    Image.new("RGBA", (WIDTH, WIDTH)).save(other_size / "images" / "1.png")
    refused(other_size, r"1\.png")
    no_poses = write_scene(tmp_path / "no poses", frames=3)
    (no_poses / "transforms.json").unlink()
    refused(no_poses, "has pictures but no camera poses; `sanerf process")
    too_few = write_scene(tmp_path / "too few poses", frames=3)
    (too_few / "transforms.json").unlink()
    np.save(too_few / "poses_bounds.npy", np.ones((2, 17)))
    refused(too_few, "2 .* 3|3 .* 2")


def test_options_that_make_no_sense_are_refused(stage, sanerf, tmp_path, tmp_path_factory):
    train = ("train", stage.scene, "--out", tmp_path / "run")
    blank = tmp_path_factory.mktemp("blank") / "names.txt"
    blank.write_text("\n  \n")
    for options, message in (
        (("--steps", 0), "--steps should be at least 1, not 0"),
        (("--minutes", 0), "--minutes should be more than 0"),
        (("--downscale", 0), "--downscale should be at least 1"),
        (("--holdout", "every:1"), "expected every:N with a whole N of at least 2"),
        (("--holdout", tmp_path / "names.txt"), "there is no such file; expected every:8, none or a text file"),
        (("--holdout", blank), "names.txt', which names no view; where none shall be held out, say none"),
        (("--backend", "triton"), "triton"),
        (("--seed", 2**63), "--seed should be from 0 to"),
        (("--downscale", 100), "--downscale 100 leaves too little of pictures of"),
    ):
        ended = sanerf(*train, *options)
        assert_refused(ended, message)
        assert "compil" not in ended.err
    ended = sanerf(*train, "--device", "abacus")
    assert ended.code == 2 and ended.out == "" and "Traceback" not in ended.err
    assert "abacus" in ended.err and "cuda" in ended.err
    assert list(tmp_path.iterdir()) == []
