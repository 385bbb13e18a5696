"""Files appear whole or not at all, and what the system refuses is said in one sentence."""

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from sanerf.errors import UserError
from sanerf.files import (
    FOLDER_MARKER,
    atomic_folder,
    atomic_write,
    open_own_folder,
    read_json,
    read_tensors,
    write_json,
    write_png,
    write_tensors,
    write_text,
)


def everything_in(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


def test_written_file_replaces_the_old_one_and_leaves_no_other(tmp_path):
    path = tmp_path / "new" / "folder" / "a.json"
    write_json(path, {"a": 1})
    write_json(path, {"ü": [1.5, None]})
    assert json.loads(path.read_text(encoding="utf-8")) == {"ü": [1.5, None]}
    assert everything_in(path.parent) == {"a.json"}


def test_a_json_object_is_read_also_behind_a_byte_order_mark(tmp_path):
    (tmp_path / "a.json").write_bytes(b'\xef\xbb\xbf{"\xc3\xbc": [1]}')
    assert read_json(tmp_path / "a.json") == {"ü": [1]}


def test_what_is_no_json_object_is_refused_and_a_missing_file_is_not_called_bad_json(tmp_path):
    with pytest.raises(UserError, match=r"^there is no file .*none\.json$"):
        read_json(tmp_path / "none.json")
    with pytest.raises(UserError, match=r"^\S+ cannot be read: "):
        read_json(tmp_path)
    for content, message in (
        (b"{", "is not readable JSON: Expecting property name"),
        (b"\xff{}", "is not readable JSON: .*utf-8"),
        (b"[" * 100_000, "is not readable JSON"),
        (b"[1]", "holds no JSON object"),
    ):
        (tmp_path / "a.json").write_bytes(content)
        with pytest.raises(UserError, match=message):
            read_json(tmp_path / "a.json")


def test_temporary_name_keeps_the_ending(tmp_path):
    with atomic_write(tmp_path / "picture.png") as temporary:
        assert temporary.suffix == ".png" and temporary.parent == tmp_path
        temporary.write_bytes(b"x")


def test_any_exception_keeps_the_old_file_and_removes_the_new(tmp_path):
    path = tmp_path / "a.txt"
    write_text(path, "old")
    with pytest.raises(RuntimeError, match="stop"), atomic_write(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError("stop")
    assert path.read_text() == "old" and everything_in(tmp_path) == {"a.txt"}


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EACCES, errno.EROFS])
def test_refused_flush_is_a_user_error_that_names_the_path(tmp_path, monkeypatch, code):
    def refuse(descriptor: int) -> None:
        raise OSError(code, os.strerror(code))

    path = tmp_path / "a.txt"
    write_text(path, "old")
    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(UserError) as caught:
        write_text(path, "new")
    assert str(caught.value).startswith(f"cannot write {path}: ") and "\n" not in str(caught.value)
    with pytest.raises(UserError, match="cannot write"), atomic_folder(tmp_path / "folder") as folder:
        (folder / "b.txt").write_text("b")
    assert path.read_text() == "old" and everything_in(tmp_path) == {"a.txt"}


@pytest.mark.skipif(sys.platform == "win32", reason="needs a limit on file sizes")
def test_a_real_limit_on_the_file_size_leaves_nothing(tmp_path):
    program = """
import resource, sys
from pathlib import Path
from sanerf.errors import UserError
from sanerf.files import write_text
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    write_text(Path(sys.argv[1]), "x" * 5000)
except UserError as error:
    print(error)
"""
    path = tmp_path / "a.txt"
    done = subprocess.run([sys.executable, "-c", program, str(path)], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == f"cannot write {path}: the file would be larger than this system allows"
    assert everything_in(tmp_path) == set()


def test_a_file_in_the_way_of_a_folder_and_a_folder_in_the_way_of_a_file(tmp_path):
    write_text(tmp_path / "a", "file")
    (tmp_path / "folder").mkdir()
    for path in (tmp_path / "a" / "b.txt", tmp_path / "folder"):
        with pytest.raises(UserError, match="cannot write"):
            write_text(path, "x")
    with pytest.raises(UserError, match="cannot write"), atomic_folder(tmp_path / "a"):
        pass
    assert everything_in(tmp_path) == {"a", "folder"}


def test_an_error_about_another_file_keeps_its_own_words(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"missing\.txt"), atomic_write(tmp_path / "a.txt"):
        (tmp_path / "missing.txt").read_text()
    assert everything_in(tmp_path) == set()


def test_json_without_words_for_infinity_writes_nothing(tmp_path):
    with pytest.raises(ValueError, match="JSON"):
        write_json(tmp_path / "a.json", {"psnr": float("inf")})
    assert everything_in(tmp_path) == set()


@pytest.mark.parametrize("shape", [(5, 7), (5, 7, 3), (5, 7, 4)])
def test_png_keeps_every_byte(tmp_path, shape):
    picture = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    write_png(tmp_path / "a.png", picture)
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "a.png")), picture)


def test_png_of_a_mask_is_black_and_white(tmp_path):
    write_png(tmp_path / "a.png", np.array([[True, False]]))
    assert np.asarray(Image.open(tmp_path / "a.png")).tolist() == [[255, 0]]


def test_png_of_sixteen_bits_keeps_every_value(tmp_path):
    values = np.arange(2**16, dtype=np.uint16).reshape(256, 256)
    write_png(tmp_path / "a.png", values)
    with Image.open(tmp_path / "a.png") as picture:
        assert picture.mode == "I;16"
        np.testing.assert_array_equal(np.asarray(picture), values)


