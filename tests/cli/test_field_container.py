"""`sanerf segment --container field` on the tiny stage: whole, refused, cut off, and with no held-out photograph."""

import json
import shutil
import signal
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from command_process import assert_refused, files, in_a_process
from command_stage import HEIGHT, TEST, VIEWS, WIDTH, ball_mask
from mean_colour import ByMeanColour

from sanerf.errors import UserError
from sanerf.evaluation.baselines.san import san_masks
from sanerf.kernels.backend import kernels_for
from sanerf.prompts.file import BoxPrompt, PromptSet, read_prompts
from sanerf.run import decoding
from sanerf.run.containers import FieldFeatures, open_container
from sanerf.run.decoding import Decoder, lift_prompts
from sanerf.run.folder import Run, load_renderer, open_run
from sanerf.run.segmentation import load_segmentations
from sanerf.run.stages import Stages
from sanerf.run.views import run_cameras
from sanerf.segmenter.cache import FeatureCache

CPU = torch.device("cpu")


@pytest.fixture
def segmenter(monkeypatch) -> ByMeanColour:
    made = ByMeanColour()
    monkeypatch.setattr(decoding, "load_segmenter", lambda spec, device: made)
    return made


@pytest.fixture
def prompts(tmp_path) -> Path:
    """A click on each thing, both in view 9."""
    clicks = {"ball": [16.0, 10.0], "wall": [5.0, 19.0]}
    objects = [{"name": name, "points": [{"view": "9.png", "xy": xy, "label": 1}]} for name, xy in clicks.items()]
    path = tmp_path / "prompts.json"
    path.write_text(json.dumps({"objects": objects}))
    return path


def copied(stage, folder: Path) -> Run:
    return open_run(shutil.copytree(stage.run, folder / "run"))


def field_of(run: Run, segmenter) -> FieldFeatures:
    renderer = load_renderer(run, kernels_for("numba", CPU), CPU)
    container = open_container("field", segmenter, run, renderer)
    assert isinstance(container, FieldFeatures)
    return container


def field_files(run: Run) -> list[Path]:
    return sorted((run.path / "feature_fields").glob("[!.]*"))


def without_held_out_photographs(stage, folder: Path, run: Run) -> Run:
    """The run on a copy of its scene that lacks them."""
    scene = Path(shutil.copytree(stage.scene, folder / "scene"))
    for name in TEST:
        (scene / "images" / f"{name}.png").unlink()
    views = tuple(replace(view, image_path=scene / "images" / view.image_path.name) for view in run.scene.views)
    return replace(run, scene=replace(run.scene, root=scene, views=views))


def iou(found: torch.Tensor, true: torch.Tensor) -> float:
    return int((found & true).sum()) / int((found | true).sum())


def test_the_whole_command_finds_two_things_and_its_second_call_learns_nothing(
    stage, tmp_path, segmenter, prompts, sanerf
):
    run = copied(stage, tmp_path)
    command = ("segment", run.path, "--prompts", prompts, "--container", "field", "--json")
    ended = sanerf(*command)
    assert ended.code == 0, ended.err
    result = json.loads(ended.out)
    assert {"encode", "sample", "distil", "decode", "aggregate"} <= result["seconds"].keys()
    assert "distil 60/60" in ended.err
    (stored,) = load_segmentations(run, kernels_for("numba", CPU), CPU)
    assert stored.record["container"] == "field"
    scored = sanerf("evaluate", run.path, "--masks", stage.masks, "--json")
    assert all(scores["iou"] > 0.7 for scores in json.loads(scored.out)["objects"].values()), scored.out

    (kept,) = field_files(run)
    before, encoded = kept.read_bytes(), segmenter.encoded
    ended = sanerf(*command)
    assert ended.code == 0 and "distil" not in ended.err and segmenter.encoded == encoded
    assert kept.read_bytes() == before


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (
            "sam-hq:somewhere",
            "does not go with sam-hq: its decoder needs the encoder's early features of the photograph",
        ),
        ("masks:somewhere", r"ready masks \(masks:DIR\) have no decoder"),
    ],
)
def test_what_no_field_can_stand_for_is_refused_at_once(stage, sanerf, source, message):
    ended = sanerf("segment", stage.run, "--prompts", stage.prompts, "--segmenter", source, "--container", "field")
    assert_refused(ended, message)


def test_a_segmenter_that_does_not_say_where_its_maps_lie_is_refused(stage, tmp_path):
    class Unknown:
        name = fingerprint = "unknown"

        def encode(self, image):
            raise AssertionError("not to be asked")

        decode = encode

    with pytest.raises(UserError, match="cannot learn the features of unknown"):
        field_of(copied(stage, tmp_path), Unknown())


