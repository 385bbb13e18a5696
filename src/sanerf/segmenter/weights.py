"""The weights of the SAM family: which there are, where their authors give them out, and which this machine has.

A weight's name is what `--segmenter` takes: `sam:vit_b`. Its file lies in the cache folder, or wherever `remember` was
told. The checksums are the SHA-256 that the authors' repositories on the Hugging Face hub list (SAM-HQ, SAM 2.1) and,
for SAM, whose authors put the beginning of the MD5 into the file's name, those of its many copies there.
"""

import hashlib
import json
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from sanerf.errors import UserError
from sanerf.files import write_json
from sanerf.locks import file_lock

_FORMAT = "sanerf-weights-1"
_META = "https://dl.fbaipublicfiles.com"
_HQ = "https://huggingface.co/lkeab/hq-sam/resolve/main"
_BLOCK = 2**20
_PATIENCE = 10.0
"""Seconds; another command that adds a file holds the list for some milliseconds."""


@dataclass(frozen=True, kw_only=True)
class Weight:
    """One checkpoint file of the authors."""

    name: str
    address: str
    megabytes: int
    sha256: str
    licence: str = "Apache-2.0"

    @property
    def file_name(self) -> str:
        return self.address.rpartition("/")[2]


_LIST = (
    Weight(
        name="sam:vit_b",
        address=f"{_META}/segment_anything/sam_vit_b_01ec64.pth",
        megabytes=375,
        sha256="ec2df62732614e57411cdcf32a23ffdf28910380d03139ee0f4fcbe91eb8c912",
    ),
    Weight(
        name="sam:vit_l",
        address=f"{_META}/segment_anything/sam_vit_l_0b3195.pth",
        megabytes=1250,
        sha256="3adcc4315b642a4d2101128f611684e8734c41232a17c648ed1693702a49a622",
    ),
    Weight(
        name="sam:vit_h",
        address=f"{_META}/segment_anything/sam_vit_h_4b8939.pth",
        megabytes=2565,
        sha256="a7bf3b02f3ebf1267aba913ff637d9a2d5c33d3173bb679e46d9f338c26f262e",
    ),
    Weight(
        name="sam-hq:vit_b",
        address=f"{_HQ}/sam_hq_vit_b.pth",
        megabytes=379,
        sha256="14a9d662cd6f5a9c2dba6d40ab0058d88d287e4a18fd6fdc6ad5fb1a3fdeaa57",
    ),
    Weight(
        name="sam-hq:vit_l",
        address=f"{_HQ}/sam_hq_vit_l.pth",
        megabytes=1255,
        sha256="e1a6c385d62bf005ded91a54d5ec55c985cfc4103ef89c08d90f39f04934c343",
    ),
    Weight(
        name="sam-hq:vit_h",
        address=f"{_HQ}/sam_hq_vit_h.pth",
        megabytes=2571,
        sha256="a7ac14a085326d9fa6199c8c698c4f0e7280afdbb974d2c4660ec60877b45e35",
    ),
    Weight(
        name="sam2:tiny",
        address=f"{_META}/segment_anything_2/092824/sam2.1_hiera_tiny.pt",
        megabytes=156,
        sha256="7402e0d864fa82708a20fbd15bc84245c2f26dff0eb43a4b5b93452deb34be69",
    ),
    Weight(
        name="sam2:small",
        address=f"{_META}/segment_anything_2/092824/sam2.1_hiera_small.pt",
        megabytes=184,
        sha256="6d1aa6f30de5c92224f8172114de081d104bbd23dd9dc5c58996f0cad5dc4d38",
    ),
    Weight(
        name="sam2:base_plus",
        address=f"{_META}/segment_anything_2/092824/sam2.1_hiera_base_plus.pt",
        megabytes=324,
        sha256="a2345aede8715ab1d5d31b4a509fb160c5a4af1970f199d9054ccfb746c004c5",
    ),
    Weight(
        name="sam2:large",
        address=f"{_META}/segment_anything_2/092824/sam2.1_hiera_large.pt",
        megabytes=898,
        sha256="2647878d5dfa5098f2f8649825738a9345572bae2d4350a2468587ece47dd318",
    ),
)
WEIGHTS = {weight.name: weight for weight in _LIST}


