"""The report is one well-formed page that needs nothing from elsewhere, and its pictures say what the arrays say."""

import base64
import io
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from sanerf.evaluation.report import (
    Figure,
    KeyFigure,
    ProducedFile,
    Report,
    Section,
    Table,
    animation_data_uri,
    image_data_uri,
    render_html,
)
from sanerf.render.pictures import (
    OKABE_ITO,
    colour_depth,
    draw_clicks,
    overlay_errors,
    overlay_mask,
    perceptual_colours,
)

VOID = {"meta", "img", "br", "hr", "link", "input"}


class Page(HTMLParser):
    """Collects what is on the page; every tag must be closed in order."""

    def __init__(self, html: str):
        super().__init__()
        self.open: list[str] = []
        self.attributes: list[tuple[str, str, str | None]] = []
        self.text: list[str] = []
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.attributes += [(tag, name, value) for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] not in ("style", "script"):
            self.text.append(data.strip())


@pytest.fixture
def photo() -> np.ndarray:
    return np.random.default_rng(0).integers(60, 200, (60, 80, 3), dtype=np.uint8)


@pytest.fixture
def disc() -> np.ndarray:
    y, x = np.mgrid[:60, :80]
    return (x - 40) ** 2 + (y - 30) ** 2 < 20**2


def decode(uri: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(uri.split(",", 1)[1])))


def sample(photo: np.ndarray) -> Report:
    figure = Figure(image_data_uri(photo), "a <caption> & more", alt='say "ball"')
    table = Table(("Object", "IoU"), (("<b>cape</b>", "93 %"),), "pooled", ("mean", "93 %"))
    return Report(
        title="Cape & <table>",
        intro="First.\n\nSecond.",
        key_figures=(KeyFigure("PSNR", "27.1 dB", "14 views"), KeyFigure("Mean IoU", "93 %")),
        sections=(Section("Views", "Text.", (table,), (figure, figure), columns=2), Section("Empty")),
        files=(ProducedFile("cape/mesh 1.glb", "mesh"),),
        footer="seed 0",
    )


def test_page_is_well_formed_and_shows_every_text(photo):
    page = Page(render_html(sample(photo)))
    for text in (
        "Cape & <table>",
        "First.",
        "Second.",
        "27.1 dB",
        "14 views",
        "Views",
        "<b>cape</b>",
        "mean",
        "pooled",
    ):
        assert text in page.text, text
    assert page.text.count("a <caption> & more") == 2 and "seed 0" in page.text
    assert ("img", "alt", 'say "ball"') in page.attributes


def test_page_needs_nothing_from_elsewhere(photo):
    html = render_html(sample(photo))
    assert not re.search(r"(?:https?:)?//[a-z]", re.sub(r"data:image/[a-z]+;base64,[A-Za-z0-9+/=]+", "", html))
    assert "@import" not in html and "url(" not in html
    page = Page(html)
    for tag, name, value in page.attributes:
        assert tag not in ("link", "iframe", "object")
        if name in ("src", "srcset", "poster"):
            assert value is not None and value.startswith("data:image/")
        if name == "href":
            assert value == "cape/mesh%201.glb"


def test_a_picture_from_elsewhere_or_a_ragged_table_is_refused():
    with pytest.raises(AssertionError, match="https"):
        render_html(Report("t", sections=(Section("s", figures=(Figure("https://example.org/a.png"),)),)))
    with pytest.raises(AssertionError):
        render_html(Report("t", sections=(Section("s", tables=(Table(("a", "b"), (("1",),)),)),)))
    with pytest.raises(AssertionError, match="javascript"):
        render_html(Report("t", files=(ProducedFile("javascript:alert(1)"),)))


def test_pictures_decode_to_what_they_were(photo):
    np.testing.assert_array_equal(np.asarray(decode(image_data_uri(photo, "png"))), photo)
    smooth = np.tile(np.linspace(0, 255, 80).astype(np.uint8)[None, :, None], (60, 1, 3))
    for encoding in ("jpeg", "webp"):
        found = np.asarray(decode(image_data_uri(smooth, encoding)).convert("RGB")).astype(int)
        assert np.abs(found - smooth).max() < 12
    rgba = np.dstack([photo, np.full((60, 80), 7, dtype=np.uint8)])
    assert np.asarray(decode(image_data_uri(rgba, "webp")))[..., 3].max() == 7
    assert decode(image_data_uri(photo, longest_side=40)).size == (40, 30)
    assert decode(image_data_uri(photo, longest_side=400)).size == (80, 60)