def test_held_out_views_are_rendered_though_their_photographs_are_gone(stage, tmp_path, segmenter):
    run = without_held_out_photographs(stage, tmp_path, copied(stage, tmp_path))
    container = field_of(run, segmenter)
    container.prepare(Stages(lambda *_: None))
    assert segmenter.encoded == len(run.scene.train)
    ball = torch.from_numpy(ball_mask(int(TEST[1])))
    for view in (run.scene.test[1], 4):
        features = container.features(view)
        assert features.maps["colour"].shape == (3, HEIGHT // 2, WIDTH // 2)
        assert (features.height, features.width) == (HEIGHT, WIDTH)
    shown = container.features(run.scene.test[1]).maps["colour"]
    redder = F.interpolate((shown[0] - shown[2])[None, None], scale_factor=2, mode="bilinear")[0, 0] > 0
    assert iou(redder, ball) > 0.7
    assert segmenter.encoded == len(run.scene.train)
    # Points have features too: red on the ball's front, blue on the wall, which lies at twice the unit in the file.
    scale = run.scene.world_from_file.scale
    p_file = torch.tensor([[0.0, 0.0, -0.68], [0.9, 0.9, 1.62]])
    red, blue = container.features_at(run.scene.world_from_file.apply(p_file))["colour"]
    assert scale > 0 and red[0] - red[2] > 0.3 and blue[2] - blue[0] > 0.2


def test_san_decodes_rendered_features_view_by_view(stage, tmp_path, segmenter, prompts):
    run = without_held_out_photographs(stage, tmp_path, copied(stage, tmp_path))
    renderer = load_renderer(run, kernels_for("numba", CPU), CPU)
    container = FieldFeatures(segmenter, FeatureCache(segmenter, run.features), run, renderer)
    cameras = run_cameras(run)
    decoder = Decoder(segmenter, container, run)
    ball = replace(read_prompts(prompts).objects[0], boxes=(BoxPrompt("9.png", (12.0, 6.0, 20.0, 14.0)),))
    lifted = lift_prompts(PromptSet((ball,)), decoder, cameras=cameras, renderer=renderer)
    encoded = segmenter.encoded
    masks = san_masks(segmenter, container, lifted, {9: cameras[9]}, renderer)
    assert iou(masks[9]["ball"].probability > 0.5, torch.from_numpy(ball_mask(9))) > 0.7
    assert segmenter.encoded == encoded


BEFORE_THE_FIELD_HAS_ITS_NAME = """
import os, signal
rename = os.replace
def killed(source, target, **options):
    if "feature_fields" in str(target):
        os.kill(os.getpid(), signal.SIGKILL)
    rename(source, target, **options)
os.replace = killed
"""


@pytest.mark.slow
def test_killed_while_the_field_is_written_it_learns_the_same_field_again(stage, tmp_path, prompts, sanerf):
    """With the built-in segmenter, in a real process."""
    folders = [shutil.copytree(stage.run, tmp_path / name) for name in ("run", "whole")]
    for folder in folders:
        document = json.loads((folder / "run.json").read_text())
        document["config"]["distillation"]["steps"] = 20
        (folder / "run.json").write_text(json.dumps(document))
    run, whole = (open_run(folder) for folder in folders)
    arguments = ("--prompts", prompts, "--container", "field", "--instant")
    killed = in_a_process("segment", run.path, *arguments, prelude=BEFORE_THE_FIELD_HAS_ITS_NAME)
    assert killed.code == -signal.SIGKILL
    assert field_files(run) == [] and len(files(run.features)) == len(VIEWS) - len(TEST)
    for of in (run, whole):
        sanerf("segment", of.path, *arguments)
    assert [p.name for p in field_files(run)] == [p.name for p in field_files(whole)] != []
    assert field_files(run)[0].read_bytes() == field_files(whole)[0].read_bytes()


def test_a_damaged_field_is_learnt_anew_and_another_seeds_is_another(stage, tmp_path, segmenter):
    run = copied(stage, tmp_path)
    field_of(run, segmenter).prepare(Stages(lambda *_: None))
    (kept,) = field_files(run)
    whole = kept.read_bytes()
    kept.write_bytes(whole[:-100] + bytes(100))
    field_of(run, segmenter).prepare(Stages(lambda *_: None))
    assert kept.read_bytes() == whole
    other = replace(run, config=replace(run.config, seed=1))
    field_of(other, segmenter).prepare(Stages(lambda *_: None))
    assert len(field_files(run)) == 2
