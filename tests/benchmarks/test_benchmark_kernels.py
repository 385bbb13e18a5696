"""The kernels' benchmark: one command, a table with every kernel of every backend, and small differences."""

import importlib.util
import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "kernels.py"


def test_the_benchmark_writes_every_kernel_of_every_backend(tmp_path):
    out = tmp_path / "kernels.md"
    options = ["--device", "cpu", "--rays", "40", "--repeats", "1", "--seed", "3", "--out", str(out)]
    subprocess.run([sys.executable, str(SCRIPT), *options], check=True, capture_output=True)
    lines = out.read_text().splitlines()
    facts = [line.partition(":")[0] for line in lines if line.startswith("- ")]
    surroundings = ["- machine", "- load at the beginning", "- versions", "- commit", "- date", "- seed"]
    assert facts == [*surroundings, "- rays", "- repeats", "- others' work meanwhile"]
    assert "- seed: 3" in lines
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("| ")][1:]
    backends = ["torch", "numba"] if importlib.util.find_spec("numba") else ["torch"]
    kernels = ["hash_encode, forward", "hash_encode, backward", "place_samples", "resample"]
    kernels += ["composite_weights, forward", "composite_weights, backward", "update_density_grid"]
    assert [row[:2] for row in rows] == [[kernel, backend] for kernel in kernels for backend in backends]
    assert all(float(row[2]) > 0 and float(row[4]) < 1e-3 for row in rows)
