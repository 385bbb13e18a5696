"""The benchmark of fields: one command trains, scores, draws; its scores in closed form; snapshots of checkpoints."""

import json
import math
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import torch
from field_scoring import STRIP_HEIGHT, checkpoint_renderer, psnr_of, score_field
from field_training import Snapshots, training_seconds
from grey_capture import GREY, SQUARE, TEST, VIEWS, write_capture
from PIL import Image

import fields
from analytic_scene import PLAN, renderer_of
from sanerf.data.load import load_scene
from sanerf.data.pixels import load_bank
from sanerf.errors import UserError
from sanerf.fields.radiance import RadianceConfig
from sanerf.files import write_tensors
from sanerf.kernels.backend import kernels_for
from sanerf.run.config import RunConfig
from sanerf.run.folder import Run, load_renderer, open_run
from sanerf.run.reliability import Reliability
from sanerf.run.train_run import train_run
from sanerf.run.training import load_checkpoint, start_state

CPU = torch.device("cpu")


def decibels(*errors: int) -> float:
    """The PSNR of as many pixels as there are errors, in bytes."""
    return -10 * math.log10(sum((error / 255) ** 2 for error in errors) / len(errors))


@pytest.mark.slow
def test_one_command_trains_scores_and_draws_and_does_nothing_twice(tmp_path):
    write_capture(tmp_path / "captures" / "lego_synthetic")
    options = ["--captures", tmp_path / "captures", "--only", "lego", "--minutes-factor", "0.002", "--device", "cpu"]
    options += ["--runs", tmp_path / "runs", "--results", tmp_path / "results", "--seed", "3"]
    fields.main([str(option) for option in options])
    (home,) = (tmp_path / "runs").iterdir()
    result = json.loads((home / "result.json").read_text())
    assert result["curve"][-1]["seconds"] == pytest.approx(60 * result["minutes"], abs=0.01)
    assert 60 * result["minutes"] >= 0.002 * 4.8 * 60 and result["held_out"] == []
    lines = (tmp_path / "results" / "fields_cpu.md").read_text().splitlines()
    assert "- seed: 3" in lines
    cells = [cell.strip() for cell in next(line for line in lines if "| lego" in line).strip("|").split("|")]
    assert cells[:3] == ["lego_synthetic", f"{len(VIEWS) - len(TEST)} + {len(TEST)}", "24 x 24"]
    assert cells[4] == f"{result['curve'][-1]['step']:,}"
    assert cells[5] == f"{result['psnr']:.2f} dB" and cells[7] == f"{result['inside']:.2f} dB"
    assert 0.1 < result["peak_memory_gb"] < 4
    ElementTree.parse(tmp_path / "results" / "fields_cpu.svg")
    assert Image.open(home / "strip.jpg").size == (3 * STRIP_HEIGHT, 2 * STRIP_HEIGHT)

    before = (home / "result.json").stat().st_mtime_ns
    fields.main([str(option) for option in options])
    assert (home / "result.json").stat().st_mtime_ns == before


def test_scores_and_strips_have_their_closed_forms_where_nothing_is_rendered(tmp_path):
    root = write_capture(tmp_path)
    run = Run(root, load_scene(root), RunConfig())
    assert run.scene.test == TEST
    empty = renderer_of(lambda p_world: torch.zeros(len(p_world)), plan=PLAN, side=8)
    score = score_field(run, empty, root / "masks", tmp_path / "strip.jpg")
    assert score.psnr == pytest.approx(decibels(*[SQUARE] * 64, *[GREY] * (24 * 24 - 64)), abs=1e-4)
    assert score.inside == pytest.approx(decibels(SQUARE), abs=1e-4)
    assert score_field(run, empty, None, tmp_path / "strip.jpg").inside is None
    assert psnr_of(run, empty, [0]) == pytest.approx(score.psnr)
    strip = np.asarray(Image.open(tmp_path / "strip.jpg")).astype(int)
    # The photograph's lower right corner, the black rendering, the grey of a depth that is not there; in two rows.
    for row in (0, 1):
        y = row * STRIP_HEIGHT + 280
        for x, grey in ((280, GREY), (580, 0), (880, 128)):
            assert abs(strip[y, x] - grey).max() <= 3, (row, x)


def small_config(**training: float) -> RunConfig:
    config = RunConfig(radiance=RadianceConfig(levels=2, entries_log2=8, finest=32))
    return replace(config, training=replace(config.training, rays=32, **training))


