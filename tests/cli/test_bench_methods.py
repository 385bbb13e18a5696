"""`sanerf bench methods`: its figures and files, that it goes on, leaves the run alone, and what it refuses."""

import csv
import json
import shutil
from dataclasses import replace
from importlib.util import find_spec

import numpy as np
import pytest
import torch
from command_process import assert_refused, in_a_process
from command_stage import HEIGHT, TEST, VIEWS, WIDTH, write_masks, write_prompts, write_scene
from mean_colour import ByMeanColour
from PIL import Image

import sanerf.evaluation.methods_bench as bench
import sanerf.evaluation.methods_features
import sanerf.run.decoding
from sanerf.errors import UserError
from sanerf.evaluation.methods import METHODS
from sanerf.segmenter.protocol import ImageFeatures, MaskHypotheses

RADIUS = 4.0


class Disc:
    """Answers with a disc about the first click inside."""

    name = "disc"

    def __init__(self, radius: float = RADIUS):
        self.radius, self.fingerprint = radius, f"disc of {radius}"

    def encode(self, image):
        return ImageFeatures({"nothing": torch.zeros(1)}, image.shape[0], image.shape[1])

    def decode(self, features, prompts):
        rows, columns = torch.meshgrid(
            torch.arange(features.height) + 0.5, torch.arange(features.width) + 0.5, indexing="ij"
        )
        out = []
        for prompt in prompts:
            x, y = prompt.points[prompt.labels == 1][0].tolist()
            inside = (columns - x) ** 2 + (rows - y) ** 2 <= self.radius**2
            out.append(MaskHypotheses(torch.where(inside, 4.0, -4.0)[None], torch.tensor([0.9])))
        return out


def use(segmenter, patched) -> None:
    """Let every --segmenter be this one."""
    for module in (sanerf.run.decoding, sanerf.evaluation.methods_features, bench):
        patched.setattr(module, "load_segmenter", lambda text, device: segmenter)


@pytest.fixture
def call(stage, tmp_path, monkeypatch):
    use(Disc(), monkeypatch)
    out = tmp_path / "out"
    return ("bench", "methods", stage.run, "--masks", stage.masks, "--prompts", stage.prompts, "--out", out)


def mask_at(path) -> np.ndarray:
    """A mask file; where there is none, an empty mask."""
    return np.asarray(Image.open(path)) > 127 if path.is_file() else np.zeros((HEIGHT, WIDTH), dtype=bool)


def pooled_iou(predicted, true) -> float:
    both = [(mask_at(predicted / f"{v}.png"), mask_at(true / f"{v}.png")) for v in TEST]
    return sum((p & t).sum() for p, t in both) / sum((p | t).sum() for p, t in both)


def stop(task):
    raise KeyboardInterrupt


def test_figures_and_masks_and_that_a_stopped_call_goes_on(call, stage, sanerf, tmp_path, monkeypatch):
    before = {path: path.stat().st_mtime_ns for path in stage.run.rglob("*")}
    arguments = (*call, "--objects", "ball", "--methods", "sanerf-instant,sam", "--json")
    with monkeypatch.context() as patched:
        patched.setitem(METHODS, "sam", replace(METHODS["sam"], answer=stop))
        assert sanerf(*arguments).code != 0
    # Stopped in its second job, it has the first.
    out = tmp_path / "out"
    with monkeypatch.context() as patched:
        patched.setitem(METHODS, "sanerf-instant", replace(METHODS["sanerf-instant"], answer=stop))
        ended = sanerf(*arguments)
    assert ended.code == 0, ended.err
    result = json.loads(ended.out)
    assert result["jobs"] == 2 and result["failed"] == []
    assert {path: path.stat().st_mtime_ns for path in stage.run.rglob("*")} == before
    assert not (out / "work" / "jobs").exists()
    (of_group,) = result["groups"].values()
    for method in ("sanerf-instant", "sam"):
        of_masks = pooled_iou(out / "masks" / f"{method}-0" / "scene" / "ball", stage.masks / "ball")
        assert of_group[method]["iou"]["mean"] == pytest.approx(of_masks, abs=1e-4)
        assert of_group[method]["iou"]["spread"] is None
    # The decoder alone shows its disc, in the view that sees the click.
    disc = mask_at(out / "masks" / "sam-0" / "scene" / "ball" / "0.png")
    assert disc.sum() == pytest.approx(np.pi * RADIUS**2, rel=0.12)
    assert result["scenes"]["scene"]["sanerf-instant"] == {
        **of_group["sanerf-instant"],
        "seconds": result["scenes"]["scene"]["sanerf-instant"]["seconds"],
        "peak_memory_gb": result["scenes"]["scene"]["sanerf-instant"]["peak_memory_gb"],
    }
    assert result["once_seconds"]["scene"].keys() == {"encode"}
    with open(out / "objects.csv", newline="") as file:
        lines = list(csv.DictReader(file))
    assert [(line["method"], line["object"]) for line in lines] == [("sanerf-instant", "ball"), ("sam", "ball")]
    assert round(float(lines[1]["iou"]), 4) == of_group["sam"]["iou"]["mean"]
    assert (out / "table1.md").read_text().splitlines()[0] == (
        "| method | scenes Acc | scenes mIoU | scenes Boundary IoU |"
    )
    # One row of pictures of the one object: a picture a method.
    assert (out / "report.html").read_text().count("<img src") == 2

    # No exact mask has a part in what methods answer: with all of them turned round they answer the same.
    shutil.copytree(stage.masks, turned := tmp_path / "turned")
    for path in turned.rglob("*.png"):
        Image.fromarray(255 - np.asarray(Image.open(path))).save(path)
    other = [turned if word == stage.masks else tmp_path / "out2" if word == out else word for word in arguments]
    ended = sanerf(*other)
    assert ended.code == 0, ended.err
    assert json.loads(ended.out)["groups"]["scenes"]["sam"] != of_group["sam"]
    written = sorted(path.relative_to(out) for path in (out / "masks").rglob("*.png"))
    assert len(written) >= 3
    for path in written:
        assert (out / path).read_bytes() == (tmp_path / "out2" / path).read_bytes()


