"""The commands as a script meets them: files, exit codes, one JSON object on stdout, one sentence on stderr.

Most run in this process, by way of the same `main`; where the process itself matters (signals, stdout) it is its own.
"""

import json
import os
import re
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load_file

from analytic_scene import BALL_RADIUS, camera_at, cast, picture
from sanerf.cli.main import main
from sanerf.data.load import load_scene
from sanerf.fields.object import ObjectConfig
from sanerf.fields.radiance import RadianceConfig
from sanerf.geometry.cameras import Camera, image_rays
from sanerf.kernels.backend import kernels_for
from sanerf.run.config import AggregateConfig, RunConfig, SamplingConfig, TrainingConfig
from sanerf.run.train_run import train_run

WIDTH, HEIGHT = 32, 24
VIEWS = [(0.1, 0.1), (-0.5, 0.0), (0.5, 0.0), (0.0, -0.5), (0.0, 0.5), (-0.4, 0.4), (0.4, -0.4), (0.45, 0.4),
         (-0.2, 0.2), (0.3, 0.0)]  # fmt: skip
TEST = ("0", "8")
CONFIG = RunConfig(
    radiance=RadianceConfig(levels=4, entries_log2=12, coarsest=8, finest=32, hidden=16, geometry=7),
    sampling=SamplingConfig(bins=64, samples=32, grid_side=32, opacity_cap=0.2, uniform=0.2),
    training=TrainingConfig(steps=150, rays=256, learning_rate=3e-2),
    object=ObjectConfig(levels=4, entries_log2=12, coarsest=8, finest=64, hidden=16),
    aggregate=AggregateConfig(steps=60, revisions=1, rays=1024, learning_rate=2e-2),
)


@dataclass(frozen=True)
class Ended:
    """What a command left: its exit code and what it printed."""

    code: int
    out: str
    err: str


def stage_camera(x: float, y: float) -> Camera:
    square = camera_at(x, y, towards=(0.0, 0.0, 0.2))
    return Camera(WIDTH, HEIGHT, 32.0, 32.0, WIDTH / 2, HEIGHT / 2, square.world_from_cam)


def write_scene(root: Path, frames: int = len(VIEWS)) -> Path:
    """The stage as `transforms.json` and cut-out pictures; world units are the file's, doubled."""
    (root / "images").mkdir(parents=True)
    listed = []
    for i, xy in enumerate(VIEWS[:frames]):
        camera = stage_camera(*xy)
        rgb, alpha = picture(camera)
        Image.fromarray(torch.cat([rgb, alpha[..., None]], dim=-1).numpy()).save(root / "images" / f"{i}.png")
        pose = camera.world_from_cam.numpy() @ np.diag([1.0, -1.0, -1.0, 1.0])
        pose[:3, 3] *= 2
        listed.append({"file_path": f"images/{i}.png", "transform_matrix": pose.tolist()})
    numbers = {"w": WIDTH, "h": HEIGHT, "fl_x": 32.0, "fl_y": 32.0, "cx": WIDTH / 2, "cy": HEIGHT / 2}
    (root / "transforms.json").write_text(json.dumps({**numbers, "frames": listed}))
    return root


def ball_mask(index: int) -> np.ndarray:
    return cast(stage_camera(*VIEWS[index]))[1].reshape(HEIGHT, WIDTH).numpy()


def write_masks(root: Path) -> Path:
    """True masks of the ball and of the wall in every view, as folders."""
    for name in ("ball", "wall"):
        (root / name).mkdir(parents=True)
        for i, xy in enumerate(VIEWS):
            solid = cast(stage_camera(*xy))[0].isfinite().reshape(HEIGHT, WIDTH).numpy()
            mask = ball_mask(i) if name == "ball" else solid & ~ball_mask(i)
            Image.fromarray(mask.astype(np.uint8) * 255).save(root / name / f"{i}.png")
    return root


