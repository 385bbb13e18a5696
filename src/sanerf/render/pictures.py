"""Colours as bytes, and pictures that explain a result: masks over photographs, clicks, errors, depth.

Pictures are uint8 sRGB arrays, in and out; `to_bytes` makes them of computed colours.

Colours are those of Okabe and Ito (2008), which people with any common colour blindness tell apart; no meaning hangs on
colour alone (masks have contours, clicks a plus or a minus).
"""

from functools import lru_cache

import numpy as np
from PIL import Image, ImageDraw
from scipy.ndimage import binary_dilation, binary_erosion
from torch import Tensor

from sanerf.shapes import Bool, Float, Int, UInt8

Colour = tuple[int, int, int]

OKABE_ITO: dict[str, Colour] = {
    "orange": (230, 159, 0),
    "sky": (86, 180, 233),
    "green": (0, 158, 115),
    "yellow": (240, 228, 66),
    "blue": (0, 114, 178),
    "vermilion": (213, 94, 0),
    "purple": (204, 121, 167),
}
_GLOW: tuple[Colour, ...] = ((60, 10, 90), (130, 35, 130), (215, 70, 90), (250, 150, 50), (255, 250, 190))
_SHARP = 4
"""Markers are drawn so many times larger and shrunk, for smooth edges."""


def to_bytes(values: Float[Tensor, "*axes"] | Float[np.ndarray, "*axes"]) -> UInt8[np.ndarray, "*axes"]:
    """sRGB colours or opacities of 0 to 1 as the nearest bytes; what lies outside counts as 0 or 1."""
    array = values.detach().cpu().numpy() if isinstance(values, Tensor) else values
    return np.rint(np.clip(array, 0, 1) * 255).astype(np.uint8)


