"""The training curve: the mean of all errors between two lines, and its file, as a training that goes on finds it."""

import json
import math

import pytest
import torch

from analytic_scene import camera_at, numba_kernels
from sanerf.data.scene import Scene, View
from sanerf.geometry.transforms import IDENTITY
from sanerf.run import train_run as module
from sanerf.run.config import RunConfig
from sanerf.run.train_run import _read_curve, train_run

LINES = [{"step": step, "psnr": 20.0, "seconds": 1.0} for step in (50, 100, 150)]


def test_lines_behind_the_checkpoint_are_kept(tmp_path):
    file = tmp_path / "train.jsonl"
    file.write_text("".join(json.dumps(line) + "\n" for line in LINES))
    assert _read_curve(file, 100) == LINES[:2]
    assert _read_curve(tmp_path / "none", 100) == []


@pytest.mark.parametrize("line", ['{"psnr": 20.0}', '{"step": "50"}', "[1]", "50", "null", '{"step": 5', "\xff"])
def test_a_file_with_a_line_of_something_else_counts_as_none(tmp_path, line):
    file = tmp_path / "train.jsonl"
    file.write_bytes(f"{json.dumps(LINES[0])}\n{line}\n".encode("latin-1"))
    assert _read_curve(file, 100) == []


def test_a_line_is_of_all_errors_since_the_last_and_who_is_told_waits_for_ten(tmp_path, monkeypatch):
    """107 steps whose errors are powers of two, so that means are exact."""
    errors = [2.0 ** -(step % 7) for step in range(1, 108)]

    def trained(state, bank, plan, config, checkpoint, *, minutes, on_step):
        for step, error in enumerate(errors, start=1):
            on_step(step, len(errors), torch.tensor(error), 0.5 * step)

    views = (View("0.png", tmp_path / "0.png", camera_at(0.0, 0.0)),)
    scene = Scene(tmp_path, "made up", views, (0,), (), IDENTITY, 0.05, 3.0)
    for name, stub in (("load_bank", lambda *_, **__: torch.zeros(1)), ("Reliability", lambda *_: None),
                       ("start_state", lambda *_, **__: torch.zeros(1)), ("train", trained),
                       ("save_radiance", lambda *_: None)):  # fmt: skip
        monkeypatch.setattr(module, name, stub)
    monkeypatch.setattr(torch.Tensor, "step", 0, raising=False)
    told: dict[int, float] = {}
    train_run(
        scene, RunConfig(), tmp_path / "run", kernels=numba_kernels, on_step=lambda s, n, p, t: told.update({s: p})
    )

    def psnr_of(first: int, last: int) -> float:
        return -10 * math.log10(sum(errors[first - 1 : last]) / (last - first + 1))

    lines = [json.loads(line) for line in (tmp_path / "run" / "train.jsonl").read_text().splitlines()]
    assert lines == [
        {"step": last, "psnr": round(psnr_of(first, last), 3), "seconds": 0.5 * last}
        for first, last in ((1, 50), (51, 100), (101, 107))
    ]
    assert list(told) == list(range(1, 108))
    assert told[1] == told[9] == psnr_of(1, 1) and told[10] == told[19] == psnr_of(1, 10)
    assert told[50] == told[59] == psnr_of(1, 50) and told[60] == psnr_of(51, 60) and told[107] == psnr_of(101, 107)
