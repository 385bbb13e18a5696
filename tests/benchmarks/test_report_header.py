"""The witness of an idle machine tells others' work from our own; tables have as many cells as columns."""

import subprocess
import sys
import time
from pathlib import Path

import pytest
import report_header
from report_header import OtherPrograms, cores_text, table


def test_others_work_is_what_the_cores_did_less_our_own(monkeypatch):
    busy, own, now = iter([100.0, 130.0, 131.0]), iter([10.0, 25.0, 80.0]), iter([0.0, 30.0, 40.0])
    monkeypatch.setattr(report_header, "_busy_seconds", lambda: next(busy))
    monkeypatch.setattr(report_header, "_own_seconds", lambda: next(own))
    monkeypatch.setattr(time, "monotonic", lambda: next(now))
    others = OtherPrograms()
    assert others.cores() == pytest.approx(0.5)
    assert others.cores() == 0.0  # clocks that do not quite agree
    assert cores_text(0.5) == "0.50 cores" and cores_text(None) == "unknown"


def test_busy_seconds_are_all_but_idle_and_waiting(monkeypatch, tmp_path):
    (tmp_path / "stat").write_text("cpu  100 20 30 5000 600 7 8 9 50 0\ncpu0 1 1 1 1 1 1 1 1 1 1\n")
    monkeypatch.setattr(report_header, "Path", lambda _: tmp_path / "stat")
    monkeypatch.setattr(report_header.os, "sysconf", lambda _: 100)
    assert report_header._busy_seconds() == pytest.approx((100 + 20 + 30 + 7 + 8 + 9) / 100)
    monkeypatch.setattr(report_header, "Path", lambda _: tmp_path / "none")
    assert report_header._busy_seconds() is None


def test_an_ended_childs_work_is_our_own():
    before = report_header._own_seconds()
    subprocess.run([sys.executable, "-c", "sum(range(10_000_000))"], check=True)
    assert report_header._own_seconds() - before > 0.05


def test_a_table_is_markdown_with_words_on_the_left():
    assert table(("a", "b"), [("x", "1")]) == ["| a | b |", "|---|--:|", "| x | 1 |"]
    with pytest.raises(AssertionError):
        table(("a", "b"), [("x",)])


def test_results_do_not_make_the_commit_look_changed(tmp_path, monkeypatch):
    def git(*words: str) -> None:
        of_us = ("-c", "user.name=x", "-c", "user.email=x@x")
        subprocess.run(["git", *of_us, *words], cwd=tmp_path, check=True, capture_output=True)

    home = tmp_path / "benchmarks"
    (home / "results").mkdir(parents=True)
    result, source = home / "results" / "a.md", Path(tmp_path / "source.py")
    for file in (result, source):
        file.write_text("1")
    git("init")
    git("add", "-A")
    git("commit", "-m", "first")
    monkeypatch.setattr(report_header, "HERE", home)
    plain = report_header.commit()
    assert plain.isalnum()
    result.write_text("2")
    assert report_header.commit() == plain
    source.write_text("2")
    assert report_header.commit() == f"{plain} with changes"
