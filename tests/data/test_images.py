"""Pictures and masks: area averages by hand, alpha, EXIF, every mode, and broken files."""

import threading
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps
from scene_writer import write_blender, write_picture, write_transforms

from sanerf.data import images
from sanerf.data.images import (
    downscaled_size,
    load_image,
    load_mask,
    load_photo,
    load_rgba,
    load_split,
    picture_header,
    pictures_in,
)
from sanerf.data.load import load_scene
from sanerf.data.scene import View
from sanerf.errors import UserError
from sanerf.geometry.cameras import Camera, camera_rays


def view_of(path: Path, width: int, height: int) -> View:
    return View(path.name, path, Camera(width, height, 8.0, 8.0, 4.0, 3.0, torch.eye(4, dtype=torch.float64)))


def save(path: Path, pixels: np.ndarray) -> View:
    Image.fromarray(pixels).save(path)
    return view_of(path, pixels.shape[1], pixels.shape[0])


def test_a_smaller_picture_is_the_average_over_areas(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (8, 12, 3), dtype=np.uint8)
    found = load_image(save(tmp_path / "a.png", pixels), (3, 2)).numpy()
    expected = pixels.reshape(2, 4, 3, 4, 3).mean(axis=(1, 3))
    assert np.abs(found - expected).max() <= 1.0
    assert np.array_equal(load_image(view_of(tmp_path / "a.png", 12, 8)).numpy(), pixels)


def test_transparent_pixels_do_not_bleed_into_smaller_pictures(tmp_path):
    pixels = np.zeros((2, 4, 4), dtype=np.uint8)
    pixels[:, :2] = (200, 100, 50, 255)
    pixels[0, 2] = (40, 80, 120, 255)
    pixels[:, 3] = (255, 0, 0, 0)
    view = save(tmp_path / "a.png", pixels)
    found = load_rgba(view, (2, 1))[0]
    assert found[0].tolist() == [200, 100, 50, 255]
    # One of four pixels is covered: a quarter of the alpha, all of its colour (to the precision of 8 bits).
    assert abs(int(found[1, 3]) - 64) <= 1
    assert (found[1, :3].int() - torch.tensor([40, 80, 120])).abs().max() <= 3
    over_white = load_image(view, (2, 1))[0, 1].int()
    assert (over_white - torch.tensor([201, 211, 221])).abs().max() <= 2


def test_a_split_comes_with_cameras_of_its_size(tmp_path):
    write_transforms(tmp_path, count=9)
    scene = load_scene(tmp_path)
    pictures = load_split(scene, scene.test, downscale=2)
    assert [tuple(rgb.shape) for rgb in pictures.rgb] == [(3, 4, 3)] * 2
    assert pictures.alpha is None
    full, half = scene.views[0].camera, pictures.cameras[0]
    assert (half.width, half.height) == (4, 3)
    corner = torch.tensor([[8.0, 6.0]])
    torch.testing.assert_close(camera_rays(half, corner / 2).directions, camera_rays(full, corner).directions)
    assert downscaled_size(full, 3) == (3, 2)
    with pytest.raises(UserError, match=r"downscale is 0\.5; expected 1 or more"):
        load_split(scene, scene.test, downscale=0.5)


def test_a_split_with_alpha_keeps_the_bytes_of_the_file(tmp_path):
    write_blender(tmp_path, {"train": 2, "test": 1})
    scene = load_scene(tmp_path)
    pictures = load_split(scene, scene.train)
    stored = np.asarray(Image.open(tmp_path / "train" / "r_0.png"))
    assert pictures.alpha is not None
    assert np.array_equal(pictures.rgb[0].numpy(), stored[..., :3])
    assert np.array_equal(pictures.alpha[0].numpy(), stored[..., 3])


def test_exif_turns_a_picture_only_for_a_camera_of_the_turned_size(tmp_path):
    path = tmp_path / "a.png"
    write_picture(path, 6, 4, exif_orientation=6)
    stored = np.asarray(Image.open(path))
    assert np.array_equal(load_image(view_of(path, 6, 4)).numpy(), stored)
    # Orientation 6: turn by 90 degrees clockwise to see it upright.
    assert np.array_equal(load_image(view_of(path, 4, 6)).numpy(), np.rot90(stored, -1))
    with pytest.raises(UserError, match="is 6x4, but the scene was made when it was 5x5"):
        load_image(view_of(path, 5, 5))


