"""Plants and garden things at their true size: potted plant, bench, barrel, boulder, signpost, logs, ball, tree.

Each function returns the object's parts, standing on z = 0 about the z axis and facing +y. Sizes are metres, colours
linear RGB; a `seed` draws leaves, lumps and the like.
"""

from __future__ import annotations

import itertools
import math

import bmesh
import bpy
import numpy as np
from mathutils import Vector, noise

from blender_parts import materials, shapes
from blender_parts.furniture import Colour, Parts, put, shaded


def _blade(builder: bmesh.types.BMesh, path: np.ndarray, width: float, side: np.ndarray) -> None:
    """One leaf: a strip along `path` (n x 3), broadest a third of the way, folded a little along its middle."""
    rows = []
    for t, point in zip(np.linspace(0.0, 1.0, len(path)), path, strict=True):
        half = 0.5 * width * math.sin(math.pi * (0.08 + 0.92 * t) ** 0.8) + 0.002
        fold = np.array([0.0, 0.0, 0.25 * half])
        rows.append(
            [builder.verts.new(tuple(p)) for p in (point - half * side + fold, point, point + half * side + fold)]
        )
    for low, high in itertools.pairwise(rows):
        for k in range(2):
            builder.faces.new((low[k], low[k + 1], high[k + 1], high[k]))


def leaves(name: str, seed: int, count: int, length: float, width: float) -> bpy.types.Object:
    """A tuft of arching leaves from the origin."""
    rng, builder = np.random.default_rng(seed), bmesh.new()
    for k in range(count):
        turn = 2.399963 * k + rng.uniform(-0.25, 0.25)
        rise, reach = rng.uniform(0.45, 1.3), length * rng.uniform(0.7, 1.0)
        out, side = np.array([math.cos(turn), math.sin(turn), 0.0]), np.array([-math.sin(turn), math.cos(turn), 0.0])
        along = np.linspace(0.0, 1.0, 9)[:, None]
        path = reach * (
            along * math.cos(rise) * out + np.array([0.0, 0.0, 1.0]) * (along * math.sin(rise) - 0.45 * along**2.5)
        )
        _blade(builder, path, width * rng.uniform(0.7, 1.1), side)
    return shapes.from_builder(name, builder, smooth=True)


def plant(name: str, pot: Colour, leaf: Colour, seed: int, height: float = 1.0) -> Parts:
    """A plant of broad arching leaves in a banded pot."""
    rim = 0.3 * height
    outline = [(0.0, 0.0), (0.6 * rim, 0.0), (0.62 * rim, 0.02), (0.78 * rim, 0.85 * rim), (0.84 * rim, rim)]
    outline += [(0.76 * rim, rim), (0.7 * rim, 0.88 * rim), (0.0, 0.88 * rim)]
    bands = [(0.0, pot), (0.3, shaded(pot, 2.0)), (0.42, shaded(pot, 0.5)), (0.55, shaded(pot, 2.0)), (0.67, pot)]
    glaze = materials.banded(f"{name} glaze", bands, "Z", (0.0, rim), 0.5)
    stops = [(0.35, shaded(leaf, 0.5)), (0.5, leaf), (0.65, shaded(leaf, 1.8))]
    green = materials.blotched(f"{name} green", stops, 22.0, 0.55)
    parts = [put(shapes.lathe(f"{name} pot", outline), glaze)]
    for level, count in ((0.0, 16), (0.22, 12)):
        tuft = leaves(f"{name} tuft {level:.2f}", seed + int(100 * level), count, 0.62 * height, 0.12 * height)
        parts.append(put(tuft, green, (0.0, 0.0, rim * 0.85 + level * height)))
    stem = shapes.tube(f"{name} stem", [(0.0, 0.0, 0.8 * rim), (0.0, 0.0, rim + 0.2 * height)], 0.02 * height)
    return [*parts, put(stem, materials.painted(f"{name} bark", (0.12, 0.08, 0.03), 0.8))]


