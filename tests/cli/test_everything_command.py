"""`sanerf masks --everything`: files, their contents, going on, and what is refused."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from command_process import assert_refused, files, in_a_process, size_of
from command_stage import write_scene
from PIL import Image

from sanerf.files import FOLDER_MARKER, atomic_folder
from sanerf.locks import file_lock
from sanerf.segmenter.coco_rle import from_coco

FEW = ("--everything", "--points", 2, "--iou", 0.1, "--stability", 0.1)


@pytest.fixture
def photos(tmp_path) -> Path:
    """Two photographs: a bright disc on dark ground, upright and marked as turned by a right angle."""
    folder = tmp_path / "photos"
    folder.mkdir()
    y, x = np.mgrid[0:72, 0:96]
    pixels = np.full((72, 96, 3), 40, np.uint8)
    pixels[(x - 30) ** 2 + (y - 30) ** 2 < 20**2] = (230, 130, 30)
    Image.fromarray(pixels).save(folder / "a.png")
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(pixels).save(folder / "b.jpg", exif=exif)
    return folder


def test_masks_of_two_photographs_and_going_on(photos, sanerf, tmp_path):
    out = tmp_path / "out"
    ended = sanerf("masks", photos, *FEW, "--out", out, "--json")
    assert ended.code == 0, ended.err
    result = json.loads(ended.out)
    assert [photo["name"] for photo in result["photos"]] == ["a.png", "b.jpg"]
    written = [f"{kind}/{stem}" for kind, end in (("labels", "png"), ("masks", "json"), ("overlays", "jpg"))
               for stem in (f"a.{end}", f"b.{end}")]  # fmt: skip
    assert files(out) == ["index.html", *written]
    for stem, size in (("a", (96, 72)), ("b", (72, 96))):
        assert size_of(out / "labels" / f"{stem}.png") == ("L", size)
        assert size_of(out / "overlays" / f"{stem}.jpg") == ("RGB", size)
    content = json.loads((out / "masks" / "a.json").read_text())
    assert content["image"] == {"image_id": "a", "width": 96, "height": 72, "file_name": "a.png"}
    annotations = content["annotations"]
    assert len(annotations) == result["photos"][0]["masks"] > 0
    labels = np.zeros((72, 96), dtype=np.uint8)
    for number, entry in enumerate(annotations, start=1):
        mask = from_coco(entry["segmentation"])
        rows, columns = np.nonzero(mask)
        assert entry["id"] == number and entry["area"] == mask.sum()
        x, y = columns.min(), rows.min()
        assert entry["bbox"] == [x, y, columns.max() + 1 - x, rows.max() + 1 - y]
        # The largest comes first, so that painting in order leaves the smaller on top.
        labels[mask] = number
    assert np.array_equal(np.asarray(Image.open(out / "labels" / "a.png")), labels)
    page = (out / "index.html").read_text()
    assert page.count("data:image/jpeg") == 2 and "http" not in page.split("</style>")[1]

    before = {name: (out / name).stat().st_mtime_ns for name in written}
    (out / "overlays" / "b.jpg").unlink()
    again = json.loads(sanerf("masks", photos, *FEW, "--out", out, "--json").out)
    assert [photo["seconds"] is None for photo in again["photos"]] == [True, False]
    assert [photo["masks"] for photo in again["photos"]] == [photo["masks"] for photo in result["photos"]]
    assert all(((out / n).stat().st_mtime_ns == before[n]) == ("/a." in n) for n in written)
    # Other settings are other masks.
    other = sanerf("masks", photos / "a.png", *FEW, "--duplicates", 0.5, "--out", out, "--json")
    assert [photo["seconds"] is None for photo in json.loads(other.out)["photos"]] == [False]
    # The page is that of the folder: the other photograph is still on it, and is said to be of other settings.
    captions = re.findall(r"<figcaption>(.*?)</figcaption>", (out / "index.html").read_text())
    assert captions == [
        f"a.png: {json.loads(other.out)['photos'][0]['masks']} masks",
        f"b.jpg: {result['photos'][1]['masks']} masks (other settings)",
    ]


def test_views_of_a_scene_and_an_unreadable_photograph(photos, sanerf, tmp_path):
    few = ("--everything", "--points", 1)
    write_scene(tmp_path / "scene", frames=3)
    ended = sanerf("masks", tmp_path / "scene", *few, "--out", tmp_path / "of_scene", "--json")
    assert ended.code == 0, ended.err
    assert sorted(p["name"] for p in json.loads(ended.out)["photos"]) == ["0.png", "1.png", "2.png"]
    (photos / "b.jpg").write_bytes(b"no picture")
    ended = in_a_process("masks", photos, *few, "--out", tmp_path / "out", "--json")
    assert ended.code == 0 and "left out: " in ended.err and "b.jpg" in ended.err
    assert files(tmp_path / "out" / "masks") == ["a.json"]
    assert_refused(sanerf("masks", photos / "b.jpg", *few, "--out", tmp_path / "none"), "b.jpg cannot be read")


def test_a_scene_that_process_made_is_not_written_into(sanerf, tmp_path):
    with atomic_folder(tmp_path / "scene") as scene:
        write_scene(scene, frames=3)
    before = files(tmp_path)
    ended = sanerf("masks", tmp_path / "scene", "--everything", "--points", 1, "--out", tmp_path / "scene")
    assert_refused(ended, "scene was written by another command of sanerf, not by `sanerf masks --everything`")
    assert files(tmp_path) == before and (tmp_path / "scene" / FOLDER_MARKER).read_text() == ""


def test_two_calls_do_not_write_into_one_folder_at_once(photos, tmp_path):
    """In a process of its own, since a lock is a process's."""
    out = tmp_path / "out"
    with file_lock(out / ".masks.lock", "held by the test"):
        (out / FOLDER_MARKER).write_text("masks --everything\n")
        ended = in_a_process("masks", photos, "--everything", "--points", 1, "--out", out)
    assert_refused(ended, r"another command \(process \d+\) is writing into .*out")
    assert files(out) == []


