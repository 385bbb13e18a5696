"""What the renderer says of the ray bank's rays, kept in the run folder: the density is frozen, so it stays true.

One safetensors file, 8 bytes a sample and 10 a ray (59 MB for the 1.15 million rays of the bundled scene). In it stands
a SHA-256 over all that the samples depend on: the values of the field and of the density grid, the sampling plan, the
cameras, the lattices, the kernels. Where that is another, or the file is damaged, the samples are computed anew and the
file is replaced; nothing ever has to be invalidated by hand.
"""

import hashlib
import json
import logging
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from sanerf.errors import UserError
from sanerf.files import read_tensors, write_tensors
from sanerf.geometry.cameras import Camera
from sanerf.render.images import Renderer
from sanerf.shapes import Float, Int

_FORMAT = "sanerf-samples-1"

_log = logging.getLogger("sanerf")


@dataclass(frozen=True)
class PackedSamples:
    """The samples that matter of many rays, one ray after the other: where along the ray they lie and their weights.

    `counts` says how many are each ray's, `accumulation` is the sum of all its weights, the dropped ones among them;
    `ends` is its median distance.
    """

    distances: Float[Tensor, "samples"]
    weights: Float[Tensor, "samples"]
    counts: Int[Tensor, "rays"]
    accumulation: Float[Tensor, "rays"]
    ends: Float[Tensor, "rays"]


@dataclass(frozen=True)
class SampleCache:
    """Samples in a file. Whoever uses it holds the run's lock.

    The field is known by its tensors and by `field_settings`, a text of all else that its density depends on.
    """

    path: Path
    field_settings: str

    def samples(self, key: str, make: Callable[[], PackedSamples]) -> PackedSamples:
        """The file's samples if they are those of `key`, on the CPU; else what `make` gives, then kept."""
        stored = self._read(key)
        if stored is None:
            stored = make()
            self._write(key, stored)
        return stored

    def _read(self, key: str) -> PackedSamples | None:
        try:
            tensors, metadata = read_tensors(self.path, "delete it")
        except UserError:
            return None
        if metadata != _metadata(key, tensors):
            return None
        return PackedSamples(**tensors)

    def _write(self, key: str, samples: PackedSamples) -> None:
        # What a process that was killed in the middle of a write has left.
        for leftover in self.path.parent.glob(f".{self.path.stem}.*.part{self.path.suffix}"):
            leftover.unlink(missing_ok=True)
        tensors = {name: value.cpu() for name, value in vars(samples).items()}
        try:
            write_tensors(self.path, tensors, _metadata(key, tensors))
        except UserError as error:
            # Work that was done is not lost for want of room.
            _log.warning("%s; samples are computed again next time", error)


def samples_key(renderer: Renderer, cameras: Iterable[Camera], *settings: object) -> str:
    """A digest of all that samples of these cameras depend on: `settings` beside the renderer."""
    field = renderer.field
    assert isinstance(field, nn.Module), type(field)
    digest = hashlib.sha256()
    device = renderer.density_grid.device.type
    for text in (_FORMAT, torch.__version__, renderer.kernels.name, device, renderer.plan, *settings):
        digest.update(f"{text}\n".encode())
    for camera in cameras:
        digest.update(f"{camera.intrinsics} {camera.world_from_cam.tolist()}\n".encode())
    for name, value in {**field.state_dict(), "density_grid": renderer.density_grid}.items():
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}\n".encode())
        digest.update(_bytes(value))
    return digest.hexdigest()


def _metadata(key: str, tensors: dict[str, Tensor]) -> dict[str, str]:
    crc = 0
    for name in sorted(tensors):
        crc = zlib.crc32(_bytes(tensors[name]), zlib.crc32(name.encode(), crc))
    return {"sanerf": json.dumps({"format": _FORMAT, "key": key, "checksum": f"{crc:08x}"})}


def _bytes(value: Tensor) -> memoryview:
    return value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data
