"""The training curve's file, as a training that goes on finds it."""

import json

import pytest

from sanerf.run.train_run import _read_curve

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
