"""The feature cache against a counting encoder: what is encoded when, what lies on disk, what stays in memory."""

import errno
import os
import time
from pathlib import Path

import pytest
import torch
from torch import Tensor

from sanerf.errors import UserError
from sanerf.segmenter.cache import FeatureCache
from sanerf.segmenter.protocol import ImageFeatures


class CountingSegmenter:
    """Encodes a picture to its mean colour on a small map, and counts."""

    name = "counting"

    def __init__(self, fingerprint: str = "a", scale: float = 1.0):
        self.fingerprint = fingerprint
        self.scale = scale
        self.encoded = 0

    def encode(self, image: Tensor) -> ImageFeatures:
        self.encoded += 1
        mean = image.float().mean(dim=(0, 1)) * self.scale / 3
        maps = {"coarse": mean[:, None, None].expand(3, 4, 4) + torch.arange(4) / 7, "fine": mean.expand(2, 3).double()}
        return ImageFeatures(maps, image.shape[0], image.shape[1])

    def decode(self, features, prompts):
        raise NotImplementedError


STORED_BYTES = (3 * 4 * 4 + 2 * 3) * 2


def picture(seed: int, height: int = 6, width: int = 5) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (height, width, 3), generator=generator, dtype=torch.uint8)


def files(directory: Path) -> list[Path]:
    return sorted(directory.iterdir())


def assert_same(one: ImageFeatures, other: ImageFeatures) -> None:
    assert (one.height, one.width, one.maps.keys()) == (other.height, other.width, other.maps.keys())
    assert all(torch.equal(one.maps[name], other.maps[name]) for name in one.maps)


def test_a_hit_does_not_encode_and_says_the_same(tmp_path: Path):
    segmenter = CountingSegmenter()
    cache = FeatureCache(segmenter, tmp_path)
    first = cache.features(picture(0))
    second = cache.features(picture(0))
    fresh_process = FeatureCache(segmenter, tmp_path).features(picture(0))
    assert segmenter.encoded == 1
    assert_same(first, second)
    assert_same(first, fresh_process)
    assert len(files(tmp_path)) == 1
    exact = CountingSegmenter().encode(picture(0))
    assert (first.height, first.width) == (6, 5)
    for name, value in first.maps.items():
        assert value.dtype == torch.float32
        # float16 has 11 bits of mantissa
        torch.testing.assert_close(value, exact.maps[name].float(), rtol=2**-11, atol=0)


def test_the_key_is_pixels_shape_and_fingerprint(tmp_path: Path):
    segmenter = CountingSegmenter("a")
    cache = FeatureCache(segmenter, tmp_path)
    image = picture(0)
    cache.features(image)
    other = image.clone()
    other[0, 0, 0] ^= 1
    cache.features(other)
    cache.features(image.reshape(5, 6, 3))
    assert segmenter.encoded == 3
    changed = CountingSegmenter("b")
    FeatureCache(changed, tmp_path).features(image)
    assert changed.encoded == 1
    assert len(files(tmp_path)) == 4


@pytest.mark.parametrize("damage", ["empty", "half", "flipped", "garbage", "version"])
def test_damaged_files_are_encoded_anew(tmp_path: Path, damage: str):
    segmenter = CountingSegmenter()
    expected = FeatureCache(segmenter, tmp_path).features(picture(0))
    path = files(tmp_path)[0]
    assert path == FeatureCache(segmenter, tmp_path).path(picture(0))
    good = path.read_bytes()
    flipped = bytearray(good)
    flipped[-3] ^= 0x40
    path.write_bytes(
        {
            "empty": b"",
            "half": good[: len(good) - 20],
            "flipped": bytes(flipped),
            "garbage": os.urandom(64),
            "version": good.replace(b"sanerf-features-1", b"sanerf-features-0"),
        }[damage]
    )
    assert_same(FeatureCache(segmenter, tmp_path).features(picture(0)), expected)
    assert segmenter.encoded == 2
    assert path.read_bytes() == good


