"""The peak memory that commands tell, and that they run where Python has no account of it, as on Windows."""

import json
import sys

from command_process import files, in_a_process

from sanerf.cli.console import peak_memory_gb, peak_memory_note


def test_a_process_that_fills_memory_reports_at_least_that_much(monkeypatch):
    kept = bytearray(200_000_000)
    kept[::4096] = bytes([1]) * len(kept[::4096])
    memory = peak_memory_gb()
    assert memory is not None and 0.2 < memory < 64
    assert peak_memory_note() == f"peak memory {memory:.1f} GB"


def test_commands_run_without_the_systems_account_and_say_that_it_is_unknown(segmented, tmp_path, sanerf, monkeypatch):
    """`resource` is of Unix alone: nothing may need it at import, and its figure is null."""
    render = ("render", segmented.run, "--views", "test", "--what", "depth", "--out")
    ended = in_a_process(*render, tmp_path / "a", "--json", prelude="import sys; sys.modules['resource'] = None")
    assert ended.code == 0, ended.err
    assert json.loads(ended.out) == {"out": str(tmp_path / "a"), "views": 2, "peak_memory_gb": None}
    monkeypatch.setitem(sys.modules, "resource", None)
    ended = sanerf(*render, tmp_path / "b")
    assert ended.out == f"rendered 2 views into {tmp_path / 'b'} (peak memory unknown)\n"
    assert files(tmp_path / "a") == files(tmp_path / "b") != []