def write_prompts(path: Path, **changed) -> Path:
    """A click on the middle of the ball in view 9 and one on the wall; `changed` replaces keys of the ball's click."""
    click = {"view": "9.png", "xy": [16.0, 10.0], "label": 1, **changed}
    wall = {"name": "wall", "points": [{"xyz": [0.9, 0.9, 1.6], "label": 1}]}
    path.write_text(json.dumps({"objects": [{"name": "ball", "points": [click]}, wall]}))
    return path


@dataclass(frozen=True)
class Stage:
    """The folders that all tests share; none of them changes the trained run but `segmented`."""

    root: Path

    scene = property(lambda self: self.root / "scene")
    masks = property(lambda self: self.root / "masks")
    prompts = property(lambda self: self.root / "prompts.json")
    run = property(lambda self: self.root / "run")


@pytest.fixture(scope="module")
def stage(tmp_path_factory) -> Stage:
    """The scene, its masks and prompts, and a run trained in some seconds."""
    stage = Stage(tmp_path_factory.mktemp("stage"))
    write_scene(stage.scene)
    write_masks(stage.masks)
    write_prompts(stage.prompts)
    cpu = torch.device("cpu")
    train_run(load_scene(stage.scene), CONFIG, stage.run, kernels_for("numba", cpu), cpu)
    return stage


@pytest.fixture(scope="module")
def segmented(stage) -> Stage:
    """The same after `segment` with exact masks, in a real process."""
    ended = in_a_process(
        "segment", stage.run, "--prompts", stage.prompts, "--segmenter", f"masks:{stage.masks}", "--json"
    )
    assert ended.code == 0, ended.err
    result = json.loads(ended.out)
    assert ended.out.count("\n") == 1
    assert result["objects"] == ["ball", "wall"] and set(result["seconds"]) >= {"encode", "decode", "aggregate"}
    return stage


def in_a_process(*arguments: object, prelude: str = "") -> Ended:
    """The command in a process of its own; `prelude` runs before it."""
    code = f"{prelude}\nfrom sanerf.cli.main import main\nmain()"
    command = ["-c", code] if prelude else ["-m", "sanerf.cli.main"]
    environment = {**os.environ, "NO_COLOR": "1", "COLUMNS": "200"}
    done = subprocess.run(
        [sys.executable, *command, *map(str, arguments)],
        capture_output=True, text=True, env=environment, timeout=120, check=False,
    )  # fmt: skip
    return Ended(done.returncode, done.stdout, done.stderr)


