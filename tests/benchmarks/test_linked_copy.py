"""A file's other name: a link, and a copy where there can be none."""

import os

import pytest
from linked_copy import linked_copy


def test_a_copy_stands_in_where_the_file_system_has_no_links(tmp_path, monkeypatch):
    old = tmp_path / "old"
    old.write_bytes(b"bytes")
    linked_copy(old, tmp_path / "linked")
    assert os.path.samefile(old, tmp_path / "linked")

    def refuse(*_: object) -> None:
        raise PermissionError("no links here")

    monkeypatch.setattr(os, "link", refuse)
    linked_copy(old, tmp_path / "copied")
    assert (tmp_path / "copied").read_bytes() == b"bytes" and not os.path.samefile(old, tmp_path / "copied")
    with pytest.raises(FileNotFoundError):
        linked_copy(tmp_path / "none", tmp_path / "new")
    assert not (tmp_path / "new").exists()