def test_animation_has_its_frames_in_order():
    frames = [np.full((24, 32, 3), level, dtype=np.uint8) for level in (0, 120, 250)]
    found = decode(animation_data_uri(frames, frames_per_second=10.0))
    assert found.format == "WEBP" and found.n_frames == 3 and found.info["loop"] == 0
    for index, frame in enumerate(frames):
        found.seek(index)
        found.load()
        assert abs(np.asarray(found.convert("RGB")).astype(int) - frame).max() <= 3
        assert found.info["duration"] == 100


def test_overlay_fills_the_mask_draws_its_contour_and_leaves_the_rest(photo, disc):
    out = overlay_mask(photo, disc, colour=OKABE_ITO["blue"], fill=0.5)
    y, x = np.mgrid[:60, :80]
    radius = np.hypot(x - 40, y - 30)
    inside, outside, rim = radius < 15, radius > 23, disc & (radius > 19.1)
    np.testing.assert_allclose(out[inside], (photo[inside] + np.array(OKABE_ITO["blue"])) / 2, atol=0.51)
    np.testing.assert_array_equal(out[outside], photo[outside])
    assert (out[rim] == OKABE_ITO["blue"]).all()
    plain = overlay_mask(photo, disc, contour=False)
    np.testing.assert_array_equal(plain[~disc], photo[~disc])


def test_an_object_that_fills_the_picture_has_no_outline_and_none_changes_nothing(photo):
    full = np.ones((60, 80), dtype=bool)
    np.testing.assert_array_equal(overlay_mask(photo, full, fill=0.0), photo)
    np.testing.assert_array_equal(overlay_mask(photo, ~full), photo)


def test_errors_are_told_apart(disc):
    grey = np.full((60, 80, 3), 100, dtype=np.uint8)
    out = overlay_errors(grey, disc, np.roll(disc, 10, axis=1)).astype(int)
    missing, excess, right, rest = out[30, 68], out[30, 22], out[30, 42], out[0, 0]
    assert missing[0] > 200 and missing[1] > 200 and missing[2] < 90
    assert excess[0] > 180 and excess[1] < 120 and excess[2] < 60
    assert right[2] > right[0] and rest.tolist() == [120, 120, 120]


def test_clicks_are_centred_and_signed(photo):
    grey = np.full((200, 300, 3), 100, dtype=np.uint8)
    out = draw_clicks(grey, np.array([[60.0, 50.0], [200.0, 120.0]]), np.array([1, 0])).astype(int)
    for (x, y), upright in (((60, 50), True), ((200, 120), False)):
        assert (out[y, x] > 240).all(), "the sign is white"
        changed = np.argwhere((out[y - 20 : y + 20, x - 20 : x + 20] != 100).any(axis=2))
        np.testing.assert_allclose(changed.mean(axis=0) + 0.5, 20, atol=0.51)
        assert bool((out[y - 2, x] > 200).all()) is upright, "a plus has an upright bar, a minus none"
    assert out[50 - 2, 60 - 2].argmax() == 1 and out[120 - 3, 200].argmax() == 0
    assert grey.max() == 100, "the photo itself is left alone"
    draw_clicks(photo, np.array([[-3.0, 500.0], [80.0, 60.0]]), np.array([1, 1]))
    np.testing.assert_array_equal(draw_clicks(photo, np.zeros((0, 2)), np.zeros(0, dtype=np.int64)), photo)


def test_depth_colours_are_even_in_lightness():
    """The lightness of CIELAB, independent of the space the colours were made in, rises steadily."""
    srgb = perceptual_colours() / 255
    linear = np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)
    luminance = linear @ [0.2126, 0.7152, 0.0722]
    lightness = np.where(luminance > 0.008856, 116 * np.cbrt(luminance) - 16, 903.3 * luminance)
    assert lightness[0] < 15 and lightness[-1] > 85
    steps = np.diff(lightness[::5])
    assert steps.min() > 0.6 * steps.mean() and steps.max() < 1.6 * steps.mean()


def test_near_is_bright_far_is_dark_and_nothing_is_grey():
    depth = np.linspace(1, 5, 80)[None].repeat(60, 0)
    depth[0, 0] = np.inf
    out = colour_depth(depth, near=1.0, far=5.0)
    table = perceptual_colours()
    np.testing.assert_array_equal(out[5, 0], table[255])
    np.testing.assert_array_equal(out[5, -1], table[0])
    assert out[0, 0].tolist() == [128, 128, 128]
    assert (colour_depth(np.full((2, 2), np.nan)) == 128).all()
    assert (colour_depth(np.full((2, 2), 3.0)) == table[255]).all()