@pytest.fixture
def sanerf(monkeypatch, capsys):
    """The command in this process, from its arguments to its exit code."""

    def call(*arguments: object) -> Ended:
        capsys.readouterr()
        monkeypatch.setenv("COLUMNS", "200")
        monkeypatch.setattr(sys, "argv", ["sanerf", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        printed = capsys.readouterr()
        return Ended(ended.value.code, printed.out, printed.err)

    return call


def assert_refused(ended: Ended, message: str) -> None:
    """Exit code 2, and one sentence after what was going on; nothing on stdout."""
    assert ended.code == 2, ended
    assert ended.out == "" and "Traceback" not in ended.err
    said = [line for line in ended.err.splitlines() if line.startswith("sanerf: ")]
    assert len(said) == 1 and ended.err.splitlines()[-1] == said[0], ended.err
    assert re.search(message, said[0]), said[0]


def files(folder: Path) -> list[str]:
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file() and p.name[0] != ".")


def size_of(path: Path) -> tuple[str, tuple[int, int]]:
    with Image.open(path) as opened:
        return opened.mode, opened.size


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
    interrupted = in_a_process(*options, "--out", out, prelude=STOP.format(name="SIGINT"))
    assert interrupted.code == 1 and interrupted.out == "" and "Traceback" not in interrupted.err
    assert interrupted.err.splitlines()[-1] == "sanerf: interrupted; the same command goes on from where it stopped"
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
    assert_refused(sanerf(*options[:-1], "--holdout", "none", "--out", out), "of another scene or with other settings")
    assert (out / "radiance.safetensors").stat().st_mtime_ns == before


def test_rendered_files_have_the_names_and_sizes_of_the_contract(segmented, sanerf):
    out = segmented.root / "rendered"
    ended = sanerf("render", segmented.run, "--views", "test", "--what", "rgb,depth,mask:ball,overlay:wall",
                   "--out", out, "--json")  # fmt: skip
    assert ended.code == 0, ended.err
    assert json.loads(ended.out)["views"] == 2
    kinds = {"rgb": "RGB", "depth": "RGB", "mask/ball": "L", "overlay/wall": "RGB"}
    pictures = {f"{kind}/{stem}.png": mode for kind, mode in kinds.items() for stem in TEST}
    assert files(out) == sorted([*pictures, *(f"depth/{stem}.npy" for stem in TEST)])
    for name, mode in pictures.items():
        assert size_of(out / name) == (mode, (WIDTH, HEIGHT)), name
    for stem in TEST:
        camera = stage_camera(*VIEWS[int(stem)])
        ball = ball_mask(int(stem))
        found = np.asarray(Image.open(out / "mask" / "ball" / f"{stem}.png")) > 127
        assert (found & ball).sum() / (found | ball).sum() > 0.85
        # Along the camera's axis and in the file's unit, of which the stage's is two.
        depth = np.load(out / "depth" / f"{stem}.npy")
        assert depth.shape == (HEIGHT, WIDTH) and depth.dtype == np.float32
        true_depth = 2 * cast(camera)[0].float() * image_rays(camera).z_per_distance
        off = np.abs(depth - true_depth.reshape(HEIGHT, WIDTH).numpy())[ball]
        assert float(np.nanmedian(off)) < 0.2


def test_a_camera_path_is_rendered(segmented, sanerf, tmp_path):
    pose = np.diag([1.0, -1.0, -1.0, 1.0])
    pose[2, 3] = -2.4
    path = tmp_path / "path.json"
    frames = [{"transform_matrix": pose.tolist()}] * 2
    path.write_text(json.dumps({"w": 20, "h": 10, "fl_x": 20, "fl_y": 20, "cx": 10, "cy": 5, "frames": frames}))
    ended = sanerf("render", segmented.run, "--views", path, "--out", tmp_path / "out")
    assert ended.code == 0, ended.err
    assert files(tmp_path / "out") == ["rgb/00000.png", "rgb/00001.png"]
    middle = np.asarray(Image.open(tmp_path / "out" / "rgb" / "00001.png"))[5, 10].astype(int)
    assert np.abs(middle - np.array([0.9, 0.2, 0.1]) * 255).max() < 40


def test_evaluate_prints_the_contracts_keys_alone_on_stdout(segmented):
    ended = in_a_process("evaluate", segmented.run, "--masks", segmented.masks, "--json")
    assert ended.code == 0, ended.err
    assert ended.out.count("\n") == 1
    result = json.loads(ended.out)
    assert result["views"] == 2 and result["psnr"] > 15 and 0.3 < result["ssim"] <= 1
    assert result["objects"].keys() == {"ball", "wall"}
    for name, scores in result["objects"].items():
        assert scores.keys() >= {"iou", "acc", "boundary_iou", "psnr_inside", "views"} and scores["views"] == 2
        assert scores["iou"] > 0.85 and scores["acc"] > 0.9 and 0.3 < scores["boundary_iou"] <= 1, name
        assert scores["psnr_inside"] > 15
    for key in ("iou", "acc", "boundary_iou"):
        mean = sum(scores[key] for scores in result["objects"].values()) / 2
        assert result["mean"][key] == pytest.approx(mean, abs=1e-3)
    report = (segmented.run / "report.html").read_text()
    assert "<html" in report and "ball" in report


def test_evaluate_one_object_on_flat_masks_of_other_views(segmented, sanerf, tmp_path):
    (tmp_path / "1.png").write_bytes((segmented.masks / "ball" / "1.png").read_bytes())
    ended = sanerf("evaluate", segmented.run, "--masks", tmp_path, "--name", "ball", "--views", "train",
                   "--report", tmp_path / "report.html", "--json")  # fmt: skip
    assert ended.code == 0, ended.err
    result = json.loads(ended.out)
    assert result["views"] == 8 and result["objects"].keys() == {"ball"}
    assert result["objects"]["ball"]["views"] == 1 and result["objects"]["ball"]["iou"] > 0.85


def test_exports_open_in_other_programs(segmented, sanerf):
    import trimesh

    out = segmented.root / "exports"

    def export(form: str, path: Path, *options: object) -> None:
        ended = sanerf("export", segmented.run, "--name", "ball", "--format", form, "--out", path, "--json", *options)
        assert ended.code == 0, ended.err
        assert json.loads(ended.out)["out"] == str(path)

    export("masks", out / "masks", "--views", "test")
    (masks,) = {path.parent for path in (out / "masks").rglob("*.png")}
    assert files(masks) == ["0.png", "8.png"]
    for stem in TEST:
        assert size_of(masks / f"{stem}.png") == ("L", (WIDTH, HEIGHT))
    export("rgba", out / "rgba", "--views", "all")
    assert files(out / "rgba") == sorted(f"{i}.png" for i in range(len(VIEWS)))
    assert size_of(out / "rgba" / "3.png") == ("RGBA", (WIDTH, HEIGHT))
    export("points", out / "ball.ply")
    export("mesh", out / "ball.glb", "--resolution", 40)
    cloud = trimesh.load(out / "ball.ply")
    mesh = trimesh.load(out / "ball.glb", force="mesh")
    # In the file's frame the ball has its centre at the origin and twice the radius.
    radii = np.linalg.norm(np.asarray(cloud.vertices), axis=1)
    assert len(radii) > 50 and float(np.median(radii)) == pytest.approx(2 * BALL_RADIUS, abs=0.2)
    assert len(mesh.faces) > 50
    assert float(np.abs(mesh.vertices).max()) < 2 * BALL_RADIUS + 0.6


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
    refused(no_poses, "has pictures but no camera poses; make them with `sanerf process")
    too_few = write_scene(tmp_path / "too few poses", frames=3)
    (too_few / "transforms.json").unlink()
    np.save(too_few / "poses_bounds.npy", np.ones((2, 17)))
    refused(too_few, "2 .* 3|3 .* 2")


def test_options_that_make_no_sense_are_refused(stage, sanerf, tmp_path):
    train = ("train", stage.scene, "--out", tmp_path / "run")
    for options, message in (
        (("--steps", 0), "--steps should be at least 1, not 0"),
        (("--minutes", 0), "--minutes should be more than 0"),
        (("--downscale", 0), "--downscale should be at least 1"),
        (("--holdout", "every:1"), "expected every:N with a whole N of at least 2"),
        (("--holdout", tmp_path / "names.txt"), "expected every:8, none or a text file"),
        (("--backend", "triton"), "triton"),
    ):
        assert_refused(sanerf(*train, *options), message)
    ended = sanerf(*train, "--device", "abacus")
    assert ended.code == 2 and ended.out == "" and "Traceback" not in ended.err
    assert "abacus" in ended.err and "cuda" in ended.err
    assert list(tmp_path.iterdir()) == []


def test_prompts_that_cannot_be_used_are_refused_and_leave_the_run_as_it_was(segmented, sanerf, tmp_path):
    before = files(segmented.run / "segmentations")
    masks = ("--segmenter", f"masks:{segmented.masks}")

    def refused(prompts: Path, message: str, *options: object) -> None:
        assert_refused(sanerf("segment", segmented.run, "--prompts", prompts, *options), message)
        assert files(segmented.run / "segmentations") == before

    refused(tmp_path / "none.json", "there is no prompts file", *masks)
    (tmp_path / "broken.json").write_text('{"objects": [')
    refused(tmp_path / "broken.json", "is no JSON", *masks)
    outside = write_prompts(tmp_path / "outside.json", xy=[32.0, 10.0])
    refused(outside, r"'ball': the click at \(32\.0, 10\.0\) is outside of 9\.png, which has 32 x 24", *masks)
    unknown = write_prompts(tmp_path / "unknown.json", view="42.png")
    refused(unknown, r"'ball': there is no view '42\.png' .*; its views are called 0\.png, 1\.png", *masks)
    refused(segmented.prompts, "there is no masks folder", "--segmenter", f"masks:{tmp_path / 'nowhere'}")
    refused(segmented.prompts, "no folder 'ball'", "--segmenter", f"masks:{tmp_path}")
    refused(segmented.prompts, "abacus", "--segmenter", "abacus")
    # The wall, cut where its cube ends, leaves the picture's corners empty in the view from above and aside.
    empty = np.argwhere(~np.isfinite(cast(stage_camera(*VIEWS[7]))[0].reshape(HEIGHT, WIDTH).numpy()))
    row, column = (float(value) + 0.5 for value in empty[0])
    sky = write_prompts(tmp_path / "sky.json", view="7.png", xy=[column, row])
    refused(sky, r"the click at .* in 7\.png is on empty space")


def test_objects_views_and_outputs_that_are_not_there_are_named(segmented, sanerf, tmp_path):
    run, out = segmented.run, tmp_path / "out"
    for arguments, message in (
        (("render", run, "--what", "mask:cup", "--out", out), "has no object 'cup'; its objects are: ball, wall"),
        (("render", run, "--what", "rgb,colour", "--out", out), "--what knows .*, not 'colour'"),
        (("render", run, "--views", "best", "--out", out), "--views should be test, train, all or .*, not 'best'"),
        (("render", run, "--views", tmp_path / "no.json", "--out", out), "no.json"),
        (("export", run, "--name", "cup", "--format", "masks", "--out", out), "has no object 'cup'"),
        (("evaluate", run, "--masks", tmp_path / "none"), "there is no masks folder"),
        (("evaluate", run, "--masks", segmented.masks, "--name", "cup"), "has no object 'cup'"),
        (("evaluate", run, "--name", "ball"), "--name needs --masks"),
        (("evaluate", run, "--masks", tmp_path, "--name", "ball"), "no view that was scored has a true mask of 'ball'"),
    ):
        assert_refused(sanerf(*arguments), message)
        assert list(tmp_path.iterdir()) == []
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "holiday.txt").touch()
    assert_refused(sanerf("render", run, "--out", tmp_path / "mine"), "holds files that sanerf did not write")
    assert files(tmp_path) == ["mine/holiday.txt"]


