"""The real captures, where this machine has them: in $SANERF_DATA or in ../shared/data beside the repository."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture
def real_scene() -> Callable[[str], Path]:
    """Gives the folder of a capture by its name; skips the test where it is absent."""

    def folder_of(name: str) -> Path:
        data = Path(os.environ.get("SANERF_DATA", REPOSITORY.parent / "shared" / "data"))
        folder = data / "scenes" / name
        if not folder.is_dir():
            pytest.skip(f"the capture {name} is not here; set SANERF_DATA to the folder that holds scenes/{name}")
        return folder

    return folder_of