@pytest.mark.parametrize("failure", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt()])
@pytest.mark.parametrize("call", ["write", "replace"])
def test_a_write_cut_off_leaves_nothing(tmp_path: Path, monkeypatch, failure: BaseException, call: str):
    segmenter = CountingSegmenter()
    cache = FeatureCache(segmenter, tmp_path)

    whole = Path.write_bytes

    def write_half(path: Path, content: bytes):
        whole(path, content[: len(content) // 2])
        raise failure

    def fail(*_):
        raise failure

    with monkeypatch.context() as patch:
        if call == "write":
            patch.setattr(Path, "write_bytes", write_half)
        else:
            patch.setattr(os, "replace", fail)
        with pytest.raises((UserError, KeyboardInterrupt)) as caught:
            cache.features(picture(0))
    assert isinstance(caught.value, UserError) == isinstance(failure, OSError)
    if isinstance(failure, OSError):
        assert str(caught.value).endswith(": the disk is full") and "\n" not in str(caught.value)
    assert files(tmp_path) == []
    cache.features(picture(0))
    assert len(files(tmp_path)) == 1


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs the device /dev/full")
def test_a_really_full_disk_is_a_user_error(tmp_path: Path, monkeypatch):
    cache = FeatureCache(CountingSegmenter(), tmp_path)

    def full_device(path: Path) -> Path:
        temporary = path.with_name(".full.part")
        temporary.symlink_to("/dev/full")
        return temporary

    monkeypatch.setattr("sanerf.files._sibling", full_device)
    with pytest.raises(UserError, match="the disk is full"):
        cache.features(picture(0))
    assert files(tmp_path) == []


def test_a_directory_that_cannot_be_is_a_user_error(tmp_path: Path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot be made"):
        FeatureCache(CountingSegmenter(), tmp_path / "file" / "cache")


def test_what_killed_runs_left_is_taken_away_and_young_files_are_not(tmp_path: Path):
    old, young = tmp_path / ".a.1.part.safetensors", tmp_path / ".b.2.part.safetensors"
    for path in (old, young):
        path.write_text("half")
    os.utime(old, (time.time() - 7200,) * 2)
    FeatureCache(CountingSegmenter(), tmp_path)
    assert files(tmp_path) == [young]


def test_memory_stays_within_its_bound_and_forgets_the_least_recent(tmp_path: Path):
    segmenter = CountingSegmenter()
    cache = FeatureCache(segmenter, tmp_path, memory_bytes=2 * STORED_BYTES)
    for seed in (0, 1, 0, 2):  # 1 is the least recently used when 2 comes
        cache.features(picture(seed))
        assert cache.bytes_in_memory <= 2 * STORED_BYTES
    assert cache.bytes_in_memory == 2 * STORED_BYTES
    for path in files(tmp_path):
        path.unlink()
    cache.features(picture(0))
    cache.features(picture(2))
    assert segmenter.encoded == 3
    cache.features(picture(1))
    assert segmenter.encoded == 4


def test_features_larger_than_the_memory_are_read_from_disk(tmp_path: Path):
    segmenter = CountingSegmenter()
    cache = FeatureCache(segmenter, tmp_path, memory_bytes=STORED_BYTES - 1)
    assert_same(cache.features(picture(0)), cache.features(picture(0)))
    assert segmenter.encoded == 1 and cache.bytes_in_memory == 0


def test_the_answer_is_the_callers_own(tmp_path: Path):
    cache = FeatureCache(CountingSegmenter(), tmp_path)
    first = cache.features(picture(0))
    expected = first.maps["coarse"].clone()
    first.maps["coarse"].zero_()
    assert torch.equal(cache.features(picture(0)).maps["coarse"], expected)


def test_values_beyond_float16_survive(tmp_path: Path):
    segmenter = CountingSegmenter(scale=1e6)
    exact = segmenter.encode(picture(0))
    got = FeatureCache(segmenter, tmp_path).features(picture(0))
    assert torch.equal(got.maps["coarse"], exact.maps["coarse"])


def test_encode_all_goes_on_where_it_stopped(tmp_path: Path):
    segmenter = CountingSegmenter()
    pictures = [picture(seed) for seed in range(5)]
    FeatureCache(segmenter, tmp_path).encode_all(pictures[:2])
    told: list[int] = []
    FeatureCache(segmenter, tmp_path).encode_all((image for image in pictures), told.append)
    assert told == [1, 2, 3, 4, 5]
    assert segmenter.encoded == 5
    assert len(files(tmp_path)) == 5
