"""Soft alpha: known composites of flat colours, the filter against its plain loop, tiles, and odd cases."""

import numpy as np
import pytest

from sanerf.export.cutouts import resize_alpha
from sanerf.export.foreground import foreground_colours
from sanerf.export.matting import enlarged, guided_filter, soft_alpha, tiles

FRONT, BEHIND = np.array([200.0, 60.0, 40.0]), np.array([30.0, 90.0, 180.0])
HEIGHT, WIDTH = 120, 160


def disc(radius: float) -> np.ndarray:
    """The share of each pixel that a disc covers, by 16 x 16 points."""
    y, x = (np.arange(16 * HEIGHT) + 0.5) / 16, (np.arange(16 * WIDTH) + 0.5) / 16
    inside = (y[:, None] - 62.3) ** 2 + (x[None] - 75.1) ** 2 < radius**2
    return inside.reshape(HEIGHT, 16, WIDTH, 16).mean(axis=(1, 3))


def composite(alpha: np.ndarray) -> np.ndarray:
    return np.rint(alpha[..., None] * FRONT + (1 - alpha[..., None]) * BEHIND).astype(np.uint8)


def rendered_margin(radius: float) -> np.ndarray:
    """Of a render four times smaller than the photograph, which sees a disc of that radius."""
    share = disc(radius).reshape(HEIGHT // 4, 4, WIDTH // 4, 4).mean(axis=(1, 3))
    return (2 * share - 1).astype(np.float32)


@pytest.mark.parametrize(("radius", "most"), [(40.0, 0.25), (41.5, 0.08), (38.5, 0.08)])
def test_the_alpha_of_flat_colours_is_recovered(radius, most):
    """alpha = a . colour + b holds exactly there. Cut hard, the render's mask is wrong by its own edge; alpha by less
    than `most` of that, also where the render's edge is 1.5 pixels off."""
    alpha, margin = disc(40.0), rendered_margin(radius)
    found = soft_alpha(composite(alpha), margin) / 255
    hard = resize_alpha(margin, HEIGHT, WIDTH) > 0
    assert np.abs(found - alpha).sum() < most * np.abs(hard - alpha).sum()
    assert (found[disc(28.0) == 1] == 1).all() and (found[disc(52.0) == 0] == 0).all()


def test_a_photograph_of_one_colour_leaves_a_straight_edge_where_it_is():
    margin = np.tile(np.where(np.arange(40) < 20, 1.0, -1.0), (30, 1))
    alpha = soft_alpha(np.full((HEIGHT, WIDTH, 3), 120, dtype=np.uint8), margin)
    np.testing.assert_array_equal(alpha > 127, np.tile(np.arange(WIDTH) < 80, (HEIGHT, 1)))
    np.testing.assert_allclose(alpha.astype(int), 255 - alpha[:, ::-1].astype(int), atol=1)
    assert (alpha[:, :60] == 255).all() and (alpha[:, 100:] == 0).all()


def test_what_holds_no_edge_is_as_the_render_says():
    photo = np.random.default_rng(0).integers(0, 256, (24, 32, 3), dtype=np.uint8)
    assert (soft_alpha(photo, np.full((6, 8), 0.3)) == 255).all()
    assert (soft_alpha(photo, np.full((6, 8), -0.3)) == 0).all()


def test_tiles_change_nothing():
    rng = np.random.default_rng(1)
    photo = np.clip(composite(disc(40.0)) + rng.normal(0, 6, (HEIGHT, WIDTH, 3)), 0, 255).astype(np.uint8)
    alpha = soft_alpha(photo, rendered_margin(41.5))
    for side in (23, 64):
        np.testing.assert_allclose(soft_alpha(photo, rendered_margin(41.5), tile=side).astype(int), alpha, atol=1)


def test_tiles_cover_each_pixel_once_and_see_their_neighbours():
    count = np.zeros((37, 50), dtype=int)
    picture = np.arange(37 * 50).reshape(37, 50)
    for tile in tiles(37, 50, side=16, halo=5):
        count[tile.inner] += 1
        np.testing.assert_array_equal(picture[tile.outer][tile.own], picture[tile.inner])
        for inner, outer, length in zip(tile.inner, tile.outer, (37, 50), strict=True):
            assert outer.start == max(0, inner.start - 5) and outer.stop == min(length, inner.stop + 5)
    assert (count == 1).all()


def test_parts_of_the_enlarged_margin_are_those_of_the_mask():
    """`RenderedObjects.mask` interpolates as `resize_alpha` does."""
    margin = np.random.default_rng(2).uniform(-1, 1, (9, 13))
    whole = resize_alpha(margin, 50, 61)
    np.testing.assert_allclose(enlarged(margin, (slice(7, 31), slice(40, 61)), 50, 61), whole[7:31, 40:], atol=1e-12)


def test_the_guided_filter_is_its_loop_over_windows():
    """Ridge regression in every window by least squares, then the mean of the windows that hold a pixel."""
    rng = np.random.default_rng(3)
    colours, values, radius, ridge = rng.uniform(size=(11, 12, 3)), rng.uniform(size=(11, 12)), 2, 1e-3
    where = np.zeros((11, 12), dtype=bool)
    where[4:7, 4:8] = True
    found = guided_filter(colours, values, where=where, radius=radius, ridge=ridge)
    assert (found[~where] == 0).all()
    for y, x in np.argwhere(where):
        predictions = []
        for cy in range(y - radius, y + radius + 1):
            for cx in range(x - radius, x + radius + 1):
                window = (slice(cy - radius, cy + radius + 1), slice(cx - radius, cx + radius + 1))
                inputs, targets = colours[window].reshape(-1, 3), values[window].reshape(-1)
                rows = np.vstack([inputs - inputs.mean(axis=0), np.sqrt(ridge * len(inputs)) * np.eye(3)])
                slope = np.linalg.lstsq(rows, np.concatenate([targets - targets.mean(), np.zeros(3)]), rcond=None)[0]
                predictions.append(targets.mean() + (colours[y, x] - inputs.mean(axis=0)) @ slope)
        assert found[y, x] == pytest.approx(np.mean(predictions), abs=1e-9)


def test_colours_lose_what_is_behind_them():
    """Of two flat colours and known alpha, the object's colour comes back to a byte wherever it shows."""
    alpha = np.rint(disc(40.0) * 255).astype(np.uint8)
    photo = composite(alpha / 255)
    mixed = (alpha > 0) & (alpha < 255)
    assert np.abs(photo[mixed] - FRONT).mean() > 50
    colours = foreground_colours(photo, alpha, scale=4.0)
    assert np.abs(colours[mixed] - FRONT).max() <= 1
    np.testing.assert_array_equal(colours[~mixed], photo[~mixed])
    np.testing.assert_array_equal(foreground_colours(photo, alpha, scale=4.0, tile=23), colours)


def test_a_shaded_object_keeps_its_shades():
    """Front and back change along the edge: the colour found is that of the object there, not its mean."""
    alpha = np.rint(disc(40.0) * 255).astype(np.uint8)
    front = np.broadcast_to(np.linspace(60, 220, HEIGHT)[:, None, None], (HEIGHT, WIDTH, 3))
    behind = np.broadcast_to(np.linspace(200, 20, WIDTH)[None, :, None], (HEIGHT, WIDTH, 3))
    share = alpha[..., None] / 255
    photo = np.rint(share * front + (1 - share) * behind).astype(np.uint8)
    mixed = (alpha > 25) & (alpha < 255)
    found = foreground_colours(photo, alpha, scale=4.0)
    assert np.abs(found - front)[mixed].mean() < 0.1 * np.abs(photo - front)[mixed].mean()
