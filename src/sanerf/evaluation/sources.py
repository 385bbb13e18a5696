"""Digests of what results depend on: the package's own sources, and files."""

import hashlib
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import sanerf


@cache
def sources_version(rooms: tuple[str, ...]) -> str:
    """A digest of the sources in some folders of the package, of the methods themselves and of the counting."""
    package = Path(sanerf.__path__[0])
    modules = [path for room in rooms for path in sorted((package / room).rglob("*.py"))]
    own = package / "evaluation"
    return files_digest([*modules, own / "methods.py", own / "masks.py", own / "run_evaluation.py"])


def files_digest(paths: Sequence[Path]) -> str:
    """Of names and contents."""
    out = hashlib.sha256()
    for path in paths:
        out.update(f"{path.parent.name}/{path.name} {path.stat().st_size} ".encode())
        out.update(path.read_bytes())
    return out.hexdigest()
