"""One process at a time works on a run folder: refused while the other lives, taken over once it is dead."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from sanerf import locks
from sanerf.errors import UserError
from sanerf.run.lock import LOCK_FILE, holds_files, run_lock

HOLD = "import sys, time; from pathlib import Path; from sanerf.run.lock import run_lock\n" \
       "with run_lock(Path(sys.argv[1])): print('held', flush=True); time.sleep(60)"  # fmt: skip


def test_a_folder_is_held_and_what_was_made_for_it_is_removed_again(tmp_path):
    path = tmp_path / "new" / "run"
    with run_lock(path):
        assert (path / LOCK_FILE).read_text().split() == [str(os.getpid())] and not holds_files(path)
        with pytest.raises(UserError, match=rf"\(process {os.getpid()}\) is at work on \S+run; wait"), run_lock(path):
            pass
        with run_lock(tmp_path / "other"):
            pass
    assert list(tmp_path.iterdir()) == []
    with run_lock(path):
        (path / "run.json").touch()
        assert holds_files(path)
    assert [str(file.relative_to(tmp_path)) for file in tmp_path.rglob("*")] == ["new", "new/run", "new/run/run.json"]


def test_the_lock_ends_with_an_exception_and_with_a_killed_process(tmp_path):
    with pytest.raises(RuntimeError), run_lock(tmp_path):
        raise RuntimeError
    with subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None and other.stdout.readline() == "held\n"
        try:
            with pytest.raises(UserError, match=rf"\(process {other.pid}\)"), run_lock(tmp_path):
                pass
        finally:
            other.kill()
        other.wait()
    assert (tmp_path / LOCK_FILE).read_text().split() == [str(other.pid)]
    with run_lock(tmp_path):
        assert (tmp_path / LOCK_FILE).read_text().split() == [str(os.getpid())]
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_its_holder_removes_meanwhile_is_made_again(tmp_path, monkeypatch):
    """The other lets go and removes file and folder just before this one opens the file, then just before it looks."""
    path, real_open, real_lock = tmp_path / "run", os.open, locks._lock
    removals = iter(["before opening", "before looking"])

    def remove() -> None:
        (path / LOCK_FILE).unlink(missing_ok=True)
        path.rmdir()

    def late_open(file, *arguments):
        if next(removals, None) == "before opening":
            remove()
        return real_open(file, *arguments)

    def late_lock(descriptor):
        real_lock(descriptor)
        if next(removals, None) == "before looking":
            remove()

    monkeypatch.setattr(locks.os, "open", late_open)
    monkeypatch.setattr(locks, "_lock", late_lock)
    with run_lock(path):
        assert next(removals, None) is None
        with pytest.raises(UserError, match="is at work on"), run_lock(path):
            pass
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_cannot_be_made_ends_the_search_for_a_lock(tmp_path, monkeypatch):
    def gone(*_: object):
        raise FileNotFoundError

    monkeypatch.setattr(locks.os, "open", gone)
    with run_lock(tmp_path / "run"):
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_is_no_folder_is_left_to_who_writes_there(tmp_path):
    file: Path = tmp_path / "file"
    file.write_text("mine")
    with run_lock(file):
        pass
    assert file.read_text() == "mine"
