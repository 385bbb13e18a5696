"""What all tests of commands share: one tiny scene with its run trained once, and the command in this process.

Most commands run in this process, by way of the same `main`; where the process itself matters (signals, stdout) it is
its own.
"""

import json
import shutil
import sys
from dataclasses import replace

import pytest
import torch
from command_process import Ended, in_a_process
from command_stage import CONFIG, Stage, write_masks, write_prompts, write_scene

from sanerf.cli.main import main
from sanerf.data.load import load_scene
from sanerf.kernels.backend import kernels_for
from sanerf.run.train_run import train_run


@pytest.fixture(scope="session")
def stage(tmp_path_factory) -> Stage:
    """The scene, its masks and prompts, and a run trained in some seconds."""
    root = tmp_path_factory.mktemp("stage")
    stage = Stage(root, root / "run")
    write_scene(stage.scene)
    write_masks(stage.masks)
    write_prompts(stage.prompts)
    cpu = torch.device("cpu")
    train_run(load_scene(stage.scene), CONFIG, stage.run, kernels=kernels_for("numba", cpu))
    return stage


@pytest.fixture(scope="session")
def segmented(stage) -> Stage:
    """The same with a copy of the run after `segment` with exact masks, in a real process."""
    stage = replace(stage, run=shutil.copytree(stage.run, stage.root / "segmented"))
    ended = in_a_process(
        "segment", stage.run, "--prompts", stage.prompts, "--segmenter", f"masks:{stage.masks}", "--json"
    )
    assert ended.code == 0, ended.err
    result = json.loads(ended.out)
    assert ended.out.count("\n") == 1
    assert result["objects"] == ["ball", "wall"] and set(result["seconds"]) >= {"encode", "decode", "aggregate"}
    return stage


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