@pytest.mark.parametrize("compression", ["raw", "tiff_lzw"])
@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_tiff_is_turned_like_any_other_picture(tmp_path, compression, channels, orientation):
    """The same pixels as a PNG, which Pillow never turns by itself, give the oracle."""
    pixels = np.random.default_rng(1).integers(0, 256, (4, 6, channels), dtype=np.uint8)
    pixels[..., 3:] = 255
    picture, exif = Image.fromarray(pixels[..., 0] if channels == 1 else pixels), Image.Exif()
    exif[0x0112] = orientation
    tiff, png = tmp_path / "a.tif", tmp_path / "a.png"
    picture.save(tiff, compression=compression, exif=exif)
    picture.save(png, exif=exif)
    header = picture_header(tiff)
    assert header == picture_header(png) and (header.width, header.height) == (6, 4)
    assert header.possible_sizes == (((6, 4), (4, 6)) if orientation > 4 else ((6, 4),))
    for width, height in header.possible_sizes:
        found = load_image(view_of(tiff, width, height))
        assert found.shape == (height, width, 3)
        assert torch.equal(found, load_image(view_of(png, width, height)))
        assert torch.equal(load_photo(tiff, (width, height)), load_photo(png, (width, height)))
        half = (width // 2, height // 2)
        assert torch.equal(
            load_image(view_of(tiff, width, height), half), load_image(view_of(png, width, height), half)
        )
    stored = np.broadcast_to(pixels[..., :3], (4, 6, 3))
    assert np.array_equal(load_image(view_of(tiff, 6, 4)).numpy(), stored)
    assert np.array_equal(load_photo(tiff).numpy(), np.asarray(ImageOps.exif_transpose(Image.open(png)).convert("RGB")))


def test_sixteen_bits_of_grey_are_scaled_not_clipped(tmp_path):
    view = save(tmp_path / "a.png", np.array([[0, 257 * 100, 65535]], dtype=np.uint16))
    assert load_image(view)[0, :, 0].tolist() == [0, 100, 255]


def test_the_pictures_of_a_folder_are_its_files_by_name(tmp_path):
    for name in ("b.JPG", "a.png", ".hidden.png", "notes.txt"):
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "old.png").mkdir()
    (tmp_path / "old.png" / "c.png").write_bytes(b"")
    assert [path.name for path in pictures_in(tmp_path)] == ["a.png", "b.JPG"]
    assert pictures_in(tmp_path / "none") == []