def test_masks_are_those_of_the_segmenter_that_was_asked_for_last(call, sanerf, tmp_path, monkeypatch):
    disc = tmp_path / "out" / "masks" / "sam-0" / "scene" / "ball" / "0.png"
    call = (*call, "--objects", "ball", "--methods", "sam", "--json")
    answers = {}
    for radius in (4.0, 6.0, 4.0):
        use(Disc(radius), monkeypatch)
        ended = sanerf(*call)
        assert ended.code == 0, ended.err
        assert mask_at(disc).sum() == pytest.approx(np.pi * radius**2, rel=0.12)
        figures = json.loads(ended.out)["groups"]
        assert answers.setdefault(radius, figures) == figures
    # Kept once, this is not done again.
    monkeypatch.setitem(METHODS, "sam", replace(METHODS["sam"], answer=stop))
    assert json.loads(sanerf(*call).out)["groups"] == answers[4.0]


def test_the_feature_field_is_learnt_once_for_all_and_outlives_other_prompts(
    call, stage, sanerf, tmp_path, monkeypatch
):
    segmenter = ByMeanColour()
    use(segmenter, monkeypatch)
    call = (*call, "--objects", "ball", "--methods", "san", "--json")
    ended = sanerf(*call)
    assert ended.code == 0, ended.err
    first = json.loads(ended.out)
    assert first["jobs"] == 1 and first["once_seconds"]["scene"].keys() == {"encode", "sample", "distil"}
    assert segmenter.encoded == len(VIEWS) - len(TEST)
    with open(tmp_path / "out" / "stages.csv", newline="") as file:
        once, job = csv.DictReader(file)
    assert once["method"] == "(once for all)" and float(once["distil"]) > 0
    assert float(job["distil"]) < float(once["distil"]) / 5
    kept = {path: path.stat().st_mtime_ns for path in (tmp_path / "out" / "work" / "features").rglob("*.safetensors")}
    # Another click: the job is done again, on the same features.
    other = write_prompts(tmp_path / "prompts.json", xy=[15.0, 10.0])
    again = json.loads(sanerf(*(other if word == stage.prompts else word for word in call)).out)
    assert again["groups"] != first["groups"] and again["once_seconds"] == first["once_seconds"]
    assert kept and all(path.stat().st_mtime_ns == when for path, when in kept.items())
    assert segmenter.encoded == len(VIEWS) - len(TEST)