def bench(name: str, paint: Colour) -> Parts:
    """A slatted park bench, 1.4 m wide, on two iron frames."""
    planks = materials.wood(f"{name} planks", paint, shaded(paint, 0.4), 30.0)
    iron = materials.painted(f"{name} iron", (0.03, 0.035, 0.04), 0.5)
    parts = []
    for k, y in enumerate((0.2, 0.07, -0.06, -0.19)):
        parts.append(put(shapes.box(f"{name} seat {k}", (1.4, 0.1, 0.03), 0.008), planks, (0.0, y, 0.44)))
    for k, z in enumerate((0.56, 0.69, 0.82)):
        back = shapes.box(f"{name} back {k}", (1.4, 0.03, 0.1), 0.008)
        parts.append(put(back, planks, (0.0, -0.27 - 0.12 * (z - 0.5), z), (0.12, 0.0, 0.0)))
    for x in (-0.58, 0.58):
        for k, path in enumerate(
            (
                [(x, 0.24, 0.0), (x, 0.2, 0.43), (x, -0.24, 0.43), (x, -0.33, 0.93)],
                [(x, -0.28, 0.0), (x, -0.2, 0.25), (x, -0.24, 0.45)],
                [(x, 0.22, 0.44), (x, 0.22, 0.62), (x, -0.05, 0.66), (x, -0.27, 0.64)],
            )
        ):
            parts.append(put(shapes.tube(f"{name} iron {x:+.2f} {k}", path, 0.022), iron))
    return parts


def barrel(name: str, wood: Colour) -> Parts:
    """A wooden barrel, 0.8 m high, with iron hoops."""
    outline = [
        (0.0, 0.0),
        (0.24, 0.0),
        (0.28, 0.14),
        (0.305, 0.4),
        (0.28, 0.66),
        (0.24, 0.8),
        (0.22, 0.8),
        (0.22, 0.77),
    ]
    staves = materials.wood(f"{name} staves", wood, shaded(wood, 0.35), 26.0, "Z")
    hoop = materials.blotched(f"{name} hoop", [(0.4, (0.05, 0.05, 0.055)), (0.6, (0.16, 0.09, 0.05))], 30.0, 0.6)
    parts = [put(shapes.lathe(f"{name} body", shapes.catmull_rom([*outline, (0.0, 0.77)], 5)), staves)]
    for height, radius in ((0.06, 0.262), (0.24, 0.302), (0.56, 0.302), (0.74, 0.262)):
        band = [(radius - 0.012, -0.025), (radius + 0.004, -0.025), (radius + 0.004, 0.025), (radius - 0.012, 0.025)]
        shape = shapes.lathe(f"{name} hoop {height:.2f}", band, closed=True)
        parts.append(put(shape, hoop, (0.0, 0.0, height)))
    return parts


def boulder(name: str, stone: Colour, seed: int, radii: shapes.Point3 = (0.42, 0.34, 0.3)) -> Parts:
    """A mossy boulder: an ellipsoid pushed in and out by noise, sunk a little into the ground."""
    shape = shapes.ellipsoid(f"{name} body", radii)
    offset = Vector(np.random.default_rng(seed).uniform(-50.0, 50.0, 3))
    for vertex in shape.data.vertices:
        vertex.co *= 1.0 + 0.3 * noise.noise(vertex.co * 3.0 + offset) + 0.08 * noise.noise(vertex.co * 11.0 + offset)
    stops = [(0.36, shaded(stone, 0.45)), (0.48, stone), (0.56, (0.1, 0.16, 0.04)), (0.62, shaded(stone, 1.6))]
    return [put(shape, materials.blotched(f"{name} stone", stops, 7.0, 0.9, mottle=0.3), (0.0, 0.0, 0.72 * radii[2]))]