def test_folders_that_are_no_trained_run_are_refused(stage, sanerf, tmp_path):
    render = ("--out", tmp_path / "out")
    assert_refused(sanerf("render", tmp_path / "nowhere", *render), "is no run folder: it has no run.json")
    run = tmp_path / "run"
    run.mkdir()
    document = json.loads((stage.run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps(document))
    assert_refused(sanerf("render", run, *render), "is not trained to its end yet; run `sanerf train`")
    (run / "run.json").write_text(json.dumps({**document, "format_version": 99}))
    assert_refused(sanerf("render", run, *render), "was written in run format 99, this sanerf reads format 1")
    assert_refused(sanerf("train", stage.scene, "--out", run), "was written in run format 99")
    (run / "run.json").write_text("{")
    assert_refused(sanerf("render", run, *render), "cannot be read .* it is damaged")
    assert not (tmp_path / "out").exists()


def test_a_refusal_in_a_process_of_its_own_is_two_on_the_shell_and_one_line(tmp_path):
    ended = in_a_process("train", tmp_path / "nowhere", "--out", tmp_path / "run")
    assert_refused(ended, "there is no folder")
    assert list(tmp_path.iterdir()) == []


def test_doctor_tells_of_the_machine_and_the_scene(stage, sanerf):
    ended = sanerf("doctor", stage.scene, "--json")
    assert ended.code == 0, ended.err
    result = json.loads(ended.out)
    assert result["machine"]["torch"] == torch.__version__
    facts = result["scene"]["facts"]
    assert (facts["views"], facts["train"], facts["test"], facts["sizes"]) == (10, 8, 2, [[WIDTH, HEIGHT]])
