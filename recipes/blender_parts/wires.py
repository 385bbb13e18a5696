"""Thin and see-through things at their true size: bicycle, wire basket, bird cage, ladder, glass vase, stool.

Each function returns the object's parts, standing on z = 0 about the z axis. Wires are 4 to 15 mm thick: two to eight
pixels wide 2.5 m from a camera of 400 pixels and 55 degrees. Colours linear RGB.
"""

from __future__ import annotations

import math

import bpy
import numpy as np

from blender_parts import materials, shapes
from blender_parts.furniture import Colour, Parts, put, shaded

UPRIGHT = (0.5 * math.pi, 0.0, 0.0)


def _circle(radius: float, turn: float) -> tuple[float, float]:
    return radius * math.cos(turn), radius * math.sin(turn)


def _wheel(
    name: str, radius: float, spokes: int, rubber: bpy.types.Material, steel: bpy.types.Material, x: float
) -> Parts:
    """A wheel in the x, z plane whose hub is at `x`, one radius high."""
    parts = [put(shapes.torus(f"{name} tyre", radius - 0.018, 0.018), rubber, (x, 0.0, radius), UPRIGHT)]
    parts.append(put(shapes.torus(f"{name} rim", radius - 0.042, 0.009), steel, (x, 0.0, radius), UPRIGHT))
    for k in range(spokes):
        across, up = _circle(radius - 0.04, 2.0 * math.pi * k / spokes)
        path = [(x, 0.012 * (-1) ** k, radius), (x + across, 0.0, radius + up)]
        parts.append(put(shapes.tube(f"{name} spoke {k}", path, 0.0032), steel))
    hub = shapes.ellipsoid(f"{name} hub", (0.028, 0.04, 0.028))
    return [*parts, put(hub, steel, (x, 0.0, radius))]


def bicycle(name: str, paint: Colour) -> Parts:
    """A bicycle standing upright along x, its handlebar towards +x: frame, two spoked wheels, saddle, pedals."""
    rubber = materials.painted(f"{name} rubber", (0.035, 0.033, 0.03), 0.85, 0.4)
    steel = materials.painted(f"{name} steel", (0.42, 0.42, 0.44), 0.4, 0.2)
    colour = materials.blotched(f"{name} paint", [(0.35, shaded(paint, 0.6)), (0.6, paint)], 20.0, 0.4)
    leather = materials.blotched(f"{name} leather", [(0.4, (0.14, 0.06, 0.03)), (0.6, (0.3, 0.15, 0.07))], 30.0, 0.7)
    parts = _wheel(f"{name} rear", 0.33, 14, rubber, steel, -0.5) + _wheel(
        f"{name} front", 0.33, 14, rubber, steel, 0.5
    )
    axle, crank, seat = (-0.5, 0.0, 0.33), (-0.08, 0.0, 0.29), (-0.2, 0.0, 0.78)
    head, fork, stem = (0.34, 0.0, 0.76), (0.37, 0.0, 0.64), (0.32, 0.0, 0.9)
    for k, (start, end, radius) in enumerate(
        (
            (seat, crank, 0.017), (seat, head, 0.016), (fork, crank, 0.018), (stem, fork, 0.017),
            (axle, crank, 0.011), (axle, seat, 0.01), (fork, (0.5, 0.0, 0.33), 0.013), (seat, (-0.23, 0.0, 0.9), 0.012),
        )
    ):  # fmt: skip
        parts.append(put(shapes.tube(f"{name} bar {k}", [start, end], radius), colour))
    bar = [(0.2, -0.26, 0.93), (0.3, -0.2, 0.94), (0.33, 0.0, 0.92), (0.3, 0.2, 0.94), (0.2, 0.26, 0.93)]
    parts.append(put(shapes.tube(f"{name} handlebar", bar, 0.012), steel))
    parts.append(put(shapes.ellipsoid(f"{name} saddle", (0.13, 0.07, 0.035)), leather, (-0.24, 0.0, 0.92)))
    parts.append(put(shapes.torus(f"{name} chainring", 0.085, 0.007), steel, (crank[0], 0.03, crank[2]), UPRIGHT))
    for side in (-1.0, 1.0):
        foot = (crank[0] + 0.16 * side, 0.07 * side, crank[2] - 0.05 * side)
        parts.append(
            put(shapes.tube(f"{name} crank {side:+.0f}", [(crank[0], 0.05 * side, crank[2]), foot], 0.009), steel)
        )
        pedal = shapes.box(f"{name} pedal {side:+.0f}", (0.09, 0.07, 0.02), 0.004)
        parts.append(put(pedal, rubber, (foot[0], foot[1] + 0.035 * side, foot[2] - 0.01)))
    stand = [(-0.12, 0.02, 0.3), (-0.16, 0.2, 0.0)]
    return [*parts, put(shapes.tube(f"{name} stand", stand, 0.009), steel)]


def basket(name: str, wire: Colour) -> Parts:
    """An open basket of wires, 0.45 m across and 0.3 m high: six hoops, two dozen bent uprights, two handles."""
    coat = materials.painted(f"{name} wire", wire, 0.5, 0.3)
    parts = []
    for k in range(6):
        radius, height = 0.15 + 0.075 * (k / 5) ** 0.7, 0.008 + 0.058 * k
        hoop = shapes.torus(f"{name} hoop {k}", radius, 0.007 if k in (0, 5) else 0.0045)
        parts.append(put(hoop, coat, (0.0, 0.0, height)))
    for k in range(24):
        turn = 2.0 * math.pi * k / 24
        path = [(*_circle(0.02, turn), 0.006), (*_circle(0.15, turn), 0.006)]
        path += [(*_circle(0.15 + 0.075 * (n / 5) ** 0.7, turn), 0.008 + 0.058 * n) for n in (2, 5)]
        parts.append(put(shapes.tube(f"{name} upright {k}", path, 0.0045), coat))
    for side in (-1.0, 1.0):
        bow = [
            (-0.07, 0.215 * side, 0.3),
            (-0.05, 0.24 * side, 0.38),
            (0.05, 0.24 * side, 0.38),
            (0.07, 0.215 * side, 0.3),
        ]
        parts.append(put(shapes.tube(f"{name} handle {side:+.0f}", bow, 0.008), coat))
    return parts


