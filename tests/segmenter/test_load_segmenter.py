"""What is wrong with `--segmenter` before any weights are read."""

import sys
from pathlib import Path

import pytest

from sanerf.errors import UserError
from sanerf.segmenter.load import check_segmenter


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory, and a cache without weights."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SANERF_CACHE", str(tmp_path / "cache"))
    return tmp_path


@pytest.mark.parametrize(
    ("spec", "words"),
    {
        "mimi": "unknown segmenter 'mimi'",
        "mini:x": "unknown segmenter",
        "SAM:vit_b": "unknown segmenter",
        "sam:": "names no weights",
        "sam2": "names no weights",
        "masks:folder": "gives masks and no segmenter",
        "sam:vit_b": "sanerf weights pull sam:vit_b",
        "sam:vit_x": "no name that `sanerf weights` lists",
        "sam:mine.pth": "there is no file 'mine.pth'",
        "sam2:./mine": "there is no folder './mine'",
        "sam-hq:one/two/three": "there is no folder 'one/two/three'",
        "sam: ": "there is no folder ' '",
    }.items(),
)
def test_what_can_be_no_segmenter_is_refused_without_transformers(here, monkeypatch, spec: str, words: str):
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(UserError, match=words) as caught:
        check_segmenter(spec)
    assert "\n" not in str(caught.value)


def test_what_may_be_one_passes_unread(here):
    (here / "mine.pth").write_bytes(b"not read")
    (here / "folder").mkdir()
    for spec in ("mini", "sam:mine.pth", "sam2:folder", "sam-hq:owner/name"):
        check_segmenter(spec)
