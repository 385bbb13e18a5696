"""The memory benchmark: scenes that the reader takes, one training measured by the system, and the table."""

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
    assert 0 < found.training_seconds < found.seconds


def test_the_table_says_whether_the_bar_was_held():
    results = [memory.Measured("a", 3.994, 80.0, 20.0, 50), memory.Measured("b", 4.1, 9.0, 5.0, 50)]
    lines = memory.report(results, {"seed": 7}).splitlines()
    assert lines[:3] == ["# Memory of training", "", "- seed: 7"]
    assert "| a | 3.99 | held | 20.0 | 60.0 | 2.5 |" in lines
    assert "| b | 4.10 | missed | 5.0 | 4.0 | 10.0 |" in lines
