"""Benchmarks that time training and kernels let threads wait as the command does."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import sanerf

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.mark.parametrize("name", ["kernels.py", "training_step.py", "fields.py"])
def test_how_threads_wait_is_said_before_torch_is_imported(tmp_path, name):
    """In place of torch something that tells what torch would see."""
    (tmp_path / "torch.py").write_text("import os\nprint(os.environ['GOMP_SPINCOUNT'])\nraise SystemExit(0)\n")
    environment = {key: value for key, value in os.environ.items() if key != "GOMP_SPINCOUNT"}
    environment["PYTHONPATH"] = os.pathsep.join([str(tmp_path), str(Path(sanerf.__file__).parents[1])])
    call = [sys.executable, str(BENCHMARKS / name)]
    seen = subprocess.run(call, env=environment, capture_output=True, text=True, check=True)
    assert seen.stdout == "10000\n"
