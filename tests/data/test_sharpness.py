"""Sharpness in closed form, by blurring, under masks and next to neighbours."""

import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from PIL import Image
from scene_writer import write_transforms
from scipy.ndimage import gaussian_filter

from analytic_scene import camera_at
from sanerf.data.check import check_scene
from sanerf.data.load import load_scene
from sanerf.data.pixels import Picture, load_bank, pixel_bank
from sanerf.data.sharpness import BLUR_SHARE, common_side, relative_sharpness, sharpness

CHECKERBOARD = np.repeat((np.indices((64, 64)).sum(axis=0) % 2 * 255).astype(np.uint8)[..., None], 3, axis=2)


def noise(seed: int, blur: float, height: int = 96, width: int = 128) -> np.ndarray:
    values = np.random.default_rng(seed).uniform(0, 255, (height, width))
    blurred = gaussian_filter(values, blur) if blur else values
    return np.repeat(blurred.round().astype(np.uint8)[..., None], 3, axis=2)


def test_sharpness_of_a_checkerboard_of_single_pixels_and_of_an_even_picture():
    """The Laplacian of a checkerboard of 0 and 255 is 4 times 255 up and down, 8 times its mean: 8^2."""
    assert sharpness(CHECKERBOARD) == pytest.approx(64)
    assert sharpness(np.full((64, 64, 3), 77, np.uint8)) == 0
    assert sharpness(np.zeros((1, 1, 3), np.uint8)) == 0


def test_sharpness_falls_with_blur_and_not_with_a_shorter_exposure():
    values = [sharpness(noise(0, blur)) for blur in (0, 0.5, 1, 2)]
    assert all(high > 2 * low for high, low in pairwise(values))
    dark = (noise(0, 1).astype(float) * 0.4).round().astype(np.uint8)
    assert sharpness(dark) == pytest.approx(values[2], rel=0.05)


def test_large_pictures_are_measured_at_a_common_size():
    """Averages over blocks of a picture are what its smaller picture holds."""
    small = noise(1, 0.7, 32, 48)
    large = small.repeat(3, axis=0).repeat(3, axis=1)
    assert sharpness(large, side=48) == pytest.approx(sharpness(small), rel=1e-6)
    assert sharpness(large) < sharpness(small) / 2
    assert common_side([camera_at(0, 0, size=900), camera_at(0, 0, size=800)]) == 640
    assert common_side([camera_at(0, 0, size=900), camera_at(0, 0, size=80)]) == 80


def test_what_a_mask_excludes_has_no_part_in_sharpness():
    kept = np.zeros((96, 128), dtype=bool)
    kept[:60, 30:] = True
    one, other = noise(2, 1.0), noise(2, 1.0)
    other[~kept] = CHECKERBOARD[0, 1]
    assert sharpness(one, kept) == sharpness(other, kept) != sharpness(other)
    assert math.isnan(sharpness(one, np.zeros((96, 128), dtype=bool)))


def test_a_view_is_compared_with_those_that_see_the_same():
    """Twelve cameras look at texture, twelve others at a smooth wall; one of each is blurred to a tenth."""
    rng = np.random.default_rng(3)
    texture = [camera_at(*rng.uniform(-0.2, 0.2, 2), towards=(0.0, 0.0, 1.0)) for _ in range(12)]
    wall = [camera_at(*rng.uniform(-0.2, 0.2, 2), towards=(1.0, 0.0, -1.2)) for _ in range(12)]
    values = [1.0] * 12 + [0.1] * 12
    values[4], values[15] = 0.1, 0.01
    expected = np.ones(24)
    expected[[4, 15]] = 0.1
    np.testing.assert_allclose(relative_sharpness([*texture, *wall], values), expected)


def test_few_views_and_views_that_show_nothing_are_as_sharp_as_others():
    cameras = [camera_at(0.1 * i, 0.0) for i in range(6)]
    assert relative_sharpness(cameras[:3], [1.0, 0.01, 1.0]).tolist() == [1, 1, 1]
    assert relative_sharpness(cameras, [1.0, math.nan, 1.0, 0.5, 1.0, math.nan]).tolist() == [1, 1, 1, 0.5, 1, 1]
    assert relative_sharpness(cameras, [0.0] * 6).tolist() == [1] * 6


def test_the_bank_knows_which_view_is_blurred_whatever_is_transparent_or_masked():
    cameras = [camera_at(0.05 * i, 0.0, size=32) for i in range(6)]
    left = torch.zeros(32, 32, dtype=torch.bool)
    left[:, :16] = True
    for seen in ("mask", "alpha"):
        pictures = []
        for i in range(6):
            rgb = torch.from_numpy(noise(i, 2.0 if i == 2 else 0.5, 32, 32))
            rgb[:, 16:] = 255 * (i == 2) * torch.from_numpy(CHECKERBOARD[:32, :16] // 255)
            alpha = left.to(torch.uint8) * 255 if seen == "alpha" else None
            pictures.append(Picture(rgb, alpha, left if seen == "mask" else None))
        found = pixel_bank(cameras, pictures).sharpness
        assert found[2] < 0.2 and found[[0, 1, 3, 4, 5]].min() > 0.5, seen


def test_a_blurred_photograph_is_named_by_doctor_and_known_to_the_bank(tmp_path):
    write_transforms(tmp_path, count=20)
    for i in range(20):
        Image.fromarray(noise(i, 2.0 if i == 7 else 0.5, 6, 8)).save(tmp_path / "images" / f"{i:03d}.png")
    problems = [problem for problem in check_scene(tmp_path).problems if "blurry" in problem]
    assert problems == [
        "1 pictures look blurry next to the others: 007.png. `train --blurred 0.1` lets them count less."
    ]
    scene = load_scene(tmp_path, holdout="none")
    assert int(load_bank(scene, scene.train, 1, seed=0).sharpness.argmin()) == 7


def test_doctor_judges_blur_by_what_training_learns_from_and_held_out_views_apart(tmp_path):
    """The edges of what is cut out, over white, would make view 7 look sharp enough (0.45 of the median)."""
    write_transforms(tmp_path, count=20)
    left = np.zeros((6, 8, 1), np.uint8)
    left[:, :5] = 255
    for i in range(20):
        rgb = noise(i, 0.7 if i == 7 else 2.0 if i == 8 else 0.5, 6, 8)
        Image.fromarray(np.concatenate([rgb, left], axis=2)).save(tmp_path / "images" / f"{i:03d}.png")
    scene = load_scene(tmp_path)
    assert scene.has_alpha and 7 in scene.train and 8 in scene.test
    bank = load_bank(scene, scene.train, 1, seed=0)
    believed_less = [scene.views[i].name for i, of in zip(scene.train, bank.sharpness, strict=True) if of < BLUR_SHARE]
    assert believed_less == ["007.png"]
    assert [problem for problem in check_scene(tmp_path).problems if "blurry" in problem] == [
        "1 pictures look blurry next to the others: 007.png. `train --blurred 0.1` lets them count less.",
        "1 held-out pictures look blurry next to the others: 008.png. Scores on them say less.",
    ]
