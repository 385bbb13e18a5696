"""The memory benchmark: scenes that the reader takes, one training measured by the system, and the table."""

from pathlib import Path

import memory
import pytest
import torch

from sanerf.data.images import load_image
from sanerf.data.load import load_scene


@pytest.mark.parametrize("own_intrinsics", [False, True])
def test_its_scenes_are_rings_of_cameras_with_forty_pictures_under_many_names(tmp_path, own_intrinsics):
    memory.write_scene(tmp_path, 42, (32, 24), seed=1, own_intrinsics=own_intrinsics)
    scene = load_scene(tmp_path, holdout="none")
    assert len(scene.train) == 42 and scene.test == ()
    for view in scene.views:
        towards = -view.camera.centre / view.camera.centre.norm()
        assert float(towards @ view.camera.world_from_cam[:3, 2]) == pytest.approx(1.0)
    assert len({view.camera.fx for view in scene.views}) == (42 if own_intrinsics else 1)
    first, second, last = (load_image(scene.views[i]) for i in (1, 2, 41))
    assert torch.equal(first, last) and not torch.equal(first, second)


def test_one_training_is_measured_by_the_system(tmp_path):
    memory.write_scene(tmp_path / "scene", 4, (32, 32), seed=1, own_intrinsics=False)
    found = memory.measure("4 views", tmp_path / "scene", tmp_path / "run", steps=2, downscale=1, seed=0)
    # Python and torch alone take a tenth of a gigabyte; nothing of this size takes two.
    assert 0.1 < found.peak < 2


def test_the_table_says_whether_the_bar_was_held():
    results = [memory.Measured("a", 3.994), memory.Measured("b", 4.1)]
    lines = memory.report(results, {"seed": 7}).splitlines()
    assert lines[:3] == ["# Memory of training", "", "- seed: 7"]
    assert "| a | 3.99 | held |" in lines
    assert "| b | 4.10 | missed |" in lines


def test_one_command_measures_three_trainings_and_says_what_else_ran(tmp_path, monkeypatch):
    """Without the trainings themselves: one stands for all."""
    measured = []

    def measure(words: str, scene: Path, run: Path, steps: int, downscale: int, seed: int) -> memory.Measured:
        measured.append((load_scene(scene, holdout="none").views[0].camera.width, steps, downscale, seed))
        return memory.Measured(words, 1.0)

    monkeypatch.setattr(memory, "measure", measure)
    monkeypatch.setattr(memory.OtherPrograms, "cores", lambda self: 0.25)
    options = ["--views", "3", "--size", "32", "--large", "48", "40", "--steps", "2", "--seed", "5"]
    memory.main([*options, "--out", str(tmp_path / "memory.md")])
    assert measured == [(32, 2, 1, 5), (32, 2, 1, 5), (48, 2, 8, 5)]
    lines = (tmp_path / "memory.md").read_text().splitlines()
    assert "- others' work meanwhile: 0.25 cores" in lines and "- steps: 2" in lines
    assert "| 3 photographs of 48 x 40, `--downscale 8` | 1.00 | held |" in lines
