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
from collections.abc import Iterator
from contextlib import contextmanager
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
"""The file by which a folder is known as ours: empty where `atomic_folder` wrote it, else with its writer's name."""

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


def check_folder(path: Path, writer: str | None = None) -> None:
    """Raise UserError where `atomic_folder` or, for its `writer`, `open_own_folder` would.

    That is at a file, and at a folder that holds what the one or the other did not write.
    """
    if path.exists() and not path.is_dir():
        raise UserError(f"cannot write {path}: it is a file, and a folder is to be written")
    if path.is_dir() and not (path / FOLDER_MARKER).exists() and any(path.iterdir()):
        raise UserError(f"{path} holds files that sanerf did not write, so it is not replaced; choose a new folder")
    if writer is not None and (path / FOLDER_MARKER).exists():
        found = (path / FOLDER_MARKER).read_text(encoding="utf-8").strip()
        if found != writer:
            by = f"`sanerf {found}`" if found else "another command of sanerf"
            raise UserError(f"{path} was written by {by}, not by `sanerf {writer}`; choose a new folder")


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
    an earlier `atomic_folder` made it: raises UserError before any work where it holds other people's files.
    """
    check_folder(path)
    path = _real(path)
    temporary = _sibling(path)
    with _failures_named(path, temporary):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            temporary.mkdir()
            yield temporary
            (temporary / FOLDER_MARKER).touch()
            for folder, _, names in os.walk(temporary):
                for name in names:
                    _flush(Path(folder, name))
                _flush_folder(Path(folder))
            _swap_folder(temporary, path)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


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
