"""Folders of pictures and masks: what belongs together, and what is refused."""

import numpy as np
import pytest
from PIL import Image

from sanerf.data.images import load_photo
from sanerf.data.masked_pictures import find_masked_pictures
from sanerf.errors import UserError


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "images").mkdir()
    (tmp_path / "masks").mkdir()
    return tmp_path


def put(path, width=8, height=6):
    path.parent.mkdir(exist_ok=True)
    Image.new("L" if "masks" in path.parts[-3:] else "RGB", (width, height), 200).save(path)


def test_masks_lie_flat_or_in_a_folder_an_object_or_both(folder):
    for name in ("a.jpg", "b.png", "c.jpg"):
        put(folder / "images" / name)
    (folder / "images" / "notes.txt").write_text("no picture")
    put(folder / "masks" / "a.png")
    put(folder / "masks" / "cup" / "a.png")
    put(folder / "masks" / "bowl" / "b.png")
    put(folder / "masks" / "cup" / "z.png")
    found = find_masked_pictures(folder)
    assert [(p.path.name, p.size, sorted(p.masks)) for p in found.pictures] == [
        ("a.jpg", (8, 6), ["", "cup"]),
        ("b.png", (8, 6), ["bowl"]),
    ]
    assert found.pictures[0].masks["cup"] == folder / "masks" / "cup" / "a.png"
    assert (found.without_mask, found.masks_without_picture) == (1, 1)


def test_a_picture_that_exif_turns_takes_the_size_of_its_masks(folder):
    pixels = np.zeros((6, 8, 3), np.uint8)
    pixels[0, 0] = (255, 0, 0)
    exif = Image.Exif()
    exif[0x0112] = 6  # stored on its side: the upper left pixel belongs to the upper right corner
    for name in ("stored", "turned"):
        Image.fromarray(pixels).save(folder / "images" / f"{name}.png", exif=exif)
    put(folder / "masks" / "stored.png", 8, 6)
    put(folder / "masks" / "turned.png", 6, 8)
    stored, turned = find_masked_pictures(folder).pictures
    assert np.array_equal(load_photo(stored.path, stored.size).numpy(), pixels)
    upright = load_photo(turned.path, turned.size).numpy()
    assert upright.shape == (8, 6, 3) and upright[0, 5].tolist() == [255, 0, 0] and upright.sum() == 255


def test_what_cannot_be_scored_is_said_in_a_sentence(folder):
    with pytest.raises(UserError, match=r"there are no pictures in .*images$"):
        find_masked_pictures(folder)
    put(folder / "images" / "a.jpg")
    put(folder / "masks" / "b.png")
    with pytest.raises(UserError, match=r"none of the 1 pictures in .*images has a mask .* expected a.png there"):
        find_masked_pictures(folder)
    put(folder / "masks" / "a.png", 9, 6)
    with pytest.raises(UserError, match=r"the mask .*a.png is 9x6, its picture .*a.jpg 8x6; expected the same size"):
        find_masked_pictures(folder)
    put(folder / "masks" / "a.png")
    put(folder / "images" / "a.png")
    with pytest.raises(UserError, match=r"has a.jpg and a.png, and one mask for both; keep one"):
        find_masked_pictures(folder)
    (folder / "images" / "a.png").unlink()
    (folder / "images" / "a.jpg").write_bytes(b"no picture")
    with pytest.raises(UserError, match=r"the picture .*a.jpg cannot be read: it is not a picture"):
        find_masked_pictures(folder)
    with pytest.raises(UserError, match=r"there is no folder .*nowhere.images; expected pictures in images/"):
        find_masked_pictures(folder / "nowhere")