def test_a_folder_belongs_to_the_command_that_opened_it(tmp_path):
    own = tmp_path / "deep" / "own"
    open_own_folder(own, "bench")
    write_text(own / "a", "a")
    open_own_folder(own, "bench")
    assert everything_in(own) == {"a", FOLDER_MARKER}
    with pytest.raises(UserError, match="own was written by `sanerf bench`, not by `sanerf masks`; choose a new"):
        open_own_folder(own, "masks")
    with atomic_folder(tmp_path / "scene") as folder:
        write_text(folder / "a", "a")
    with pytest.raises(UserError, match="scene was written by another command of sanerf, not by `sanerf bench`"):
        open_own_folder(tmp_path / "scene", "bench")
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "holiday.png").write_text("precious")
    with pytest.raises(UserError, match="did not write"):
        open_own_folder(tmp_path / "photos", "bench")
    with pytest.raises(UserError, match="it is a file"):
        open_own_folder(tmp_path / "photos" / "holiday.png", "bench")
    assert everything_in(tmp_path / "photos") == {"holiday.png"} and everything_in(tmp_path / "scene") == {
        "a",
        FOLDER_MARKER,
    }


def test_folder_is_replaced_whole(tmp_path):
    for names in (("a", "b"), ("b", "sub/c")):
        with atomic_folder(tmp_path / "out") as folder:
            for name in names:
                write_text(folder / name, name)
    assert everything_in(tmp_path) == {"out", "out/b", "out/sub", "out/sub/c", f"out/{FOLDER_MARKER}"}


def test_failed_folder_leaves_the_old_one(tmp_path):
    with atomic_folder(tmp_path / "out") as folder:
        write_text(folder / "a", "old")
    with pytest.raises(RuntimeError), atomic_folder(tmp_path / "out") as folder:
        write_text(folder / "a", "new")
        raise RuntimeError
    assert (tmp_path / "out" / "a").read_text() == "old"
    assert everything_in(tmp_path) == {"out", "out/a", f"out/{FOLDER_MARKER}"}


def test_a_folder_with_other_peoples_files_is_never_replaced(tmp_path):
    write_text(tmp_path / "photos" / "holiday.png", "precious")
    with pytest.raises(UserError, match="did not write"), atomic_folder(tmp_path / "photos"):
        pytest.fail("the work must not start")
    assert (tmp_path / "photos" / "holiday.png").read_text() == "precious"


def test_an_empty_folder_may_be_replaced(tmp_path):
    (tmp_path / "out").mkdir()
    with atomic_folder(tmp_path / "out") as folder:
        write_text(folder / "a", "a")
    assert (tmp_path / "out" / "a").exists()


def test_a_link_stays_a_link(tmp_path):
    write_text(tmp_path / "real.txt", "old")
    (tmp_path / "link.txt").symlink_to(tmp_path / "real.txt")
    write_text(tmp_path / "link.txt", "new")
    assert (tmp_path / "link.txt").is_symlink() and (tmp_path / "real.txt").read_text() == "new"


def test_tensors_come_back_with_their_metadata(tmp_path):
    tensors = {"b": torch.arange(6).reshape(2, 3), "a": torch.tensor([0.5], dtype=torch.float16)}
    write_tensors(tmp_path / "x.safetensors", {**tensors, "b": tensors["b"].T.contiguous().T}, {"step": "7"})
    found, metadata = read_tensors(tmp_path / "x.safetensors", "make it again")
    assert metadata == {"step": "7"} and found.keys() == tensors.keys()
    assert all(torch.equal(found[name], tensors[name]) and found[name].dtype == tensors[name].dtype for name in found)
    write_tensors(tmp_path / "x.safetensors", tensors)
    assert read_tensors(tmp_path / "x.safetensors", "make it again")[1] == {}


@pytest.mark.parametrize("content", [None, b"", b"not tensors at all", "half"])
def test_tensors_that_cannot_be_read_are_a_user_error_with_advice(tmp_path, content):
    path = tmp_path / "x.safetensors"
    write_tensors(path, {"a": torch.zeros(100)})
    if content is None:
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:200] if content == "half" else content)
    with pytest.raises(UserError) as caught:
        read_tensors(path, "make it again")
    message = str(caught.value)
    assert message.startswith(f"{path} cannot be read (") and message.endswith("); make it again")
    assert "\n" not in message


@pytest.mark.skipif(os.name != "posix", reason="needs the permissions of POSIX")
@pytest.mark.parametrize("umask", [0o022, 0o002, 0o077])
def test_files_get_the_permissions_of_any_new_file(tmp_path, umask):
    """Also where the writer, as that of safetensors, makes a file of its own that its owner alone may read."""
    before = os.umask(umask)
    try:
        write_text(tmp_path / "text", "a")
        write_png(tmp_path / "picture.png", np.zeros((2, 2), dtype=np.uint8))
        write_tensors(tmp_path / "tensors", {"a": torch.zeros(3)})
        with atomic_write(tmp_path / "by_safetensors") as temporary:
            save_file({"a": torch.zeros(3)}, temporary)
        with atomic_folder(tmp_path / "folder") as folder:
            write_tensors(folder / "inside", {"a": torch.zeros(3)})
    finally:
        os.umask(before)
    modes = {path.name: path.stat().st_mode & 0o777 for path in tmp_path.rglob("*") if path.is_file()}
    assert modes.keys() == {"text", "picture.png", "tensors", "by_safetensors", "inside", FOLDER_MARKER}
    assert set(modes.values()) == {0o666 & ~umask}
