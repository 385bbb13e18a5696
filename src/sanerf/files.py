"""Writing files whole or not at all: under a temporary sibling name, flushed to the disk, then renamed; and reading
JSON and tensors, with a sentence for what is not there or damaged.

A reader therefore meets the old file or the new one, never half of one, and a failure leaves nothing behind. What the
disk or the permissions forbid becomes a `UserError` of one sentence that names the path.
"""

import errno
import json
import os
import shutil
import uuid
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from sanerf.errors import UserError, on_one_line
from sanerf.shapes import Bool, UInt8, UInt16

FOLDER_MARKER = ".written-by-sanerf"
"""The file by which a folder is known as ours: empty where `atomic_folder` wrote it, else with its writer's name in the
first line and, where `shared_folder` wrote it, a JSON list of the files that it wrote behind that."""

_REASONS = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk quota is used up",
    errno.EFBIG: "the file would be larger than this system allows",
    errno.EACCES: "the permission is missing",
    errno.EPERM: "the permission is missing",
    errno.EROFS: "the file system is read-only",
    errno.ENOTDIR: "a part of the path is a file, not a folder",
    errno.EEXIST: "a part of the path is a file, not a folder",
    errno.EISDIR: "it is a folder",
    errno.ENAMETOOLONG: "the name is too long",
}


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Give a temporary path beside `path`, with the same ending, to write; rename it to `path` if all went well.

    The file gets the permissions of any new file. Missing folders on the way are made. Raises UserError where the
    system refuses the writing; any exception leaves an older file at `path` as it was and no temporary one.
    """
    path = _real(path)
    temporary = _sibling(path)
    with _failures_named(path, temporary):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            temporary.touch()
            mode = temporary.stat().st_mode
            yield temporary
            # Some writers, as that of safetensors, put a file of their own there, which its owner alone may read.
            temporary.chmod(mode)
            _flush(temporary)
            os.replace(temporary, path)
            _flush_folder(path.parent)
        finally:
            temporary.unlink(missing_ok=True)


def check_file(path: Path) -> None:
    """Raise UserError where `atomic_write` would, as far as that can be known before: at a folder, and where the system
    refuses new files."""
    if path.is_dir():
        raise UserError(f"cannot write {path}: it is a folder, and a file is to be written")
    _check_place(path, path)


def check_folder(path: Path, writer: str = "") -> None:
    """Raise UserError where `open_own_folder` or `shared_folder` would for this `writer`, and `atomic_folder` without.

    That is at a file, at a folder that holds what the writer did not write, and where the system refuses new files.
    """
    if path.exists() and not path.is_dir():
        raise UserError(f"cannot write {path}: it is a file, and a folder is to be written")
    check_writer(path, writer)
    if path.is_dir() and not (path / FOLDER_MARKER).exists() and any(path.iterdir()):
        raise UserError(f"{path} holds files that sanerf did not write, so it is not replaced; choose a new folder")
    _check_place(path / FOLDER_MARKER, path)


def check_writer(path: Path, writer: str) -> None:
    """Raise UserError where `path` is a folder that another command than `writer` wrote."""
    if not (path / FOLDER_MARKER).exists():
        return
    found, _ = _read_marker(path)
    if found != writer:
        by = f"`sanerf {found}`" if found else "another command of sanerf"
        but = f", not by `sanerf {writer}`" if writer else ""
        raise UserError(f"{path} was written by {by}{but}; choose a new folder")


def _read_marker(path: Path) -> tuple[str, set[str]]:
    """The writer of a marked folder, empty where none is named, and the files that it is known to have written."""
    writer, _, listed = (path / FOLDER_MARKER).read_text(encoding="utf-8").partition("\n")
    try:
        return writer.strip(), set(json.loads(listed or "[]"))
    except (ValueError, TypeError):
        return writer.strip(), set()


def _check_place(file: Path, path: Path) -> None:
    """Raise UserError, about `path`, where no `file` can be made, by trying one beside it or above its folder."""
    file = _real(file)
    there = next(folder for folder in file.absolute().parents if os.path.lexists(folder))
    probe = there / f".{uuid.uuid4().hex[:12]}.part"
    with _failures_named(path, probe):
        with suppress(FileNotFoundError):
            path.lstat()
        try:
            probe.touch()
        finally:
            with suppress(OSError):
                probe.unlink()


def open_own_folder(path: Path, writer: str) -> None:
    """Make a folder that `writer` fills file by file and, called again, goes on with; it is marked as its own.

    Raises UserError at a file, and at a folder that holds what `writer` did not write, such as another command's files.
    """
    check_folder(path, writer)
    if not (path / FOLDER_MARKER).exists():
        write_text(path / FOLDER_MARKER, f"{writer}\n")


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """Give a temporary folder beside `path` to fill; put it in the place of `path` if all went well.

    A folder that is already there is replaced whole, leftovers of an earlier run included, but only if it is empty or
    an earlier `atomic_folder` made it: raises UserError before any work where it holds other people's files. For
    folders of which the program alone knows; where the user chooses the place, `shared_folder` loses nothing.
    """
    check_folder(path)
    path = _real(path)
    with _staged(path, _sibling(path)) as temporary:
        yield temporary
        (temporary / FOLDER_MARKER).touch()
        _flush_all(temporary)
        _swap_folder(temporary, path)


@contextmanager
def shared_folder(path: Path, writer: str) -> Iterator[Path]:
    """Give a temporary folder to fill; put its files into `path` if all went well.

    A new folder appears whole. Into an empty one, or one that `writer` wrote before, they are put beside what is there:
    files of the same names that `writer` itself wrote are replaced, all others stay, and a failure puts back what was
    there. Raises UserError before any work where the folder is another writer's or other people's, and at the end where
    a file of the same name is.
    """
    check_folder(path, writer)
    path = _real(path)
    # A folder that is there may be a file system of its own, and the one above it may be closed to us.
    with _staged(path, _sibling(path / path.name if path.is_dir() else path)) as temporary:
        yield temporary
        names = sorted(file.relative_to(temporary).as_posix() for file in temporary.rglob("*") if not file.is_dir())
        _write_marker(temporary, writer, names)
        _flush_all(temporary)
        if path.exists():
            check_writer(path, writer)
            _put_into(path, temporary, writer, names)
        else:
            os.rename(temporary, path)
            _flush_folder(path.parent)


def write_text(path: Path, text: str) -> None:
    """Write `text` as UTF-8 with the line ends it has."""
    with atomic_write(path) as temporary:
        temporary.write_bytes(text.encode("utf-8"))


def write_json(path: Path, value: Any) -> None:
    """Write `value` as indented JSON. ValueError on NaN and infinity, which JSON has no words for."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def read_json(path: Path) -> dict[str, Any]:
    """The JSON object in a file of UTF-8 text; a byte order mark before it is passed over.

    Raises UserError where there is no such file, where it cannot be read, and where it holds something else.
    """
    try:
        content = json.loads(path.read_bytes().decode("utf-8-sig"))
    except FileNotFoundError as error:
        raise UserError(f"there is no file {path}") from error
    except OSError as error:
        raise UserError(f"{path} cannot be read: {_REASONS.get(error.errno or 0) or error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path} is not readable JSON: {on_one_line(error)}") from error
    if not isinstance(content, dict):
        raise UserError(f"{path} holds no JSON object; expected one in braces")
    return content