def find_weight(name: str) -> Weight:
    """The weight of a name. UserError for another name."""
    if name not in WEIGHTS:
        raise UserError(f"there is no weight {name!r}; there are {', '.join(WEIGHTS)}")
    return WEIGHTS[name]


def weights_folder() -> Path:
    """Where pulled weights lie: $SANERF_CACHE/weights, by default in the system's folder for caches."""
    chosen = os.environ.get("SANERF_CACHE")
    if chosen:
        return Path(chosen).expanduser() / "weights"
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return base / "sanerf" / "weights"


def locate(weight: Weight) -> Path | None:
    """The file of a weight, the one that was pointed at before the one that was pulled; None where there is neither.

    A file that was pointed at and is gone is named where no other is there.
    """
    pointed = [Path(file) for name, file in _pointed().items() if name == weight.name]
    files = [*pointed, weights_folder() / weight.file_name]
    return next((file for file in files if file.is_file()), pointed[0] if pointed else None)


def remember(weight: Weight, file: Path, *, on_progress: Callable[[int, int], None] | None = None) -> Path:
    """Point a weight at a file of this machine; its absolute path. UserError where that is not the authors' file."""
    file = file.expanduser().absolute()
    check(weight, file, on_progress=on_progress)
    path = _list_path()
    with file_lock(path.with_name(f".{path.name}.lock"), f"writing {path}; try again", patience=_PATIENCE):
        write_json(path, {"format": _FORMAT, "files": _pointed() | {weight.name: str(file)}})
    return file


def check(weight: Weight, file: Path, *, on_progress: Callable[[int, int], None] | None = None) -> None:
    """Compare a file's SHA-256 with the authors'; `on_progress` is told bytes done and all. UserError if it differs."""
    if not file.is_file():
        raise UserError(f"there is no file {file}, where {weight.name} should be")
    found = sha256_of(file, on_progress)
    if found != weight.sha256:
        raise UserError(
            f"{file} is not the file that the authors give out as {weight.name}: its SHA-256 begins with {found[:12]}, "
            f"theirs with {weight.sha256[:12]}; weights of your own go as --segmenter {weight.name.partition(':')[0]}:"
            f"{file}"
        )


def sha256_of(file: Path, on_progress: Callable[[int, int], None] | None = None) -> str:
    """The SHA-256 of a file, in hexadecimal digits."""
    digest = hashlib.sha256()
    total, done = file.stat().st_size, 0
    with open(file, "rb") as stream:
        while block := stream.read(_BLOCK):
            digest.update(block)
            done += len(block)
            if on_progress is not None:
                on_progress(done, total)
    return digest.hexdigest()


def weight_source(kind: str, source: str) -> str:
    """What to load for `--segmenter KIND:SOURCE`: the file of a weight by that name, else SOURCE itself.

    Something that lies here under the name SOURCE is meant before a weight. Raises UserError for a weight that this
    machine does not have.
    """
    weight = WEIGHTS.get(f"{kind}:{source}")
    if weight is None or Path(source).exists():
        return source
    file = locate(weight)
    if file is None:
        raise UserError(
            f"{weight.name} is not on this machine yet; `sanerf weights pull {weight.name}` fetches it "
            f"({weight.megabytes} MB), `sanerf weights add {weight.name} FILE` points at a file that you have"
        )
    if not file.is_file():
        raise UserError(f"{weight.name} was at {file}, which is gone; point at it anew with `sanerf weights add`")
    return str(file)


def _list_path() -> Path:
    return weights_folder() / "files.json"


def _pointed() -> dict[str, str]:
    """The files that were pointed at, by the names of their weights."""
    path = _list_path()
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["format"] != _FORMAT:
            raise ValueError(content["format"])
        return {str(name): str(file) for name, file in content["files"].items()}
    except FileNotFoundError:
        return {}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{path} is damaged or of another version; delete it and add your files anew") from error
