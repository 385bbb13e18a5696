"""The benchmark of a training step: one command, whose figures agree with each other."""

import re
from dataclasses import replace

import pytest
import torch
import training_step
from step_stage import Stage, warm_state

from sanerf.data.load import load_scene
from sanerf.data.pixels import load_bank
from sanerf.errors import UserError
from sanerf.fields.radiance import RadianceConfig
from sanerf.kernels.backend import kernels_for
from sanerf.run.config import RunConfig

OPTIONS = [
    "--device",
    "cpu",
    "--rays",
    "48",
    "--warm-up",
    "2",
    "--render-steps",
    "3",
    "--repeats",
    "1",
    "--width",
    "16",
]


def cells_of(text: str) -> dict[str, list[str]]:
    """The rows of all tables by their first cell."""
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line[:2] == "| "]
    return {row[0]: row[1:] for row in rows}


def number(cell: str) -> float:
    found = re.match(r"[\d.,]+", cell)
    assert found, cell
    return float(found[0].replace(",", ""))


@pytest.mark.slow
def test_every_figure_is_there_and_those_that_follow_from_others_do(tmp_path):
    out = tmp_path / "step.md"
    training_step.main([*OPTIONS, "--sizes", "128", "--seed", "3", "--out", str(out)])
    text = out.read_text()
    assert "\n- seed: 3\n" in text and "\n- load at the beginning: " in text and "\n- steps before: 2\n" in text
    rows = cells_of(text)
    assert rows["what"] and "numba, ms | torch, ms" in text
    looked = rows["encoding of 768 points, forward"]
    rendered = rows["encoding of 576 points, forward and backward"]
    together = rows["encoding, all of a step's"]
    for column in (0, 1):
        assert number(together[column]) == pytest.approx(number(looked[column]) + number(rendered[column]), abs=0.011)

    figures = {name: cells[0] for name, cells in rows.items() if cells}
    asked = next(name for name in figures if name.startswith("multiply-adds"))
    head = 40 * 32 + 32 * 16
    shown = int(re.findall(r"colour head ([\d,]+) points forward and backward", asked)[0].replace(",", ""))
    assert "density head 768 points forward, density head 576 points forward and backward" in asked and shown <= 576
    count = 768 * head + 3 * 576 * head + 3 * shown * (31 * 32 + 32 * 32 + 32 * 3)
    assert number(figures[asked]) == pytest.approx(count / 1e6, abs=0.05)

    peak = 1e9 * number(figures["matrix peak: float32 `torch.mm`, 128 rows"])
    least = number(figures["(i) the time they take at that peak"])
    whole = number(figures["a whole training step, as above"])
    alone = number(figures["the networks' passes alone, forward and backward"])
    assert least == pytest.approx(1e3 * 2 * count / peak, rel=0.02, abs=0.001)
    share = rows["(ii) the share of a whole step that is"]
    assert number(share[0]) == pytest.approx(100 * least / whole, rel=0.03, abs=0.06)
    reached = rows["(iii) what they alone reach of the peak"]
    assert number(reached[0]) == pytest.approx(100 * least / alone, rel=0.03, abs=0.06)
    for cells in (share, reached):
        assert cells[1] == ("held" if number(cells[0]) >= 50 else "missed")
    own, twin, ratio = map(number, rows["a whole training step"])
    assert own == pytest.approx(whole, abs=0.006) and ratio == pytest.approx(twin / own, rel=0.02)
    assert rows["one view of 16 x 12, after 3 steps"][1] == "other size"


def test_steps_that_cannot_be_timed_are_refused():
    for options in (["--warm-up", "0"], ["--warm-up", "20", "--render-steps", "10"], ["--render-steps", "3000"]):
        with pytest.raises(UserError, match="expected 1 <= --warm-up"):
            training_step.main(options)


def test_the_bar_of_rendering_is_for_its_size_alone():
    scene = load_scene(training_step.SCENE)
    full, small = training_step.view_of(scene, 480), training_step.view_of(scene, 240)
    assert (full.width, full.height, small.width, small.height) == (480, 360, 240, 180)
    assert training_step.rendering(1.99, full, "")[-1].endswith("| held |")
    assert training_step.rendering(2.01, full, "")[-1].endswith("| missed |")
    assert training_step.rendering(1.0, small, "")[-1].endswith("| other size |")


def test_what_is_timed_is_what_train_does(tmp_path):
    """With the weights of what is believed, and with exposures that are learnt from their step on."""
    scene = load_scene(training_step.SCENE)
    scene = replace(scene, train=scene.train[:4])
    training = replace(RunConfig().training, rays=16, exposure_delay=2)
    radiance = RadianceConfig(levels=2, entries_log2=8, finest=32)
    config, device = RunConfig(radiance=radiance, training=training), torch.device("cpu")
    stage = Stage(scene, config, load_bank(scene, scene.train, 8, seed=0), device)
    kernels = kernels_for("torch", device)
    for steps in (1, 2):
        state = stage.fresh_state(kernels)
        assert state.reliability is not None
        stage.train_to(steps, state, tmp_path / "checkpoint.safetensors")
        assert float(state.reliability.rays.sum()) == 16 * steps
        of_field, of_exposure = warm_state(stage, tmp_path / "checkpoint.safetensors", kernels)[
            0
        ].optimizer.param_groups
        ratio = training.exposure_learning_rate / training.learning_rate
        assert of_exposure["lr"] == pytest.approx(0.0 if steps < 2 else ratio * of_field["lr"])
