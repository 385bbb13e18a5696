"""Runs the tests of Triton's kernels in Triton's interpreter, on the CPU of any machine: see conftest.py."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent


def test_tritons_kernels_are_the_references_in_the_interpreter():
    pytest.importorskip("triton", reason="triton is not installed: pip install 'sanerf[cuda]'")
    files = [str(HERE / "test_triton_hash.py"), str(HERE / "test_triton_rays.py")]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", *files],
        env={**os.environ, "TRITON_INTERPRET": "1", "CUDA_VISIBLE_DEVICES": ""},
        cwd=HERE.parents[1],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    last = done.stdout.strip().splitlines()[-1]
    assert re.search(r"\b1[0-9] passed", last) and "skipped" not in last, done.stdout