def write_png(
    path: Path,
    picture: UInt8[np.ndarray, "h w"]
    | UInt16[np.ndarray, "h w"]
    | UInt8[np.ndarray, "h w 3"]
    | UInt8[np.ndarray, "h w 4"]
    | Bool[np.ndarray, "h w"],
) -> None:
    """Write a grey (of 8 or 16 bits), RGB or RGBA picture; a bool mask becomes 0 and 255."""
    pixels = picture.astype(np.uint8) * 255 if picture.dtype == bool else picture
    with atomic_write(path) as temporary:
        Image.fromarray(np.ascontiguousarray(pixels)).save(temporary, format="PNG")


def write_tensors(path: Path, tensors: dict[str, Tensor], metadata: dict[str, str] | None = None) -> None:
    """Write tensors and metadata as safetensors."""
    # Not by save_file, whose error for a full disk is not the system's.
    content = save({name: value.contiguous() for name, value in tensors.items()}, metadata)
    with atomic_write(path) as temporary:
        temporary.write_bytes(content)


def read_tensors(path: Path, advice: str) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The tensors of a safetensors file, on the CPU, and its metadata.

    Raises UserError where it is missing or damaged; `advice` says what to do then.
    """
    try:
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - it is no dict
            return tensors, file.metadata() or {}
    except (OSError, RuntimeError, ValueError, SafetensorError) as error:
        raise UserError(f"{path} cannot be read ({on_one_line(error)}); {advice}") from error


def _real(path: Path) -> Path:
    """The file behind a link, so that renaming replaces the file and leaves the link."""
    return Path(os.path.realpath(path)) if path.is_symlink() else path


def _sibling(path: Path) -> Path:
    """A fresh hidden name in the same folder, so on the same file system, with the same ending."""
    return path.with_name(f".{path.stem[:40]}.{uuid.uuid4().hex[:12]}.part{path.suffix}")


@contextmanager
def _failures_named(path: Path, temporary: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        reason = _REASONS.get(error.errno or 0)
        ours = (None, str(path), str(temporary))
        names = [None if name is None else os.fspath(name) for name in (error.filename, error.filename2)]
        about_us = all(
            name in ours or Path(name).is_relative_to(temporary) or path.is_relative_to(name) for name in names
        )
        if reason is None or not about_us:
            raise
        raise UserError(f"cannot write {path}: {reason}") from error


@contextmanager
def _staged(path: Path, temporary: Path) -> Iterator[Path]:
    """A new folder `temporary` to fill for `path`; it is gone at the end if it is still there."""
    with _failures_named(path, temporary):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            temporary.mkdir()
            yield temporary
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


def _write_marker(folder: Path, writer: str, names: Collection[str]) -> None:
    write_text(folder / FOLDER_MARKER, f"{writer}\n{json.dumps(sorted(names))}\n")


def _put_into(path: Path, new: Path, writer: str, names: list[str]) -> None:
    """Rename the files of the folder `new` into `path`; any exception puts back what was there."""
    marked = (path / FOLDER_MARKER).exists()
    known = _read_marker(path)[1] if marked else set()
    for name in names:
        # Only files are written, so that a folder of that name is somebody's own.
        if os.path.lexists(path / name) and (name not in known or _is_folder(path / name)):
            raise UserError(f"{path / name} was not written by `sanerf {writer}`, so it is not replaced; move it away")
    before = new / ".before"
    put: list[str] = []
    try:
        # First the list: a file that is not on it would be taken for somebody else's, should the power fail.
        _write_marker(path, writer, known.union(names))
        for name in names:
            (before / name).parent.mkdir(parents=True, exist_ok=True)
            (path / name).parent.mkdir(parents=True, exist_ok=True)
            put.append(name)
            if os.path.lexists(path / name):
                os.rename(path / name, before / name)
            os.rename(new / name, path / name)
    except BaseException:
        for name in put:
            if os.path.lexists(before / name):
                os.replace(before / name, path / name)
            elif not os.path.lexists(new / name):
                (path / name).unlink(missing_ok=True)
        if marked:
            _write_marker(path, writer, known)
        else:
            (path / FOLDER_MARKER).unlink(missing_ok=True)
        raise
    for folder in {(path / name).parent for name in names}:
        _flush_folder(folder)


def _is_folder(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink()


def _flush_all(top: Path) -> None:
    for folder, _, names in os.walk(top):
        for name in names:
            _flush(Path(folder, name))
        _flush_folder(Path(folder))


def _flush(path: Path) -> None:
    # Windows flushes only what is open for writing.
    with open(path, "r+b") as file:
        os.fsync(file.fileno())


def _flush_folder(folder: Path) -> None:
    """Make the rename itself last through a power cut, where folders can be flushed at all."""
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(descriptor)


def _swap_folder(new: Path, path: Path) -> None:
    """Rename `new` to `path`; what was there waits under another name until that has worked."""
    if not path.exists():
        os.rename(new, path)
    else:
        old = _sibling(path)
        os.rename(path, old)
        try:
            os.rename(new, path)
        except OSError:
            os.rename(old, path)
            raise
        shutil.rmtree(old, ignore_errors=True)
    _flush_folder(path.parent)
