"""Fetching a large file over HTTP so that an interruption costs nothing: what has come is kept and gone on from.

Bytes go to `NAME.part` beside the target, which is renamed when all are there and the checksum is right. A broken
connection is taken up again at once some times, and by the next call after that.
"""

import http.client
import os
import re
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from sanerf.errors import DownloadError, UserError, on_one_line
from sanerf.locks import file_lock
from sanerf.segmenter.weights import Weight, check

_BLOCK = 2**18
_SECONDS = 60.0
_ATTEMPTS = 4
"""Connections in a row that bring nothing new, before giving up."""


def pull(weight: Weight, folder: Path, *, on_progress: Callable[[int, int], None] | None = None) -> Path:
    """Fetch a weight into `folder`; the file's path. A right file that is there already is left alone.

    `on_progress` is told bytes done and all. Raises DownloadError without a network, where the connection keeps
    breaking, and where what came is not the authors' file; UserError where what is there is not, and where another
    process is fetching it.
    """
    target = folder / weight.file_name
    folder.mkdir(parents=True, exist_ok=True)
    doing = f"fetching {weight.name} into {folder}; wait until it is done"
    with file_lock(target.with_name(f".{target.name}.lock"), doing):
        if target.is_file():
            _check_what_is_there(weight, target, on_progress)
        else:
            _fetch_and_check(weight, target, on_progress)
    return target


def _check_what_is_there(weight: Weight, target: Path, on_progress: Callable[[int, int], None] | None) -> None:
    try:
        check(weight, target, on_progress=on_progress)
    except UserError as error:
        raise UserError(
            f"{target} does not have the SHA-256 of the authors' {weight.name}; delete it, and the same command "
            "fetches it anew"
        ) from error


def _fetch_and_check(weight: Weight, target: Path, on_progress: Callable[[int, int], None] | None) -> None:
    part = target.with_name(f"{target.name}.part")
    try:
        fetch(weight.address, part, on_progress=on_progress)
    except urllib.error.HTTPError as error:
        raise DownloadError(f"{weight.address} answers {error.code} {error.reason}; {_advice(weight)}") from error
    except urllib.error.URLError as error:
        reason = " ".join(str(error.reason).split())
        raise DownloadError(f"{weight.address} cannot be reached ({reason}); {_advice(weight)}") from error
    except ConnectionError as error:
        raise DownloadError(f"{on_one_line(error)}; the same command goes on from there") from error
    try:
        check(weight, part)
    except UserError:
        part.unlink()
        raise DownloadError(
            f"what came from {weight.address} does not have the authors' SHA-256 and was thrown away; try again, and "
            f"if it stays so, {_advice(weight)}"
        ) from None
    os.replace(part, target)


def _advice(weight: Weight) -> str:
    return (
        "without a network here, fetch that file elsewhere, copy it to this machine and tell sanerf with "
        f"`sanerf weights add {weight.name} FILE`"
    )


def fetch(address: str, part: Path, *, on_progress: Callable[[int, int], None] | None = None) -> None:
    """Bring all bytes of `address` into `part`, going on from those that it has.

    Raises urllib's errors where no connection is to be had, ConnectionError where it breaks again and again.
    """
    fruitless = 0
    while fruitless < _ATTEMPTS:
        before = _size(part)
        try:
            total = _fetch_once(address, part, on_progress)
        except (http.client.HTTPException, ConnectionError):
            total = -1
        now = _size(part)
        if now == total:
            return
        fruitless = 0 if now > before else fruitless + 1
    raise ConnectionError(f"the connection to {address} broke {_ATTEMPTS} times, at byte {now}")


def _fetch_once(address: str, part: Path, on_progress: Callable[[int, int], None] | None) -> int:
    """Add to `part` what one connection brings; the length of the whole file, or that of `part` where none is told."""
    have = _size(part)
    headers = {"User-Agent": "sanerf"} | ({"Range": f"bytes={have}-"} if have else {})
    try:
        with _breaks_named():
            response = urllib.request.urlopen(urllib.request.Request(address, headers=headers), timeout=_SECONDS)
    except urllib.error.HTTPError as error:
        if error.code != 416 or not have:
            raise
        # Nothing follows what is there: it is whole, or not of this file and longer.
        if _whole_length(error.headers.get("Content-Range")) == have:
            return have
        part.unlink()
        return -1
    with response:
        goes_on = response.status == 206 and _begin(response.headers.get("Content-Range")) == have
        length = response.headers.get("Content-Length")
        start = have if goes_on else 0
        total = start + int(length) if length is not None else -1
        with open(part, "ab" if goes_on else "wb") as file:
            done = start
            while block := _read(response):
                file.write(block)
                done += len(block)
                if on_progress is not None:
                    on_progress(done, max(total, done))
    return total if total >= 0 else done


def _size(part: Path) -> int:
    return part.stat().st_size if part.exists() else 0


def _read(response: http.client.HTTPResponse) -> bytes:
    with _breaks_named():
        return response.read(_BLOCK)


@contextmanager
def _breaks_named() -> Iterator[None]:
    """Raise ConnectionError where a connection breaks, by TLS or time too; for what does not use the disk."""
    try:
        yield
    except urllib.error.URLError:
        raise
    except OSError as error:
        raise ConnectionError(on_one_line(error)) from error


def _begin(content_range: str | None) -> int:
    match = re.match(r"bytes (\d+)-", content_range or "")
    return int(match[1]) if match else -1


def _whole_length(content_range: str | None) -> int:
    match = re.match(r"bytes \*/(\d+)$", content_range or "")
    return int(match[1]) if match else -1