def signpost(name: str, first: Colour, second: Colour) -> Parts:
    """A post, 1.5 m high, with two painted arrow boards that point to different sides."""
    post = materials.wood(f"{name} post", (0.3, 0.2, 0.11), (0.12, 0.07, 0.03), 40.0, "Z")
    parts = [put(shapes.box(f"{name} pole", (0.09, 0.09, 1.5), 0.015), post)]
    for k, (colour, height, turn) in enumerate(((first, 1.2, 0.25), (second, 0.92, 2.6))):
        stripes = [
            (0.0, colour),
            (0.35, shaded(colour, 2.4)),
            (0.5, colour),
            (0.62, shaded(colour, 2.4)),
            (0.72, colour),
        ]
        paint = materials.banded(f"{name} board paint {k}", stripes, "X", (-0.32, 0.32), 0.6)
        board = shapes.box(f"{name} board {k}", (0.64, 0.035, 0.18), 0.012)
        offset = 0.22
        parts.append(put(board, paint, (offset * math.cos(turn), offset * math.sin(turn), height), (0.0, 0.0, turn)))
    return parts


def logs(name: str, seed: int) -> Parts:
    """Six sawn logs in a pyramid, 0.9 m long, their ends towards +y and -y."""
    rng = np.random.default_rng(seed)
    bark = materials.blotched(
        f"{name} bark",
        [(0.4, (0.07, 0.045, 0.025)), (0.55, (0.22, 0.14, 0.08)), (0.65, (0.36, 0.28, 0.19))],
        32.0,
        0.95,
    )
    cut = materials.blotched(f"{name} cut", [(0.4, (0.55, 0.34, 0.14)), (0.6, (0.75, 0.55, 0.28))], 30.0, 0.8)
    parts = []
    for k, (x, z) in enumerate([(-0.25, 0.12), (0.0, 0.12), (0.25, 0.12), (-0.125, 0.33), (0.125, 0.33), (0.0, 0.54)]):
        radius, half = rng.uniform(0.108, 0.122), rng.uniform(0.4, 0.47)
        rod = shapes.tube(f"{name} log {k}", [(x, -half, z), (x, half, z)], float(radius))
        parts.append(put(rod, bark))
        for end in (-1.0, 1.0):
            face = shapes.disc(f"{name} end {k} {end:+.0f}", float(0.96 * radius))
            parts.append(put(face, cut, (x, end * (half + 0.004), z), (-0.5 * math.pi * end, 0.0, 0.0)))
    return parts


def ball(name: str, first: Colour, second: Colour, radius: float = 0.22) -> Parts:
    """A beach ball with six panels, leaning to one side."""
    panels = materials.segmented(f"{name} panels", [first, (0.75, 0.72, 0.66), second], 2)
    return [put(shapes.ellipsoid(f"{name} skin", (radius,) * 3), panels, (0.0, 0.0, radius), (0.6, 0.3, 0.0))]


def tree(name: str, leaf: Colour, seed: int, height: float) -> Parts:
    """A far tree: a trunk and lumps of leaves."""
    rng = np.random.default_rng(seed)
    bark = materials.painted(f"{name} bark", (0.1, 0.06, 0.035), 0.9, 0.4)
    stops = [(0.38, shaded(leaf, 0.25)), (0.5, leaf), (0.6, shaded(leaf, 1.9))]
    crown = materials.blotched(f"{name} crown", stops, 24.0 / height, 0.9, mottle=0.3)
    parts = [put(shapes.tube(f"{name} trunk", [(0, 0, -0.5), (0, 0, 0.6 * height)], 0.035 * height), bark)]
    for k in range(4):
        size = height * rng.uniform(0.17, 0.3, 3)
        lump = shapes.ellipsoid(f"{name} lump {k}", tuple(size))
        spot = height * np.array([*rng.uniform(-0.16, 0.16, 2), rng.uniform(0.55, 0.85)])
        parts.append(put(lump, crown, tuple(spot)))
    return parts
