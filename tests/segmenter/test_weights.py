"""Pulling weights from a server of our own that breaks off, pointing at files, checksums, and names of segmenters."""

import errno
import hashlib
import http.client
import io
import itertools
import json
import ssl
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import torch
from test_sam import one_sentence
from tiny_models import tiny_model

from sanerf.errors import DownloadError, UserError
from sanerf.locks import file_lock
from sanerf.segmenter import download, weights
from sanerf.segmenter.download import fetch, pull
from sanerf.segmenter.load import load_segmenter
from sanerf.segmenter.weights import WEIGHTS, Weight, locate, remember, sha256_of, weight_source, weights_folder

CONTENT = bytes(range(256)) * 4096  # a MiB


class Server(ThreadingHTTPServer):
    """Serves CONTENT at /weights.pth; remembers the ranges it was asked for."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.content = CONTENT
        self.breaks_after: list[int] = []
        """bytes after which the next connections break"""
        self.ranges: list[str | None] = []
        self.knows_ranges = True

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/weights.pth"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def do_GET(self) -> None:
        asked = self.headers.get("Range")
        self.server.ranges.append(asked)
        if self.path != "/weights.pth":
            self.send_error(404)
            return
        content = self.server.content
        start = int(asked.removeprefix("bytes=").removesuffix("-")) if asked and self.server.knows_ranges else 0
        if asked and self.server.knows_ranges and start >= len(content):
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{len(content)}")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        rest = content[start:]
        if self.server.breaks_after:
            self.wfile.write(rest[: self.server.breaks_after.pop(0)])
            self.close_connection = True
            return
        self.wfile.write(rest)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SANERF_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    return tmp_path / "cache" / "weights"


def weight_at(address: str, content: bytes = CONTENT) -> Weight:
    return Weight(name="sam:vit_b", address=address, megabytes=1, sha256=hashlib.sha256(content).hexdigest())


def test_a_pull_brings_the_whole_file(server: Server, cache: Path):
    told = []
    path = pull(weight_at(server.address), weights_folder(), on_progress=lambda done, total: told.append((done, total)))
    assert path == cache / "weights.pth" and path.read_bytes() == CONTENT
    assert told[-1] == (len(CONTENT), len(CONTENT)) and {total for _, total in told} == {len(CONTENT)}
    assert [file.name for file in cache.iterdir()] == ["weights.pth"]
    assert pull(weight_at(server.address), weights_folder()) == path
    assert server.ranges == [None], "a right file is not fetched again"


def test_broken_connections_are_gone_on_from(server: Server):
    server.breaks_after = [300_000, 200_000]
    assert pull(weight_at(server.address), weights_folder()).read_bytes() == CONTENT
    assert server.ranges == [None, "bytes=300000-", "bytes=500000-"]


def test_a_connection_that_keeps_breaking_ends_in_a_sentence_and_the_next_pull_goes_on(server: Server, cache: Path):
    server.breaks_after = [300_000, 0, 0, 0, 0]
    with pytest.raises(DownloadError, match="broke 4 times, at byte 300000; the same command goes on from there"):
        pull(weight_at(server.address), weights_folder())
    assert (cache / "weights.pth.part").stat().st_size == 300_000 and locate(weight_at(server.address)) is None
    server.ranges.clear()
    assert pull(weight_at(server.address), weights_folder()).read_bytes() == CONTENT
    assert server.ranges == ["bytes=300000-"]


def test_a_server_without_ranges_begins_anew(server: Server, cache: Path):
    cache.mkdir(parents=True)
    (cache / "weights.pth.part").write_bytes(CONTENT[:1000])
    server.knows_ranges = False
    assert pull(weight_at(server.address), weights_folder()).read_bytes() == CONTENT


@pytest.mark.parametrize("extra", [0, 7])
def test_a_part_that_is_whole_or_too_long_is_told_apart(server: Server, tmp_path: Path, extra: int):
    part = tmp_path / "file.part"
    part.write_bytes(CONTENT + b"x" * extra)
    fetch(server.address, part)
    assert part.read_bytes() == CONTENT
    assert server.ranges == ([f"bytes={len(CONTENT)}-"] if not extra else [f"bytes={len(CONTENT) + 7}-", None])


def test_what_has_another_checksum_is_thrown_away(server: Server, cache: Path):
    server.content = CONTENT[:-1] + b"!"
    with pytest.raises(DownloadError, match="SHA-256 and was thrown away") as caught:
        pull(weight_at(server.address), weights_folder())
    one_sentence(caught.value)
    assert list(cache.iterdir()) == []


def test_a_wrong_file_in_the_place_of_a_pulled_one_is_to_be_deleted(server: Server, cache: Path):
    cache.mkdir(parents=True)
    (cache / "weights.pth").write_bytes(b"another")
    with pytest.raises(UserError, match=r"weights\.pth does not have the SHA-256 .* sam:vit_b; delete it, and"):
        pull(weight_at(server.address), weights_folder())
    assert (cache / "weights.pth").read_bytes() == b"another" and server.ranges == []
    (cache / "weights.pth").unlink()
    assert pull(weight_at(server.address), weights_folder()).read_bytes() == CONTENT


def test_a_second_pull_meanwhile_is_refused(server: Server, cache: Path):
    """It comes while the first is at its first bytes."""
    refused = []

    def on_progress(done: int, total: int) -> None:
        if not refused:
            with pytest.raises(UserError, match=r"\(process \d+\) is fetching sam:vit_b into \S+; wait") as caught:
                pull(weight_at(server.address), weights_folder())
            refused.append(caught.value)

    assert pull(weight_at(server.address), weights_folder(), on_progress=on_progress).read_bytes() == CONTENT
    assert len(refused) == 1 and server.ranges == [None]
    assert [file.name for file in cache.iterdir()] == ["weights.pth"]


@pytest.mark.parametrize("error", [ssl.SSLError("bad record mac"), TimeoutError("timed out"), OSError("no route")])
def test_a_connection_that_breaks_in_mid_read_is_taken_up_again(server: Server, monkeypatch, error: OSError):
    read, calls = http.client.HTTPResponse.read, itertools.count(1)

    def breaking(response, *arguments):
        if next(calls) == 2:
            raise error
        return read(response, *arguments)

    monkeypatch.setattr(http.client.HTTPResponse, "read", breaking)
    assert pull(weight_at(server.address), weights_folder()).read_bytes() == CONTENT
    assert server.ranges == [None, f"bytes={2**18}-"]


def test_a_full_disk_is_no_broken_connection(server: Server, tmp_path: Path, monkeypatch):
    class Full(io.BytesIO):
        def write(self, *_):
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(download, "open", lambda *_: Full(), raising=False)
    with pytest.raises(OSError, match="No space left"):
        fetch(server.address, tmp_path / "file.part")
    assert server.ranges == [None]


def test_two_commands_that_add_files_at_once_are_both_remembered(tmp_path: Path, cache: Path, monkeypatch):
    """The second has the list in hand, as `file_lock` sees it, while the first would write its own."""
    file = tmp_path / "mine.pth"
    file.write_bytes(b"weights")
    known = Weight(name="sam:vit_b", address="https://x/a.pth", megabytes=1, sha256=sha256_of(file))
    first = threading.Thread(target=remember, args=(known, file))
    with file_lock(cache / ".files.json.lock", "adding a file"):
        first.start()
        first.join(timeout=0.3)
        assert first.is_alive() and not (cache / "files.json").exists()
        (cache / "files.json").write_text(json.dumps({"format": "sanerf-weights-1", "files": {"sam:vit_l": "/l.pth"}}))
    first.join()
    assert json.loads((cache / "files.json").read_text())["files"] == {"sam:vit_b": str(file), "sam:vit_l": "/l.pth"}
    monkeypatch.setattr(weights, "_PATIENCE", 0.05)
    with (
        file_lock(cache / ".files.json.lock", "adding a file"),
        pytest.raises(UserError, match=r"is writing \S+files\.json; try again"),
    ):
        remember(known, file)


def test_no_network_and_no_such_file_are_sentences_with_advice(server: Server):
    port = server.server_port
    with pytest.raises(DownloadError, match=r"404 Not Found.*sanerf weights add sam:vit_b FILE"):
        pull(weight_at(f"http://127.0.0.1:{port}/other.pth"), weights_folder())
    server.shutdown()
    server.server_close()
    with pytest.raises(DownloadError, match=r"cannot be reached \(.*refused\); .*sanerf weights add sam:vit_b FILE"):
        pull(weight_at(f"http://127.0.0.1:{port}/weights.pth"), weights_folder())


def test_the_list_is_ten_files_with_addresses_and_checksums():
    assert len(WEIGHTS) == 10 == len({weight.sha256 for weight in WEIGHTS.values()})
    for name, weight in WEIGHTS.items():
        kind, _, size = name.partition(":")
        assert kind in ("sam", "sam-hq", "sam2") and size in weight.file_name
        assert weight.address.startswith("https://") and weight.file_name.endswith((".pth", ".pt"))
        assert len(bytes.fromhex(weight.sha256)) == 32


def test_a_name_stands_for_the_file_that_was_pointed_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    pytest.importorskip("transformers", reason="the SAM family needs transformers: sanerf[sam]")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=r"`sanerf weights pull sam:vit_b` fetches it \(375 MB\)"):
        load_segmenter("sam:vit_b", torch.device("cpu"))
    assert weight_source("sam", "some/where.pth") == "some/where.pth"

    file = tmp_path / "mine.pth"
    file.write_bytes(b"not SAM")
    with pytest.raises(UserError, match=r"not the file that the authors give out as sam:vit_b") as caught:
        remember(WEIGHTS["sam:vit_b"], file)
    assert f"--segmenter sam:{file}" in one_sentence(caught.value)
    known = Weight(name="sam:vit_b", address="https://x/a.pth", megabytes=1, sha256=sha256_of(file))
    monkeypatch.setitem(weights.WEIGHTS, "sam:vit_b", known)
    remember(WEIGHTS["sam:vit_b"], Path("mine.pth"))
    assert weight_source("sam", "vit_b") == str(file)
    with pytest.raises(UserError, match=r"mine\.pth"):
        load_segmenter("sam:vit_b", torch.device("cpu"))
    file.rename(tmp_path / "moved.pth")
    with pytest.raises(UserError, match="which is gone"):
        weight_source("sam", "vit_b")
    pulled = weights_folder() / "a.pth"
    pulled.write_bytes(b"not SAM")
    assert weight_source("sam", "vit_b") == str(pulled), "the pulled one where the other is gone"

    tiny_model("Sam").save_pretrained(tmp_path / "vit_b")
    assert load_segmenter("sam:vit_b", torch.device("cpu")).name == "sam", "a folder of that name is meant first"


def test_a_damaged_list_of_files_is_a_sentence(cache: Path):
    cache.mkdir(parents=True)
    for content in ("{", json.dumps({"format": "other", "files": {}}), "[]"):
        (cache / "files.json").write_text(content)
        with pytest.raises(UserError, match="damaged or of another version"):
            locate(WEIGHTS["sam:vit_b"])


def test_the_cache_folder_follows_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    assert weights_folder() == tmp_path / "cache" / "weights"
    monkeypatch.delenv("SANERF_CACHE")
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert weights_folder() == tmp_path / "xdg" / "sanerf" / "weights"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert weights_folder() == tmp_path / ".cache" / "sanerf" / "weights"
