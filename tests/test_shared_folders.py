"""Folders that users choose: what a command puts in beside what is there, and whose files are never lost."""

import errno
import os
from pathlib import Path

import pytest

from sanerf.errors import UserError
from sanerf.files import (
    FOLDER_MARKER,
    atomic_folder,
    check_file,
    check_folder,
    open_own_folder,
    shared_folder,
    write_text,
)


def put(path: Path, writer: str, **contents: str) -> None:
    """Files `a`, `b`, ... and, for `sub_c`, `sub/c`."""
    with shared_folder(path, writer) as folder:
        for name, text in contents.items():
            write_text(folder / name.replace("_", "/"), text)


def contents(path: Path) -> dict[str, str]:
    found = (file for file in path.rglob("*") if file.is_file() and file.name != FOLDER_MARKER)
    return {file.relative_to(path).as_posix(): file.read_text() for file in found}


def test_only_files_of_the_same_names_that_the_writer_wrote_are_replaced(tmp_path):
    out = tmp_path / "out"
    put(out, "render", a="1", sub_c="1")
    write_text(out / "my_notes.txt", "mine")
    write_text(out / "sub" / "mine.txt", "mine")
    put(out, "render", b="2", sub_c="2")
    assert contents(out) == {"a": "1", "b": "2", "sub/c": "2", "my_notes.txt": "mine", "sub/mine.txt": "mine"}
    put(out, "render", a="3")
    assert contents(out) == {"a": "3", "b": "2", "sub/c": "2", "my_notes.txt": "mine", "sub/mine.txt": "mine"}
    before = contents(out)
    with pytest.raises(UserError, match=r"my/notes was not written by `sanerf render`, so it is not replaced"):
        write_text(out / "my" / "notes", "mine")
        put(out, "render", a="4", my_notes="4")
    assert contents(out) == {**before, "my/notes": "mine"}
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_file_that_the_user_put_in_the_place_of_a_lost_list_is_kept(tmp_path):
    """A marker whose list cannot be read names nobody's files."""
    put(tmp_path / "out", "render", a="1")
    (tmp_path / "out" / FOLDER_MARKER).write_text("render\n{half")
    with pytest.raises(UserError, match="a was not written by `sanerf render`"):
        put(tmp_path / "out", "render", a="2")
    put(tmp_path / "out", "render", b="2")
    assert contents(tmp_path / "out") == {"a": "1", "b": "2"}


def test_a_folder_that_the_user_put_in_the_place_of_a_file_is_kept(tmp_path):
    put(tmp_path / "out", "render", a="1", b="1")
    (tmp_path / "out" / "a").unlink()
    (tmp_path / "out" / "a").mkdir()
    (tmp_path / "out" / "a" / "mine.txt").write_text("mine")
    with pytest.raises(UserError, match="a was not written by `sanerf render`"):
        put(tmp_path / "out", "render", a="2", b="2")
    assert contents(tmp_path / "out") == {"a/mine.txt": "mine", "b": "1"}


def test_folders_of_other_commands_are_refused_before_any_work(tmp_path):
    put(tmp_path / "rendered", "render", a="1")
    open_own_folder(tmp_path / "everything", "masks --everything")
    with atomic_folder(tmp_path / "unnamed") as folder:
        write_text(folder / "a", "1")
    for name, writer in (("rendered", "export --format rgba --name mug"), ("everything", "render"),
                         ("unnamed", "render")):  # fmt: skip
        before = contents(tmp_path / name)
        words = rf"{name} was written by .*, not by `sanerf {writer}`; choose a new folder"
        with pytest.raises(UserError, match=words), shared_folder(tmp_path / name, writer):
            pytest.fail("the work must not start")
        assert contents(tmp_path / name) == before
    for name in ("rendered", "everything"):
        words = f"{name} was written by `sanerf (render|masks --everything)`; choose"
        with pytest.raises(UserError, match=words), atomic_folder(tmp_path / name):
            pytest.fail("the work must not start")


@pytest.mark.parametrize("place", ["new", "empty", "own"])
def test_an_interruption_while_filling_leaves_what_was_there(tmp_path, place):
    out = tmp_path / "out"
    if place == "empty":
        out.mkdir()
    elif place == "own":
        put(out, "render", a="1")
    before = sorted(path.relative_to(tmp_path) for path in tmp_path.rglob("*"))
    with pytest.raises(KeyboardInterrupt), shared_folder(out, "render") as folder:
        write_text(folder / "a", "2")
        raise KeyboardInterrupt
    assert sorted(path.relative_to(tmp_path) for path in tmp_path.rglob("*")) == before
    assert place != "own" or contents(out) == {"a": "1"}


@pytest.mark.parametrize("fails_at", range(1, 6))
def test_an_interruption_between_the_files_puts_back_what_was_there(tmp_path, monkeypatch, fails_at):
    """Two files replaced and one new are five renames: each in turn is the one that is interrupted."""
    out = tmp_path / "out"
    put(out, "render", a="1", sub_b="1")
    before = contents(out), (out / FOLDER_MARKER).read_text()
    rename, calls = os.rename, 0

    def interrupted(*arguments):
        nonlocal calls
        calls += 1
        if calls == fails_at:
            raise KeyboardInterrupt
        rename(*arguments)

    with monkeypatch.context() as patched:
        patched.setattr(os, "rename", interrupted)
        with pytest.raises(KeyboardInterrupt):
            put(out, "render", a="2", sub_b="2", c="2")
    assert calls == fails_at and (contents(out), (out / FOLDER_MARKER).read_text()) == before
    put(out, "render", a="2", sub_b="2", c="2")
    assert contents(out) == {"a": "2", "sub/b": "2", "c": "2"}


def test_places_that_cannot_be_written_are_known_before(tmp_path):
    (tmp_path / "x.glb").mkdir()
    write_text(tmp_path / "file", "mine")
    before = sorted(tmp_path.rglob("*"))
    for path, words in (
        (tmp_path / "x.glb", "it is a folder, and a file is to be written"),
        (tmp_path / "file" / "x.glb", "a part of the path is a file, not a folder"),
        (tmp_path / "file" / "deep" / "x.glb", "a part of the path is a file, not a folder"),
    ):
        with pytest.raises(UserError, match=f"^cannot write {path}: {words}$"):
            check_file(path)
    with pytest.raises(UserError, match="a part of the path is a file"):
        check_folder(tmp_path / "file" / "out", "render")
    check_file(tmp_path / "new" / "deep" / "x.glb")
    check_file(tmp_path / "file")
    check_folder(tmp_path / "new", "render")
    assert sorted(tmp_path.rglob("*")) == before


def test_a_closed_folder_is_known_before(tmp_path, monkeypatch):
    """Closed by what the system answers, since permissions do not hold for everybody."""

    def refuse(path: Path, **_) -> None:
        assert path.parent == tmp_path
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

    monkeypatch.setattr(Path, "touch", refuse)
    for check in (check_file, check_folder):
        with pytest.raises(UserError, match=r"^cannot write \S+x: the permission is missing$"):
            check(tmp_path / "new" / "x")