def test_a_method_that_fails_with_one_seed_has_no_figure(call, sanerf, tmp_path, monkeypatch):
    answer = METHODS["sanerf-instant"].answer

    def unlucky(task):
        if task.seed == 0:
            raise UserError("no luck")
        return answer(task)

    monkeypatch.setitem(METHODS, "sanerf-instant", replace(METHODS["sanerf-instant"], answer=unlucky))
    ended = sanerf(*call, "--objects", "ball", "--methods", "sanerf-instant,sam", "--seeds", "0,1", "--json")
    assert ended.code == 0, ended.err
    result = json.loads(ended.out)
    assert result["jobs"] == 2 and [failure["why"] for failure in result["failed"]] == ["no luck"]
    assert result["groups"]["scenes"]["sanerf-instant"] is None and result["scenes"]["scene"]["sanerf-instant"] is None
    assert result["groups"]["scenes"]["sam"]["iou"]["seeds"] == 1
    page = (tmp_path / "out" / "report.html").read_text()
    assert "1 objects" in page and "0 objects" not in page


def test_masks_of_another_program_and_a_method_that_fails(call, stage, sanerf, tmp_path):
    shutil.copytree(stage.masks, tmp_path / "theirs" / "scene")
    (tmp_path / "theirs" / "scene" / "wall" / "8.png").unlink()
    ended = sanerf(*call, "--methods", f"masks:{tmp_path / 'theirs'},sanerf-instant", "--json")
    assert ended.code == 0, ended.err
    result = json.loads(ended.out)
    # The wall's prompt is hidden in every view.
    (failure,) = result["failed"]
    assert failure["method"] == "sanerf-instant" and "no training view sees the object 'wall'" in failure["why"]
    assert result["groups"]["scenes"]["sanerf-instant"] is None
    # Of the wall in two views, one was not given.
    shown, missed = (mask_at(stage.masks / "wall" / f"{view}.png").sum() for view in TEST)
    wall_iou, wall_acc = shown / (shown + missed), 1 - missed / (2 * WIDTH * HEIGHT)
    theirs = result["groups"]["scenes"]["theirs"]
    assert theirs["iou"]["mean"] == pytest.approx((1 + wall_iou) / 2, abs=1e-4)
    assert theirs["acc"]["mean"] == pytest.approx((1 + wall_acc) / 2, abs=1e-4)
    assert "IoU 0.00, no answer" in (tmp_path / "out" / "report.html").read_text()
    assert "–" in (tmp_path / "out" / "table1.md").read_text()


def test_scenes_of_a_protocol_are_trained_once_with_the_views_that_their_file_holds_out(sanerf, tmp_path):
    scene = write_scene(tmp_path / "data" / "LERF-Mask" / "tiny")
    write_masks(scene / "masks")
    (scene / "prompts.json").write_text(json.dumps({"objects": [{"name": "ball", "text": "ball"}]}))
    (scene / "test_views.txt").write_text("3.png\n7.png\n")
    (tmp_path / "data" / "LERF-Mask" / "half" / "masks").mkdir(parents=True)
    shutil.copytree(scene / "masks", theirs := tmp_path / "theirs" / "LERF-Mask" / "tiny")
    (theirs / "ball" / "7.png").unlink()
    call = ("bench", "methods", "--data", tmp_path / "data", "--out", tmp_path / "out", "--steps", "3", "--json")
    ended = sanerf(*call, "--methods", f"masks:{tmp_path / 'theirs'}")
    assert ended.code == 0, ended.err
    assert f"{tmp_path / 'data' / 'LERF-Mask' / 'half'} has no prompts.json, so it is left out" in ended.err
    # LERF-Mask averages over views: one right, one missing.
    assert json.loads(ended.out)["groups"]["lerf-mask"]["theirs"]["iou"]["mean"] == 0.5
    assert "LERF-Mask mIoU" in (tmp_path / "out" / "table1.md").read_text()
    run = tmp_path / "out" / "runs" / "LERF-Mask" / "tiny"
    trained = (run / "radiance.safetensors").stat().st_mtime_ns
    again = sanerf(*call, "--methods", f"masks:{tmp_path / 'theirs'}")
    assert again.code == 0 and json.loads(again.out)["groups"] == json.loads(ended.out)["groups"]
    assert (run / "radiance.safetensors").stat().st_mtime_ns == trained


def test_scenes_are_looked_through_before_the_first_is_trained(sanerf, tmp_path):
    data, out = tmp_path / "data", tmp_path / "out"
    for name, view in (("a", "9.png"), ("b", "99.png")):
        scene = write_scene(data / name)
        write_masks(scene / "masks")
        write_prompts(scene / "prompts.json", view=view)
    call = ("bench", "methods", "--data", data, "--out", out, "--steps", "3", "--methods", "sam")
    assert_refused(sanerf(*call), "b/prompts.json: .* no view '99.png'")
    write_prompts(data / "b" / "prompts.json")
    masks = sorted((data / "b" / "masks" / "ball").glob("*.png"))
    for mask in masks:
        mask.write_text("no picture")
    assert_refused(sanerf(*call), "b/masks/ball/[0-9]+.png cannot be read")
    assert not out.exists()


