"""The peak memory that commands tell, and that they run where Python has no account of it, as on Windows."""

import json
import sys

import numpy as np
import pytest
from command_process import files, in_a_process

from sanerf import peak_memory
from sanerf.cli.console import peak_memory_note
from sanerf.peak_memory import PeakMemory, peak_memory_gb


def test_a_process_that_fills_memory_reports_at_least_that_much(monkeypatch):
    kept = bytearray(200_000_000)
    kept[::4096] = bytes([1]) * len(kept[::4096])
    memory = peak_memory_gb()
    assert memory is not None and 0.2 < memory < 64
    assert peak_memory_note() == f"peak memory {memory:.1f} GB"


def test_a_part_of_the_work_has_a_peak_of_its_own_and_the_whole_keeps_its():
    memory = PeakMemory()
    large = np.ones(400_000_000, np.uint8)
    filled = peak_memory_gb()
    del large
    memory.begin_part()
    part, whole = memory.of_part_gb(), memory.in_all_gb()
    assert filled is not None and whole is not None and whole >= filled
    if part is None:
        pytest.skip("this system does not forget a process's peak")
    assert part < filled - 0.3


def test_where_the_peak_is_not_forgotten_there_is_none_of_a_part(tmp_path, monkeypatch):
    monkeypatch.setattr(peak_memory, "_FORGET", tmp_path / "none" / "clear_refs")
    memory = PeakMemory()
    memory.begin_part()
    assert memory.of_part_gb() is None and memory.in_all_gb() == peak_memory_gb()


def test_commands_run_without_the_systems_account_and_say_that_it_is_unknown(segmented, tmp_path, sanerf, monkeypatch):
    """`resource` is of Unix alone, /proc of Linux: nothing may need them at import, and the figure is null."""
    render = ("render", segmented.run, "--views", "test", "--what", "depth", "--out")
    without = (
        "import sys; sys.modules['resource'] = None\n"
        "import pathlib; import sanerf.peak_memory; sanerf.peak_memory._STATUS = pathlib.Path('/none')"
    )
    ended = in_a_process(*render, tmp_path / "a", "--json", prelude=without)
    assert ended.code == 0, ended.err
    assert json.loads(ended.out) == {"out": str(tmp_path / "a"), "views": 2, "peak_memory_gb": None}
    monkeypatch.setitem(sys.modules, "resource", None)
    monkeypatch.setattr(peak_memory, "_STATUS", tmp_path / "none")
    ended = sanerf(*render, tmp_path / "b")
    assert ended.out == f"rendered 2 views into {tmp_path / 'b'} (peak memory unknown)\n"
    assert files(tmp_path / "a") == files(tmp_path / "b") != []
