"""Small things of many shapes and colours, drawn by a seed: vase, carton, stacking rings, toy car, dumbbell.

Each function returns the object's parts, standing on z = 0 about the z axis, about 0.2 m across. Colours linear RGB.
"""

from __future__ import annotations

import colorsys
import math

import numpy as np

from blender_parts import materials, shapes
from blender_parts.furniture import Colour, Parts, put, shaded


def _colours(rng: np.random.Generator, count: int) -> list[Colour]:
    """Saturated colours with hues far apart."""
    start = rng.random()
    hues = [(start + k / count + rng.uniform(-0.05, 0.05)) % 1.0 for k in range(count)]
    return [colorsys.hsv_to_rgb(hue, rng.uniform(0.55, 0.9), rng.uniform(0.18, 0.6)) for hue in hues]


def vase(name: str, seed: int) -> Parts:
    """A turned vase with bands or blotches of three colours."""
    rng = np.random.default_rng(seed)
    height = float(rng.uniform(0.16, 0.3))
    knots = rng.uniform(0.035, 0.1, 4)
    outline = [(0.0, 0.0), (float(knots[0]) * 0.8, 0.0)]
    outline += [(float(r), height * (k + 0.5) / 4) for k, r in enumerate(knots)]
    rim = float(rng.uniform(0.03, 0.06))
    outline += [(rim, height), (rim - 0.006, height), (0.6 * rim, height - 0.05), (0.0, height - 0.06)]
    first, second, third = _colours(rng, 3)
    if rng.random() < 0.5:
        edges = np.sort(rng.uniform(0.1, 0.9, 5))
        stops = [(0.0, first)] + [(float(e), (second, third, first)[k % 3]) for k, e in enumerate(edges)]
        glaze = materials.banded(f"{name} glaze", stops, "Z", (0.0, height), 0.45)
    else:
        stops = [(0.0, first), (0.45, second), (0.58, third)]
        glaze = materials.blotched(f"{name} glaze", stops, float(rng.uniform(18, 40)), 0.45, crisp=True)
    return [put(shapes.lathe(f"{name} body", shapes.catmull_rom(outline, 5)), glaze)]


def carton(name: str, seed: int) -> Parts:
    """A carton with a printed body and a lid of another colour."""
    rng = np.random.default_rng(seed)
    wide, deep, high = (float(v) for v in rng.uniform((0.12, 0.1, 0.06), (0.24, 0.18, 0.2)))
    first, second, third = _colours(rng, 3)
    if rng.random() < 0.5:
        print_ = materials.blotched(f"{name} print", [(0.0, first), (0.5, second)], 26.0, 0.7, crisp=True)
    else:
        stripes = [(k / 6, first if k % 2 else second) for k in range(6)]
        print_ = materials.banded(f"{name} print", stripes, "X", (-0.5 * wide, 0.5 * wide), 0.7)
    lid = materials.gingham(f"{name} lid paper", shaded(third, 1.8), third, 0.02)
    body = put(shapes.box(f"{name} body", (wide, deep, high), 0.004), print_)
    return [body, put(shapes.box(f"{name} lid", (wide + 0.012, deep + 0.012, 0.03), 0.004), lid, (0.0, 0.0, high))]


def stacking_rings(name: str, seed: int) -> Parts:
    """A child's pyramid: five rings of falling size on a rod with a ball on top."""
    rng = np.random.default_rng(seed)
    parts, height = [], 0.0
    for k, colour in enumerate(_colours(rng, 5)):
        minor = 0.026 - 0.002 * k
        ring = shapes.torus(f"{name} ring {k}", 0.075 - 0.011 * k, minor)
        parts.append(put(ring, materials.painted(f"{name} paint {k}", colour, 0.4, 0.3), (0.0, 0.0, height + minor)))
        height += 1.75 * minor
    red = materials.blotched(f"{name} knob paint", [(0.0, _colours(rng, 1)[0]), (0.5, (0.7, 0.6, 0.4))], 60.0)
    knob = shapes.ellipsoid(f"{name} knob", (0.026, 0.026, 0.026))
    return [*parts, put(knob, red, (0.0, 0.0, height + 0.02))]


def car(name: str, seed: int) -> Parts:
    """A toy car with four wheels and a cabin, its nose towards +x."""
    rng = np.random.default_rng(seed)
    paint, roof, hub = _colours(rng, 3)
    stripes = [(0.0, paint), (0.42, (0.72, 0.68, 0.6)), (0.5, roof), (0.58, paint)]
    body = materials.banded(f"{name} paint", stripes, "Y", (-0.05, 0.05), 0.35)
    glass = materials.painted(f"{name} panes", (0.06, 0.09, 0.12), 0.3)
    tyre = materials.painted(f"{name} tyre", (0.03, 0.03, 0.03), 0.8, 0.4)
    parts = [
        put(shapes.box(f"{name} body", (0.22, 0.1, 0.045), 0.014), body, (0.0, 0.0, 0.025)),
        put(shapes.box(f"{name} cabin", (0.11, 0.086, 0.04), 0.012), glass, (-0.015, 0.0, 0.068)),
        put(shapes.box(f"{name} roof", (0.09, 0.084, 0.012), 0.005), body, (-0.015, 0.0, 0.106)),
    ]
    for x in (-0.065, 0.07):
        for side in (-1.0, 1.0):
            spot, turn = (x, side * 0.05, 0.028), (0.5 * math.pi, 0.0, 0.0)
            parts.append(put(shapes.torus(f"{name} tyre {x:+.3f} {side:+.0f}", 0.019, 0.011), tyre, spot, turn))
            cap = shapes.ellipsoid(f"{name} hub {x:+.3f} {side:+.0f}", (0.014, 0.014, 0.007))
            parts.append(put(cap, materials.painted(f"{name} hub paint", hub, 0.4), spot, turn))
    return parts


def dumbbell(name: str, seed: int) -> Parts:
    """Two banded discs on a bar, lying along x."""
    rng = np.random.default_rng(seed)
    first, second = _colours(rng, 2)
    radius = float(rng.uniform(0.045, 0.07))
    bands = materials.segmented(f"{name} discs", [first, shaded(first, 1.8), second], 2)
    bar = materials.painted(f"{name} bar", (0.16, 0.16, 0.17), 0.5, 0.4)
    rod = shapes.tube(f"{name} rod", [(-0.1, 0.0, radius), (0.1, 0.0, radius)], 0.014)
    outline = [(0.0, -0.02), (0.9 * radius, -0.02), (radius, -0.01), (radius, 0.01), (0.9 * radius, 0.02), (0.0, 0.02)]
    discs = [shapes.lathe(f"{name} disc {side:+.0f}", outline) for side in (-1.0, 1.0)]
    ends = [
        put(d, bands, (s * 0.08, 0.0, radius), (0.0, 0.5 * math.pi, 0.0)) for d, s in zip(discs, (-1, 1), strict=True)
    ]
    return [put(rod, bar), *ends]
