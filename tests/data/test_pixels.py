"""The pixel bank gives each pixel's ray, colour and opacity, whatever view it belongs to."""

import pytest
import torch

from analytic_scene import camera_at
from sanerf.data.pixels import Picture, PixelBank, pixel_bank
from sanerf.geometry.cameras import Camera, image_rays, resized
from sanerf.geometry.lenses import Lens

LENS = Lens("opencv", (0.1, -0.02, 0.001, 0.002))


def cameras() -> list[Camera]:
    """Two views that share intrinsics, one of another size, one with a lens."""
    first = camera_at(0.1, -0.2, size=5, towards=(0.0, 0.1, 0.0))
    lens = Camera(5, 5, 5.0, 5.0, 2.5, 2.5, camera_at(0.4, 0.4).world_from_cam, LENS)
    return [first, camera_at(-0.5, 0.3, size=5), resized(camera_at(0.0, 0.0, size=6), 7, 4), lens]


def bank(with_alpha: bool = True) -> tuple[PixelBank, list[torch.Tensor], list[torch.Tensor]]:
    generator = torch.Generator().manual_seed(0)
    images, alphas = [], []
    for camera in cameras():
        shape = (camera.height, camera.width, 4)
        rgba = torch.randint(256, shape, generator=generator).to(torch.uint8)
        images.append(rgba[..., :3])
        alphas.append(rgba[..., 3])
    pictures = [Picture(rgb, alpha if with_alpha else None) for rgb, alpha in zip(images, alphas, strict=True)]
    return pixel_bank(cameras(), pictures), images, alphas


def test_rays_are_those_of_each_views_camera_in_row_major_order():
    found = bank()[0]
    assert len(found) == 25 + 25 + 28 + 25
    rays = found.rays(torch.arange(len(found)))
    expected = [image_rays(camera) for camera in cameras()]
    for name in ("origins", "directions", "z_per_distance"):
        whole = torch.cat([getattr(part, name) for part in expected])
        torch.testing.assert_close(getattr(rays, name), whole, rtol=0, atol=1e-6)


def test_rays_of_pixels_in_any_order_are_the_same():
    found = bank()[0]
    pixels = torch.tensor([102, 0, 25, 24, 77, 78, 50, 25])
    assert found.view_of(pixels).tolist() == [3, 0, 1, 0, 2, 3, 2, 1]
    some, every = found.rays(pixels), found.rays(torch.arange(len(found)))
    assert torch.equal(some.directions, every.directions[pixels])
    assert torch.equal(some.origins, every.origins[pixels])


def test_directions_are_kept_once_for_equal_intrinsics():
    assert bank()[0].directions_cam.shape[0] == 25 + 28 + 25


def test_colours_and_opacities_are_of_0_to_1():
    found, images, alphas = bank()
    # Row 1, column 2 of the third view, which is 7 pixels wide.
    pixel = torch.tensor([50 + 7 + 2])
    assert (found.colours(pixel)[0] * 255).tolist() == pytest.approx(images[2][1, 2].tolist())
    opacity = found.opacities(pixel)
    assert opacity is not None and float(opacity) == pytest.approx(int(alphas[2][1, 2]) / 255)
    assert bank(with_alpha=False)[0].opacities(pixel) is None


def test_a_bank_moves_with_all_it_has():
    found = bank(with_alpha=False)[0].to(torch.device("cpu"))
    assert found.alpha is None and len(found) == 103


def test_of_too_many_pixels_an_equal_share_of_each_view_is_held():
    """Half of all pixels: each still with its own ray and colour, each view with half of its own."""
    whole, images, _ = bank()
    pictures = [Picture(image) for image in images]
    half = pixel_bank(cameras(), pictures, most=52, seed=1)
    assert half.first_pixel.tolist() == [0, 12, 24, 38, 50]
    every = torch.arange(len(half))
    assert half.place is not None and half.alpha is None
    view = half.view_of(every)
    in_whole = whole.first_pixel[view] + half.place
    assert len(set(in_whole.tolist())) == len(half)
    assert torch.equal(half.colours(every), whole.colours(in_whole))
    for name in ("origins", "directions", "z_per_distance"):
        assert torch.equal(getattr(half.rays(every), name), getattr(whole.rays(in_whole), name))
    assert not torch.equal(half.place, pixel_bank(cameras(), pictures, most=52, seed=2).place)


def test_directions_are_kept_for_each_pixel_where_that_is_less():
    """Four views, three sets of intrinsics of 78 pixels in all: more than the 50 held, less than the 103 of all."""
    _, images, _ = bank()
    half = pixel_bank(cameras(), [Picture(image) for image in images], most=52)
    assert half.first_direction is None and len(half.directions_cam) == len(half) == 50
    assert bank()[0].first_direction is not None


@pytest.mark.parametrize("rows, share", [(16, 1 / 3), (5, 1 / 4)])
def test_at_most_a_third_of_the_rays_meet_nothing(rows, share):
    """Of 20 rows the first ones are transparent: of 16 rows some are drawn in place of, of 5 rows none."""
    alpha = torch.full((20, 20), 255, dtype=torch.uint8)
    alpha[:rows] = 0
    alpha[rows, 0] = 1
    rgb = torch.zeros(20, 20, 3, dtype=torch.uint8)
    found = pixel_bank([camera_at(0.0, 0.0, size=20)], [Picture(rgb, alpha)]).to(torch.device("cpu"))
    drawn = found.draw(100_000, torch.Generator().manual_seed(0))
    counts = torch.bincount(drawn, minlength=400).reshape(20, 20) / 100_000
    if rows == 16:
        # Those that were drawn nine times in vain are transparent all the same.
        share += (1 - share / 0.8) * 0.8**9
    assert float(counts[:rows].sum()) == pytest.approx(share, abs=0.006)
    # All others share alike, the nearly transparent one as well.
    others = (20 - rows) * 20
    assert float(counts[rows, 0]) == pytest.approx((1 - share) / others, rel=0.15)
    assert float(counts[-2:].sum()) == pytest.approx((1 - share) * 40 / others, abs=0.006)