def test_truncated_and_foreign_files_are_refused_by_name(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    for name in ("cut.jpg", "cut.png"):
        view = save(tmp_path / name, pixels)
        content = view.image_path.read_bytes()
        view.image_path.write_bytes(content[: len(content) // 2])
        with pytest.raises(UserError, match=f"{name} cannot be read: "):
            load_image(view)
    (tmp_path / "text.png").write_text("hello", encoding="utf-8")
    with pytest.raises(UserError, match="not a picture in a known format"):
        load_mask(tmp_path / "text.png")
    Image.fromarray(np.zeros((2, 2), dtype=np.float32)).save(tmp_path / "float.tif")
    with pytest.raises(UserError, match="holds floating-point numbers; expected 8 or 16 bits"):
        load_mask(tmp_path / "float.tif")
    with pytest.raises(UserError, match="there is no such file"):
        load_mask(tmp_path / "none.png")


def test_a_mask_is_object_above_127_in_every_mode(tmp_path):
    values = np.array([[0, 127, 128, 255]], dtype=np.uint8)
    expected = [[False, False, True, True]]
    grey = Image.fromarray(values)
    grey.save(tmp_path / "L.png")
    grey.convert("RGB").save(tmp_path / "RGB.png")
    grey.convert("RGBA").save(tmp_path / "RGBA.png")
    grey.convert("LA").save(tmp_path / "LA.png")
    Image.fromarray(values.astype(np.uint16) * 257).save(tmp_path / "I16.png")
    cut_out = np.full((1, 4, 4), 10, dtype=np.uint8)
    cut_out[..., 3] = values
    Image.fromarray(cut_out).save(tmp_path / "cut_out.png")
    palette = Image.fromarray(np.array([[0, 2, 1, 3]], dtype=np.uint8), mode="P")
    palette.putpalette([0, 0, 0, 128, 0, 0, 127, 127, 127, 0, 0, 255])
    palette.save(tmp_path / "P.png")
    for name in ("L", "RGB", "RGBA", "LA", "I16", "cut_out", "P"):
        assert load_mask(tmp_path / f"{name}.png").tolist() == expected, name
    grey.point(lambda v: 255 if v > 127 else 0).convert("1").save(tmp_path / "1.png")
    assert load_mask(tmp_path / "1.png").tolist() == expected


def test_a_smaller_mask_is_object_where_most_of_the_area_is(tmp_path):
    mask = np.zeros((4, 4), dtype=np.uint8)
    mask[:2, :2] = 255
    mask[0, 2] = 255
    mask[2:, 2:] = 255
    mask[3, 3] = 0
    Image.fromarray(mask).save(tmp_path / "a.png")
    assert load_mask(tmp_path / "a.png", (2, 2)).tolist() == [[True, False], [False, True]]
    assert load_mask(tmp_path / "a.png", (8, 8))[:4, :4].all()


def photograph(width: int, height: int) -> np.ndarray:
    """Smooth colours, as in photographs, brighter to the right and to the bottom."""
    y, x = np.mgrid[:height, :width]
    waves = np.stack([60 * np.sin((x + shift) / 17) * np.cos(y / 23) for shift in (0, 20, 40)], axis=-1)
    return (waves + 60 + (60 * x / width + 60 * y / height)[..., None]).round().astype(np.uint8)


@pytest.mark.parametrize(("width", "height", "most"), [(240, 160, 3), (241, 161, 6)])
def test_a_jpeg_is_made_smaller_in_the_decoder_and_stays_the_average_over_areas(tmp_path, width, height, most):
    """To a sixteenth: the decoder makes an eighth of it. Averages over the whole decoded picture are the reference.

    Of the smaller picture's 31 columns the last is an eighth of one: stretched over all, colours would be 27 off.
    """
    path = tmp_path / "a.jpg"
    Image.fromarray(photograph(width, height)).save(path, quality=95, subsampling=0)
    decoded, _ = images._read(path, (30, 20))
    assert decoded.size == (-(-width // 8), -(-height // 8)), "not smaller in memory"
    with Image.open(path) as picture:
        expected = np.asarray(picture.resize((15, 10), Image.Resampling.BOX)).astype(int)
    assert np.abs(load_image(view_of(path, width, height), (15, 10)).numpy() - expected).max() <= most


def test_a_jpeg_on_its_side_is_turned_after_it_is_made_smaller(tmp_path):
    path, exif = tmp_path / "a.jpg", Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(photograph(250, 160)).save(path, quality=95, subsampling=0, exif=exif)
    stored = load_image(view_of(path, 250, 160), (25, 16)).numpy().astype(int)
    turned = load_image(view_of(path, 160, 250), (16, 25)).numpy().astype(int)
    assert np.abs(turned - np.rot90(stored, -1)).max() <= 1
    whole = load_image(view_of(path, 160, 250)).numpy()
    assert np.array_equal(np.rot90(whole), load_image(view_of(path, 250, 160)).numpy())


def test_photographs_above_pillows_own_bound_are_read(tmp_path, monkeypatch):
    """The bound is set below the picture: Pillow alone refuses it, and it stands as before afterwards."""
    view = save(tmp_path / "a.png", photograph(24, 16))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(Image.DecompressionBombError):
        Image.open(view.image_path)
    assert load_image(view).shape == (16, 24, 3)
    assert Image.MAX_IMAGE_PIXELS == 100


def test_more_than_a_thousand_megapixels_are_refused_up_to_twice_as_many_too(tmp_path, monkeypatch):
    view = save(tmp_path / "a.png", photograph(24, 16))
    monkeypatch.setattr(images, "_MOST_PIXELS", 24 * 16)
    assert load_image(view).shape == (16, 24, 3)
    monkeypatch.setattr(images, "_MOST_PIXELS", 24 * 16 - 1)
    with (
        pytest.warns(Image.DecompressionBombWarning),
        pytest.raises(UserError, match=r"a\.png cannot be read: it has 24 x 16 pixels; expected a thousand megapixels"),
    ):
        load_image(view)


def test_pillows_bound_stands_after_two_threads_have_opened_pictures_at_once(tmp_path, monkeypatch):
    path = save(tmp_path / "a.png", photograph(24, 16)).image_path
    bound, opened = Image.MAX_IMAGE_PIXELS, Image.open
    first, second = threading.Event(), threading.Event()

    def slowly(of: Path) -> Image.Image:
        # The first waits for the second to come in, if it can; the second leaves after the first.
        if not first.is_set():
            first.set()
            second.wait(0.3)
        else:
            second.set()
            threads[0].join(0.3)
        return opened(of)

    monkeypatch.setattr(Image, "open", slowly)
    threads = [threading.Thread(target=images.picture_header, args=(path,)) for _ in range(2)]
    threads[0].start()
    assert first.wait(5)
    threads[1].start()
    for thread in threads:
        thread.join()
    try:
        assert second.is_set() and bound == Image.MAX_IMAGE_PIXELS
    finally:
        Image.MAX_IMAGE_PIXELS = bound
