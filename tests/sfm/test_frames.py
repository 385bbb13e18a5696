"""Frames of a video whose sharp ones are known; photographs put upright."""

import re

import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import gaussian_filter

from sanerf.errors import UserError
from sanerf.sfm.frames import gather_photos, pick_frames, turned


def nothing(done: int, total: int) -> None:
    pass


def noise(seed: int, blur: float, height: int = 96, width: int = 128) -> np.ndarray:
    values = np.random.default_rng(seed).uniform(0, 255, (height, width))
    blurred = gaussian_filter(values, blur) if blur else values
    return np.repeat(blurred.round().astype(np.uint8)[..., None], 3, axis=2)


def test_the_sharpest_frame_of_each_stretch_of_a_video_is_picked(tmp_path):
    av = pytest.importorskip("av", reason="the extra 'video' is not installed")
    sharp = {2, 7, 11}
    with av.open(str(tmp_path / "clip.mp4"), "w") as container:
        stream = container.add_stream("libx264", rate=10, options={"crf": "5"})
        stream.width, stream.height, stream.pix_fmt = 128, 96, "yuv420p"
        for index in range(12):
            picture = noise(index, 0.7 if index in sharp else 3.0)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    found = pick_frames(tmp_path / "clip.mp4", tmp_path / "images", 3, nothing)
    assert sorted(found) == ["000002.jpg", "000007.jpg", "000011.jpg"]
    with Image.open(tmp_path / "images" / "000007.jpg") as picture:
        assert picture.size == (128, 96)
        off = np.abs(np.asarray(picture).astype(float) - noise(7, 0.7)).mean()
        assert off < 6, "not the seventh frame's own content"
    every = pick_frames(tmp_path / "clip.mp4", tmp_path / "all", 100, nothing)
    assert len(every) == 12


def test_photographs_are_copied_as_they_are_and_turned_ones_put_upright(tmp_path):
    source = tmp_path / "photos"
    source.mkdir()
    picture = Image.fromarray(noise(1, 1.0))
    picture.save(source / "b c.PNG", format="png")
    exif = Image.Exif()
    exif[0x0112] = 6
    picture.save(source / "a.jpg", exif=exif, quality=95)
    (source / "notes.txt").write_text("not a picture")
    found = gather_photos(source, tmp_path / "images", nothing)
    assert list(found) == ["a.jpg", "b_c.PNG"]
    assert (tmp_path / "images" / "b_c.PNG").read_bytes() == (source / "b c.PNG").read_bytes()
    with Image.open(tmp_path / "images" / "a.jpg") as turned:
        assert turned.size == (96, 128) and turned.getexif().get(0x0112, 1) == 1
        # Orientation 6: the camera lay on its left side, so the picture is turned clockwise.
        expected = np.rot90(noise(1, 1.0), -1).astype(float)
        assert np.abs(np.asarray(turned).astype(float) - expected).mean() < 4


def test_what_is_no_picture_or_no_video_is_refused(tmp_path):
    source = tmp_path / "photos"
    source.mkdir()
    with pytest.raises(UserError, match="there are no pictures in"):
        gather_photos(source, tmp_path / "images", nothing)
    (source / "a.jpg").write_bytes(b"nonsense")
    with pytest.raises(UserError, match=r"the picture .*a\.jpg cannot be read"):
        gather_photos(source, tmp_path / "images", nothing)
    assert not (tmp_path / "images").exists()
    pytest.importorskip("av", reason="the extra 'video' is not installed")
    (tmp_path / "clip.mp4").write_bytes(b"nonsense")
    with pytest.raises(
        UserError, match=r"clip\.mp4 cannot be read as a video \(Invalid data [a-z ]+\); expected a video or"
    ):
        pick_frames(tmp_path / "clip.mp4", tmp_path / "images", 3, nothing)


def test_a_photograph_that_cannot_be_read_is_left_out_and_named(tmp_path, caplog):
    source = tmp_path / "photos"
    source.mkdir()
    for name in ("a.png", "c.png"):
        Image.fromarray(noise(0, 1.0)).save(source / name)
    (source / "b.png").write_bytes((source / "a.png").read_bytes()[:300])
    assert list(gather_photos(source, tmp_path / "images", nothing, least=2)) == ["a.png", "c.png"]
    assert not (tmp_path / "images" / "b.png").exists()
    assert len(caplog.messages) == 1
    assert re.search(r"^left out: the picture .*b\.png cannot be read", caplog.messages[0])
    with pytest.raises(UserError, match=r"the picture .*b\.png cannot be read.*; 2 of 3 photographs in .* can be read"):
        gather_photos(source, tmp_path / "others", nothing, least=3)
    assert not (tmp_path / "others").exists()


def test_frames_are_turned_counterclockwise():
    rgb = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3)
    assert np.array_equal(turned(rgb, 90)[0, 0], rgb[0, 2])
    assert turned(rgb, -90).shape == (3, 2, 3) and np.array_equal(turned(rgb, -90)[0, 1], rgb[0, 0])
    assert np.array_equal(turned(rgb, 180), rgb[::-1, ::-1]) and np.array_equal(turned(rgb, 0), rgb)


def test_two_photographs_that_would_share_a_name_are_refused(tmp_path):
    for name in ("a b.png", "a_b.png"):
        Image.fromarray(noise(0, 1.0)).save(tmp_path / name)
    with pytest.raises(UserError, match=r"would both be called a_b\.png"):
        gather_photos(tmp_path, tmp_path / "images", nothing)
    assert not (tmp_path / "images").exists()