@pytest.mark.slow
@pytest.mark.skipif(find_spec("ray") is None, reason="Ray is not installed: pip install 'sanerf[ray]'")
def test_rays_workers_train_and_answer_like_this_process(tmp_path):
    for name in ("a", "b"):
        scene = write_scene(tmp_path / "data" / name)
        write_masks(scene / "masks")
        write_prompts(scene / "prompts.json")
        shutil.copytree(scene / "masks", tmp_path / "theirs" / name)
    call = ("bench", "methods", "--data", "data", "--steps", "3", "--methods", "masks:theirs,sam", "--json")
    prelude = f"import os; os.chdir({str(tmp_path)!r})"
    here = in_a_process(*call, "--out", "here", prelude=prelude)
    assert here.code == 0, here.err
    ray = in_a_process(*call, "--out", "fanned", "--engine", "ray", "--workers", "2", prelude=prelude)
    assert ray.code == 0, ray.err
    expected, result = json.loads(here.out), json.loads(ray.out)
    assert result["jobs"] == 4 and result["failed"] == [] and "jobs 4/4" in ray.err and "scenes 2/2" in ray.err
    assert result["groups"]["scenes"]["theirs"] == expected["groups"]["scenes"]["theirs"]
    sam, sam_here = (one["groups"]["scenes"]["sam"]["iou"]["mean"] for one in (result, expected))
    assert sam == pytest.approx(sam_here, abs=0.02)
    kept = {path.relative_to(tmp_path / "here") for path in (tmp_path / "here" / "masks").rglob("*.png")}
    assert kept == {path.relative_to(tmp_path / "fanned") for path in (tmp_path / "fanned" / "masks").rglob("*.png")}
    # What Ray's workers did is kept as if it had been done here.
    again = in_a_process(*call, "--out", "fanned", prelude=prelude)
    assert json.loads(again.out)["groups"] == result["groups"] and "jobs 4/4" in again.err
    assert "Ray" not in ray.err and "raylet" not in ray.err


def test_what_cannot_be_is_refused_in_one_sentence(call, stage, sanerf, tmp_path):
    assert_refused(sanerf("bench", "methods", stage.run), "bench methods needs --out and scenes")
    assert_refused(
        sanerf(*call, "--methods", "magic"), "there is no method 'magic'; there are sanerf, .* and masks:DIR"
    )
    assert_refused(sanerf(*call, "--methods", "masks:nowhere"), "there is no folder of masks nowhere")
    assert_refused(sanerf(*call, "--methods", "masks:"), "masks: needs a folder of masks after the colon")
    assert_refused(sanerf(*call, "--objects", "cup"), "prompts.json has no object 'cup'")
    assert_refused(sanerf(*call, "--steps", "0"), "--steps should be at least 1, not 0")
    assert_refused(sanerf(*call, "--steps", "30"), "--steps are for training the scenes of --data")
    (tmp_path / "others" / "another_scene").mkdir(parents=True)
    assert_refused(sanerf(*call, "--methods", f"sam,masks:{tmp_path / 'others'}"), "others has no masks of scene; they")
    (tmp_path / "sam").mkdir()
    assert_refused(sanerf(*call, "--methods", f"masks:{tmp_path / 'sam'}"), "two methods would be called 'sam'")
    assert_refused(sanerf(*call, "--workers", "0"), "--workers should be at least 1, not 0")
    assert_refused(sanerf(*call, "--workers", "3"), "--workers are those of --engine ray")
    assert_refused(
        sanerf("bench", "clicks", stage.run, "--out", tmp_path / "out", "--engine", "ray"),
        "bench clicks has no use for --engine, which is for methods$",
    )
    assert_refused(sanerf(*call, "--noise", "both", "--arms", "all"), "has no use for --arms, which is for aggregator$")
    assert_refused(
        sanerf("bench", "segmenter", "--data", tmp_path, "--masks", tmp_path),
        "bench segmenter has no use for --masks, which is for aggregator, clicks, methods$",
    )
    empty = tmp_path / "empty"
    empty.mkdir()
    assert_refused(sanerf("bench", "methods", "--data", empty, "--out", tmp_path / "out"), "has no scene with prompts")
    assert not (tmp_path / "out").exists()
