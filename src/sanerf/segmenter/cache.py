"""The feature cache: what the encoder says of every picture, kept on disk (paper, section 3.1, the cached container).

One safetensors file a picture, floats as float16, named by a SHA-256 over the picture's pixels and the segmenter's
fingerprint: another picture or other weights mean another file, and nothing ever has to be invalidated. Files are
written under a temporary name and renamed, and carry a checksum; one that is half, damaged or of another format
version is encoded anew, so a run that was cut off goes on where it stopped.

Features pass through float16 also when they were encoded just now: a run does not depend on what the cache held.
"""

import hashlib
import json
import time
import zlib
from collections import OrderedDict
from collections.abc import Callable, Iterable
from pathlib import Path
from threading import Lock

import torch
from torch import Tensor

from sanerf.errors import UserError
from sanerf.files import read_tensors, write_tensors
from sanerf.segmenter.protocol import ImageFeatures, Segmenter
from sanerf.shapes import UInt8

_FORMAT = "sanerf-features-1"
_STALE_SECONDS = 3600.0


class FeatureCache:
    """`features(image)` of one segmenter, encoded once and then read from `directory`.

    `memory_bytes` bounds what is kept in memory on top, the least recently used going first. Raises UserError where the
    directory cannot be written.
    """

    def __init__(self, segmenter: Segmenter, directory: Path, memory_bytes: int = 512 * 2**20):
        self._segmenter = segmenter
        self._directory = directory
        self._memory_bytes = memory_bytes
        self._recent: OrderedDict[str, ImageFeatures] = OrderedDict()
        self._recent_bytes = 0
        self._lock = Lock()
        try:
            directory.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            reason = error.strerror or str(error)
            raise UserError(f"the feature cache cannot be made in {directory} ({reason}); choose another") from error
        _remove_stale(directory)

    @property
    def bytes_in_memory(self) -> int:
        """What the features in memory take, never more than the bound."""
        return self._recent_bytes

    def path(self, image: UInt8[Tensor, "h w 3"]) -> Path:
        """The file of a picture, whether it is there or not."""
        return self._directory / f"{self._key(image)}.safetensors"

    def features(self, image: UInt8[Tensor, "h w 3"]) -> ImageFeatures:
        """Features of one sRGB picture, floats as float32 on the CPU."""
        stored = self._stored(image)
        maps = {name: value.float() if value.is_floating_point() else value for name, value in stored.maps.items()}
        return ImageFeatures(maps, stored.height, stored.width)

    def encode_all(
        self, images: Iterable[UInt8[Tensor, "h w 3"]], on_progress: Callable[[int], None] | None = None
    ) -> None:
        """Make sure that all pictures are on disk; `on_progress` is told after each how many are done."""
        for done, image in enumerate(images, start=1):
            self._stored(image)
            if on_progress is not None:
                on_progress(done)

    def _key(self, image: UInt8[Tensor, "h w 3"]) -> str:
        digest = hashlib.sha256(f"{_FORMAT} {self._segmenter.fingerprint} {tuple(image.shape)} ".encode())
        digest.update(image.cpu().contiguous().numpy().tobytes())
        return digest.hexdigest()

    def _stored(self, image: UInt8[Tensor, "h w 3"]) -> ImageFeatures:
        """From memory, from disk or from the encoder, as on disk."""
        key = self._key(image)
        with self._lock:
            if key in self._recent:
                self._recent.move_to_end(key)
                return self._recent[key]
        path = self._directory / f"{key}.safetensors"
        stored = _read(path)
        if stored is None:
            stored = _as_stored(self._segmenter.encode(image))
            _write(path, stored)
        self._remember(key, stored)
        return stored

    def _remember(self, key: str, stored: ImageFeatures) -> None:
        size = _bytes(stored)
        with self._lock:
            if key in self._recent or size > self._memory_bytes:
                return
            while self._recent_bytes + size > self._memory_bytes:
                self._recent_bytes -= _bytes(self._recent.popitem(last=False)[1])
            self._recent[key] = stored
            self._recent_bytes += size


def _bytes(features: ImageFeatures) -> int:
    return sum(value.nbytes for value in features.maps.values())


def _as_stored(features: ImageFeatures) -> ImageFeatures:
    """On the CPU with floats as float16; a map that float16 cannot hold stays float32."""
    maps = {}
    for name, value in features.maps.items():
        value = value.detach().cpu()
        if value.is_floating_point():
            half = value.half()
            value = half if bool(half.isfinite().all()) else value.float()
        maps[name] = value.contiguous()
    return ImageFeatures(maps, features.height, features.width)


def _checksum(maps: dict[str, Tensor]) -> str:
    crc = 0
    for name in sorted(maps):
        crc = zlib.crc32(name.encode(), crc)
        crc = zlib.crc32(maps[name].reshape(-1).view(torch.uint8).numpy().tobytes(), crc)
    return f"{crc:08x}"


def _read(path: Path) -> ImageFeatures | None:
    """The features of a file, None where it is missing, damaged or of another version."""
    try:
        maps, metadata = read_tensors(path, "delete it")
        header = json.loads(metadata.get("sanerf", "{}"))
    except ValueError:  # a UserError too
        return None
    if header.get("format") != _FORMAT or header.get("checksum") != _checksum(maps):
        return None
    return ImageFeatures(maps, header["height"], header["width"])


def _write(path: Path, features: ImageFeatures) -> None:
    header = {
        "format": _FORMAT,
        "height": features.height,
        "width": features.width,
        "checksum": _checksum(features.maps),
    }
    write_tensors(path, features.maps, {"sanerf": json.dumps(header)})


def _remove_stale(directory: Path) -> None:
    """Take away what runs that were killed in the middle of a write have left; young files may be another run's."""
    for temporary in directory.glob(".*.part.safetensors"):
        try:
            if time.time() - temporary.stat().st_mtime > _STALE_SECONDS:
                temporary.unlink()
        except OSError:
            continue