def overlay_mask(
    photo: UInt8[np.ndarray, "h w 3"],
    mask: Bool[np.ndarray, "h w"],
    *,
    colour: Colour = OKABE_ITO["sky"],
    fill: float = 0.35,
    contour: bool = True,
) -> UInt8[np.ndarray, "h w 3"]:
    """The photo with the mask filled to the share `fill` of `colour` and, if asked, a solid contour just inside it.

    A dark line just outside the contour keeps it visible on ground of its own colour.
    """
    out = photo.astype(np.float32)
    out[mask] += fill * (np.array(colour, dtype=np.float32) - out[mask])
    if contour:
        line = max(2, round(_diagonal(photo) / 350))
        # border_value 1: where the object runs off the picture there is no outline.
        out[mask & ~np.asarray(binary_erosion(mask, iterations=line, border_value=1), dtype=bool)] = colour
        out[np.asarray(binary_dilation(mask, iterations=max(1, line // 2)), dtype=bool) & ~mask] *= 0.35
    return np.rint(out).astype(np.uint8)


def overlay_errors(
    photo: UInt8[np.ndarray, "h w 3"], predicted: Bool[np.ndarray, "h w"], truth: Bool[np.ndarray, "h w"]
) -> UInt8[np.ndarray, "h w 3"]:
    """A greyed photo with what was rightly found in sky blue, what is missing in yellow, the excess in vermilion."""
    grey = photo.astype(np.float32) @ np.array([0.299, 0.587, 0.114], dtype=np.float32)
    out = np.repeat((0.7 * grey + 50)[..., None], 3, axis=2)
    for where, name, fill in (
        (predicted & truth, "sky", 0.45),
        (~predicted & truth, "yellow", 0.95),
        (predicted & ~truth, "vermilion", 0.95),
    ):
        out[where] += fill * (np.array(OKABE_ITO[name], dtype=np.float32) - out[where])
    return np.rint(np.clip(out, 0, 255)).astype(np.uint8)


def overlay_heat(
    photo: UInt8[np.ndarray, "h w 3"], values: Float[np.ndarray, "h w"], *, most: float = 0.5
) -> UInt8[np.ndarray, "h w 3"]:
    """A darkened grey photo that glows where `values` are high: from violet at a little by orange to pale yellow at
    `most` and beyond. Lightness rises with the value, so that it reads without colour, too."""
    grey = photo.astype(np.float32) @ np.array([0.299, 0.587, 0.114], dtype=np.float32)
    share = np.clip(values / most, 0, 1)[..., None]
    stops, colours = np.array([0, 0.25, 0.5, 0.75, 1.0]), np.array(_GLOW, dtype=np.float32)
    glow = np.concatenate([np.interp(share, stops, colours[:, channel]) for channel in range(3)], axis=-1)
    # Full colour from a quarter of the scale on: below that the photo shows through.
    cover = np.clip(4 * share, 0, 1)
    return np.rint((1 - cover) * 0.55 * grey[..., None] + cover * glow).astype(np.uint8)


def draw_clicks(
    photo: UInt8[np.ndarray, "h w 3"], xy: Float[np.ndarray, "clicks 2"], labels: Int[np.ndarray, "clicks"]
) -> UInt8[np.ndarray, "h w 3"]:
    """The photo with a green plus for each click of label 1 and a red minus for each of label 0, edged in white.

    `xy` are pixels (x, y), the centre of pixel (0, 0) at (0.5, 0.5). Clicks beyond the picture show as far as they
    reach into it.
    """
    picture = Image.fromarray(photo)
    radius = max(5, round(_diagonal(photo) / 70))
    for (x, y), label in zip(xy.tolist(), labels.tolist(), strict=True):
        marker = _click_marker(radius, label == 1)
        picture.paste(marker, (round(x) - marker.width // 2, round(y) - marker.height // 2), marker)
    return np.asarray(picture)


def colour_depth(
    values: Float[np.ndarray, "h w"], *, near: float | None = None, far: float | None = None
) -> UInt8[np.ndarray, "h w 3"]:
    """`depth_z` or distance as colour, near bright and far dark; not finite values grey.

    `near` and `far` are the ends of the scale, by default the 2nd percentile of the finite values and the 98th or
    three times the lower quartile, whichever is nearer: an endless background would take the whole scale.
    """
    finite = np.isfinite(values)
    if not finite.any():
        return np.full((*values.shape, 3), 128, dtype=np.uint8)
    low = float(np.percentile(values[finite], 2)) if near is None else near
    high = far if far is not None else min(np.percentile(values[finite], 98), 3 * np.percentile(values[finite], 25))
    share = np.clip((np.where(finite, values, low) - low) / max(high - low, 1e-12), 0, 1)
    out = perceptual_colours()[np.rint((1 - share) * 255).astype(np.intp)]
    out[~finite] = 128
    return out


@lru_cache(maxsize=1)
def perceptual_colours() -> UInt8[np.ndarray, "256 3"]:
    """256 colours from dark blue by green to pale yellow, evenly spaced in lightness.

    Made in OKLCh (Ottosson 2020): lightness from 0.22 to 0.92 in equal steps, hue from 295 to 100 degrees by way of
    green, and a chroma that just stays within sRGB (clipping would break the even steps).
    """
    t = np.linspace(0, 1, 256)
    lightness, hue = 0.22 + 0.70 * t, np.deg2rad(295 - 195 * t)
    chroma = 0.083 + 0.08 * t**3
    a, b = chroma * np.cos(hue), chroma * np.sin(hue)
    cone = np.stack(
        [
            lightness + 0.3963377774 * a + 0.2158037573 * b,
            lightness - 0.1055613458 * a - 0.0638541728 * b,
            lightness - 0.0894841775 * a - 1.2914855480 * b,
        ],
        axis=1,
    )
    linear_from_cone = np.array(
        [
            [4.0767416621, -3.3077115913, 0.2309699292],
            [-1.2684380046, 2.6097574011, -0.3413193965],
            [-0.0041960863, -0.7034186147, 1.7076147010],
        ]
    )
    linear = np.clip(cone**3 @ linear_from_cone.T, 0, 1)
    srgb = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    return to_bytes(srgb)


def _diagonal(photo: UInt8[np.ndarray, "h w 3"]) -> float:
    return float(np.hypot(*photo.shape[:2]))


def _click_marker(radius: int, positive: bool) -> Image.Image:
    """A disc with a white edge and a white plus or minus."""
    centre, edge = (radius + 1) * _SHARP, max(1.5, radius / 4)
    marker = Image.new("RGBA", (2 * centre, 2 * centre), (255, 255, 255, 0))
    draw = ImageDraw.Draw(marker)

    def disc(r: float, colour: tuple[int, ...]) -> None:
        draw.ellipse([centre - r * _SHARP, centre - r * _SHARP, centre + r * _SHARP, centre + r * _SHARP], fill=colour)

    def bar(half_width: float, half_height: float) -> None:
        w, h = half_width * _SHARP, half_height * _SHARP
        draw.rectangle([centre - w, centre - h, centre + w, centre + h], fill=(255, 255, 255, 255))

    disc(radius + 0.75, (0, 0, 0, 110))
    disc(float(radius), (255, 255, 255, 255))
    disc(radius - edge, (*OKABE_ITO["green" if positive else "vermilion"], 255))
    # At least two whole pixels thick, so that the sign stays white in small pictures.
    thin, long = max(1.0, 0.13 * radius), max(2.5, 0.45 * radius)
    bar(long, thin)
    if positive:
        bar(thin, long)
    return marker.resize((marker.width // _SHARP, marker.height // _SHARP), Image.Resampling.LANCZOS)
