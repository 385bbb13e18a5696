"""Whole rendered pictures: shapes, `depth_z` against `distance`, background, heads on the same weights."""

from dataclasses import replace

import torch

from analytic_scene import BIN, BLUE, OPAQUE, camera_at, cast, in_ball, renderer_of, stage_renderer
from sanerf.render import images
from sanerf.render.images import render_image


def wall_renderer():
    return renderer_of(lambda p: OPAQUE * (p[:, 2] > 0.3).float(), lambda p: torch.tensor(BLUE).expand(len(p), 3))


def test_depth_z_of_a_frontal_plane_is_constant_where_distance_is_not():
    camera = camera_at(0.0, 0.0, z=-0.7, size=16)
    image = render_image(wall_renderer(), camera)
    assert (image.depth_z - 1.0).abs().max() < BIN
    # The corner's ray has the slope 7.5 / 16 in x and in y.
    corner = (1 + 2 * (7.5 / 16) ** 2) ** 0.5
    assert abs(float(image.distance[0, 0]) - corner) < corner * BIN
    assert float(image.distance[0, 0] / image.distance[8, 8]) > 1.15


def test_pictures_are_rows_by_columns_in_the_cameras_order():
    wide = replace(camera_at(0.0, 0.0, z=-0.7, size=6), width=8)
    bright_right = renderer_of(
        lambda p: OPAQUE * (p[:, 2] > 0.3).float(), lambda p: (p[:, :1] > 0).float().expand(len(p), 3)
    )
    image = render_image(bright_right, wide)
    assert image.rgb.shape == (6, 8, 3) and image.depth_z.shape == image.accumulation.shape == (6, 8)
    # The optical centre is at x = 3.
    assert bool((image.rgb[:, :3] < 0.01).all()) and bool((image.rgb[:, 3:] > 0.99).all())
    assert image.values is None


def test_what_is_empty_shows_the_background():
    camera = camera_at(0.0, 0.0, size=16)
    ball_alone = renderer_of(lambda p: OPAQUE * in_ball(p).float())
    image = render_image(ball_alone, camera, background=(1.0, 0.5, 0.0))
    empty = ~cast(camera)[1].reshape(16, 16)
    assert bool(empty.any()) and not image.accumulation[empty].any()
    torch.testing.assert_close(image.rgb[empty], torch.tensor([1.0, 0.5, 0.0]).expand(int(empty.sum()), 3))
    torch.testing.assert_close(image.rgb[8, 8], torch.zeros(3), rtol=0, atol=1e-3)
    assert bool((image.distance[empty] == 3.0).all())


def test_a_heads_values_are_composited_on_the_weights():
    camera = camera_at(0.0, 0.0, size=16)
    image = render_image(stage_renderer(), camera, head=lambda p: torch.stack([torch.ones(len(p)), p[:, 2]], dim=1))
    assert image.values is not None
    # Samples of weight up to 1e-3 are left out, 64 a ray at most.
    torch.testing.assert_close(image.values[..., 0], image.accumulation, rtol=0, atol=64e-3)
    z = camera.centre[2].float() + image.depth_z
    hit = image.accumulation > 0.99
    assert (image.values[..., 1] - z)[hit].abs().max() < 2 * BIN


def test_chunks_do_not_show(monkeypatch):
    camera = camera_at(0.0, 0.1, size=9)
    whole = render_image(stage_renderer(), camera, head=lambda p: p)
    monkeypatch.setattr(images, "CHUNK", 10)
    parts = render_image(stage_renderer(), camera, head=lambda p: p)
    for name in ("rgb", "accumulation", "distance", "depth_z", "values"):
        torch.testing.assert_close(getattr(parts, name), getattr(whole, name), rtol=0, atol=1e-6)