def test_what_is_refused(photos, sanerf, tmp_path):
    out = tmp_path / "out"
    assert_refused(sanerf("masks", photos), "either --maps DIR, .* or --everything")
    assert_refused(sanerf("masks", photos, "--everything", "--maps", photos), "either --maps DIR")
    assert_refused(sanerf("masks", photos, "--everything"), "--everything needs --out DIR")
    assert_refused(sanerf("masks", photos, "--maps", photos, "--points", 3), "--points goes with --everything")
    assert_refused(sanerf("masks", photos, "--everything", "--out", out, "--objects", photos), "--objects goes with")
    for option, value, expected in (
        ("--points", 0, "from 1 to 1024, not 0"),
        ("--points", 100000, "from 1 to 1024, not 100000"),
        ("--layers", -1, "from 0 to 4, not -1"),
        ("--layers", 5, "from 0 to 4, not 5"),
        ("--iou", 2, "from 0 to 1, not 2"),
        ("--stability", "nan", "from 0 to 1, not nan"),
        ("--duplicates", -0.5, "from 0 to 1, not -0.5"),
    ):
        ended = sanerf("masks", photos, "--everything", "--out", out, f"{option}={value}")
        assert_refused(ended, f"{option} should be {expected}")
    (tmp_path / "text").mkdir()
    (tmp_path / "text" / "a.txt").write_text("no picture")
    ended = sanerf("masks", tmp_path / "text", "--everything", "--out", out)
    assert_refused(ended, "there are no photographs in .*text or its images/, nor a scene")
    assert_refused(sanerf("masks", photos, "--everything", "--out", out, "--segmenter", "sum"), "unknown segmenter")
    assert_refused(sanerf("masks", tmp_path / "no", "--everything", "--out", out), "there is no folder")
    assert_refused(sanerf("masks", photos, "--everything", "--out", photos), "did not write")
    ended = sanerf("masks", photos, "--maps", photos, "--segmenter", "mini")
    assert_refused(ended, "--segmenter goes with --everything, not with --maps")
    assert not out.exists()
    (photos / "a.jpg").write_bytes((photos / "b.jpg").read_bytes())
    assert_refused(sanerf("masks", photos, "--everything", "--out", out), "would have one name")