def test_a_checkpoint_of_an_interrupted_training_is_scored_as_the_field_that_it_holds(tmp_path):
    scene, config, kernels = load_scene(write_capture(tmp_path)), small_config(), kernels_for("torch", CPU)

    def stop(step: int, *_: float) -> None:
        if step == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_run(scene, config, tmp_path / "run", kernels=kernels, on_step=stop)
    run = open_run(tmp_path / "run")
    bank = load_bank(scene, scene.train, 1, seed=config.seed)
    reliability = Reliability(bank, config.training)
    state = start_state(config, kernels, views=len(scene.train), reliability=reliability)
    points, fresh_grid = torch.rand(20, 3), state.density_grid.clone()
    fresh = state.field.density(points)[0].detach().clone()
    load_checkpoint(run.checkpoint, state)
    renderer, seconds = checkpoint_renderer(run, run.checkpoint, kernels)
    assert seconds == training_seconds(run.checkpoint) == state.seconds > 0
    assert renderer.plan.samples == round(config.sampling.samples * config.sampling.render_factor)
    found = renderer.field.density(points)[0]
    assert torch.equal(found, state.field.density(points)[0]) and not torch.equal(found, fresh)
    assert torch.equal(renderer.density_grid, state.density_grid)
    assert not torch.equal(renderer.density_grid, fresh_grid)


def test_checkpoints_on_the_way_are_scored_and_those_of_a_lost_training_are_not(tmp_path, monkeypatch):
    """Training stands in this process, with a checkpoint after every step."""
    captures = tmp_path / "captures"
    write_capture(captures / "lego_synthetic")
    config, kernels = small_config(checkpoint_seconds=0.0, steps=4), kernels_for("torch", CPU)

    def train_here(command: list[str], snapshots: Snapshots) -> dict[str, float]:
        scene, out = load_scene(Path(command[4])), Path(command[command.index("--out") + 1])
        train_run(scene, config, out, kernels=kernels, on_step=lambda *_: snapshots.look())
        return {"peak_memory_gb": 1.0}

    monkeypatch.setattr(fields, "train", train_here)
    options = ["--captures", captures, "--only", "lego", "--minutes-factor", "1e-9", "--device", "cpu"]
    options += ["--runs", tmp_path / "runs", "--results", tmp_path / "results", "--checkpoints", "2"]
    held_out = []
    for _ in range(2):
        fields.main([str(option) for option in options])
        (home,) = (tmp_path / "runs").iterdir()
        result = json.loads((home / "result.json").read_text())
        held_out.append(result["held_out"])
        # As where the second call was cut off between training and writing down that it ended.
        for name in ("result.json", "train.json"):
            (home / name).unlink()
        write_tensors(home / "snapshots" / "000.safetensors", {"x": torch.zeros(1)}, {"seconds": "1.0"})
    for scored in held_out:
        seconds = [at for at, _ in scored]
        assert len(scored) == 3 and seconds == sorted(seconds) and seconds[0] < seconds[-1] < 100
        assert all(5 < psnr < 40 for _, psnr in scored)
    # The field is the same function of its seed each time, and so are its scores.
    assert [psnr for _, psnr in held_out[0]] == [psnr for _, psnr in held_out[1]]
    run = open_run(home / "run")
    assert held_out[0][-1][1] == psnr_of(run, load_renderer(run, kernels_for("auto", CPU), CPU), TEST[:1])


def test_the_first_checkpoint_after_each_wanted_time_is_kept(tmp_path):
    checkpoint = tmp_path / "run" / "checkpoint.safetensors"
    snapshots = Snapshots(checkpoint, tmp_path / "snapshots", (40.0, 80.0))
    snapshots.look()
    for seconds in (30.0, 60.0, 75.0, 90.0, 120.0):
        write_tensors(checkpoint, {"x": torch.zeros(1)}, {"seconds": repr(seconds)})
        snapshots.look()
        snapshots.look()
    kept = sorted((tmp_path / "snapshots").iterdir())
    assert [training_seconds(path) for path in kept] == [60.0, 90.0]


def test_captures_are_found_by_parts_of_their_names_and_absent_ones_refused(tmp_path):
    (tmp_path / "fox").mkdir()
    assert [of.name for of, _ in fields.wanted(None, None)] == ["bundled"]
    assert [of.name for of, _ in fields.wanted(None, tmp_path)] == ["bundled", "fox"]
    assert [(of.name, folder) for of, folder in fields.wanted("fox", tmp_path)] == [("fox", tmp_path / "fox")]
    with pytest.raises(UserError, match=r"--only knows bundled, fox, .*not 'wolf'"):
        fields.wanted("wolf", tmp_path)
    with pytest.raises(UserError, match="there is no folder llff_fern of captures"):
        fields.wanted("fox,fern", tmp_path)
    with pytest.raises(UserError, match="there is no folder of captures"):
        fields.wanted(None, tmp_path / "nowhere")


def test_bars_are_held_from_their_value_on_and_inside_the_mask_where_there_is_one():
    result = {"capture": "gold_cape", "train_views": 1, "test_views": 1, "size": "", "minutes": 1.0, "psnr": 30.0}
    result |= {"ssim": 0.5, "inside": 23.99, "peak_memory_gb": 1.0, "curve": [{"step": 1}], "others": 0.1}
    assert fields.row(result)[9] == "21 dB: held, 24 dB inside: missed"
    assert fields.row({**result, "inside": 24.0})[9] == "21 dB: held, 24 dB inside: held"
    assert fields.row({**result, "capture": "bundled", "inside": None})[9] == "30 dB: held"