def bird_cage(name: str, wire: Colour) -> Parts:
    """A domed cage, 0.7 m high, on a wooden floor, with a perch and a hook; one sees through it."""
    brass = materials.painted(f"{name} wire", wire, 0.4, 0.25)
    wood = materials.wood(f"{name} floor wood", (0.36, 0.2, 0.09), (0.15, 0.08, 0.03), 40.0)
    parts = [put(shapes.lathe(f"{name} floor", [(0.0, 0.0), (0.24, 0.0), (0.24, 0.05), (0.0, 0.05)]), wood)]
    for k in range(20):
        turn = 2.0 * math.pi * k / 20
        path = [(*_circle(0.225, turn), 0.04), (*_circle(0.225, turn), 0.42)]
        path += [(*_circle(0.225 * math.cos(a), turn), 0.42 + 0.24 * math.sin(a)) for a in np.linspace(0.4, 1.5, 4)]
        parts.append(put(shapes.tube(f"{name} bar {k}", path, 0.0045), brass))
    for k, height in enumerate((0.18, 0.42)):
        parts.append(put(shapes.torus(f"{name} hoop {k}", 0.225, 0.006), brass, (0.0, 0.0, height)))
    hook = shapes.torus(f"{name} hook", 0.035, 0.007)
    perch = shapes.tube(f"{name} perch", [(-0.22, 0.0, 0.24), (0.22, 0.0, 0.24)], 0.012)
    return [*parts, put(hook, brass, (0.0, 0.0, 0.695), UPRIGHT), put(perch, wood)]


def ladder(name: str, paint: Colour) -> Parts:
    """A stepladder, 1.1 m high: two leaning frames of tubes with four treads."""
    coat = materials.painted(f"{name} paint", paint, 0.5, 0.3)
    tread = materials.tiled(f"{name} treads", (shaded(paint, 0.7), paint, (0.08, 0.08, 0.08)), (0.05, 0.02), 0.004)
    parts = []
    for side in (-1.0, 1.0):
        for end in (-1.0, 1.0):
            path = [(0.24 * side, 0.32 * end, 0.0), (0.17 * side, 0.03 * end, 1.1)]
            parts.append(put(shapes.tube(f"{name} leg {side:+.0f} {end:+.0f}", path, 0.015), coat))
    for k in range(1, 5):
        share = k / 4.4
        y, half = 0.32 - 0.29 * share, 0.24 - 0.07 * share
        parts.append(put(shapes.box(f"{name} tread {k}", (2 * half, 0.1, 0.025), 0.006), tread, (0, y, 1.1 * share)))
    for k, share in enumerate((0.25, 0.7)):
        y, half = -0.32 + 0.29 * share, 0.24 - 0.07 * share
        parts.append(
            put(shapes.tube(f"{name} rung {k}", [(-half, y, 1.1 * share), (half, y, 1.1 * share)], 0.01), coat)
        )
    return parts


def glass_vase(name: str, tint: Colour) -> Parts:
    """A vase of thin clear glass, 0.42 m high, with a few pebbles inside, which belong to it."""
    outline = [(0.0, 0.0), (0.1, 0.0), (0.15, 0.05), (0.17, 0.15), (0.12, 0.28), (0.085, 0.34), (0.11, 0.42)]
    parts = [put(shapes.lathe(f"{name} glass", shapes.catmull_rom(outline, 6)), materials.clear(f"{name} clear", tint))]
    rng = np.random.default_rng(5)
    for k in range(14):
        turn, far = 2.399963 * k, 0.03 * math.sqrt(k)
        size = tuple(float(v) for v in rng.uniform(0.02, 0.035, 3))
        stone = materials.painted(f"{name} pebble {k}", tuple(rng.uniform(0.12, 0.5, 3)), 0.7, 0.3)
        pebble = shapes.ellipsoid(f"{name} pebble {k}", size)
        parts.append(put(pebble, stone, (*_circle(0.8 * far, turn), 0.03 + 0.02 * (k % 3))))
    return parts


def stool(name: str, metal: Colour, seat: Colour) -> Parts:
    """A high stool: four thin splayed legs, two rings of rungs and a banded seat, 0.75 m high."""
    steel = materials.painted(f"{name} metal", metal, 0.5, 0.25)
    weave = materials.gingham(f"{name} weave", shaded(seat, 2.0), seat, 0.03)
    parts = [
        put(shapes.lathe(f"{name} seat", [(0, 0.71), (0.16, 0.71), (0.17, 0.73), (0.16, 0.75), (0, 0.755)]), weave)
    ]
    corners = [0.25 * math.pi + 0.5 * math.pi * k for k in range(4)]
    for k, turn in enumerate(corners):
        parts.append(
            put(shapes.tube(f"{name} leg {k}", [(*_circle(0.24, turn), 0), (*_circle(0.13, turn), 0.71)], 0.01), steel)
        )
    for height in (0.2, 0.45):
        radius = 0.24 - 0.11 * height / 0.71
        for k, turn in enumerate(corners):
            path = [(*_circle(radius, turn), height), (*_circle(radius, turn + 0.5 * math.pi), height)]
            parts.append(put(shapes.tube(f"{name} rung {height:.2f} {k}", path, 0.006), steel))
    return parts
