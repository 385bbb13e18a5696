"""Furniture at its true size: bed, sofa, table, dresser, shelf, floor lamp, rug and picture.

Each function returns the object's parts, standing on z = 0 about the z axis and facing +y (what leans on a wall has the
wall behind it, at -y). Sizes are metres, colours linear RGB.
"""

from __future__ import annotations

import math

import bpy
import numpy as np

from blender_parts import materials, shapes

Parts = list[bpy.types.Object]
Colour = materials.Colour


def put(
    shape: bpy.types.Object,
    material: bpy.types.Material,
    location: shapes.Point3 = (0.0, 0.0, 0.0),
    turn: shapes.Point3 = (0.0, 0.0, 0.0),
) -> bpy.types.Object:
    """Dress a shape and place it; `turn` holds Euler angles in radians."""
    shape.data.materials.append(material)
    shape.location, shape.rotation_euler = location, turn
    return shape


def shaded(colour: Colour, factor: float) -> Colour:
    """The same colour, darker or lighter."""
    return tuple(min(1.0, factor * channel) for channel in colour)


def bed(name: str, frame: Colour, cover: Colour, width: float = 1.5) -> Parts:
    """A bed of 2.05 m with a headboard at -y, a checked cover and two pillows."""
    oak = materials.wood(f"{name} oak", frame, shaded(frame, 0.45), 30.0)
    linen = materials.gingham(f"{name} linen", (0.72, 0.69, 0.63), (0.5, 0.46, 0.42), 0.03)
    quilt = materials.gingham(f"{name} quilt", shaded(cover, 2.2), cover, 0.11)
    parts = [
        put(shapes.box(f"{name} base", (width, 2.0, 0.2), 0.02), oak, (0.0, 0.0, 0.1)),
        put(shapes.box(f"{name} head", (width + 0.06, 0.06, 0.95), 0.02), oak, (0.0, -1.02, 0.0)),
        put(shapes.box(f"{name} mattress", (width - 0.06, 1.94, 0.2), 0.06), linen, (0.0, 0.0, 0.3)),
        put(shapes.box(f"{name} cover", (width + 0.02, 1.35, 0.24), 0.06), quilt, (0.0, 0.33, 0.29)),
    ]
    for side in (-0.25, 0.25):
        pillow = shapes.ellipsoid(f"{name} pillow {side:+.2f}", (0.3, 0.2, 0.09))
        parts.append(put(pillow, linen, (side * width, -0.68, 0.56), (-0.25, 0.0, 0.0)))
    for x in (-1.0, 1.0):
        for y in (-0.93, 0.93):
            foot = shapes.box(f"{name} foot {x:+.0f} {y:+.2f}", (0.07, 0.07, 0.1), 0.01)
            parts.append(put(foot, oak, (x * (0.5 * width - 0.06), y, 0.0)))
    return parts


def sofa(name: str, cloth: Colour, pillow: Colour, width: float = 1.8) -> Parts:
    """A two-seat sofa, 0.85 m deep and high, with two loose pillows."""
    weave = materials.gingham(f"{name} weave", shaded(cloth, 1.7), cloth, 0.022)
    seats = materials.blotched(f"{name} seats", [(0.35, shaded(cloth, 0.8)), (0.6, shaded(cloth, 2.0))], 28.0, 0.9)
    print_ = materials.blotched(f"{name} print", [(0.0, pillow), (0.5, (0.7, 0.66, 0.55))], 14.0, 0.9, crisp=True)
    parts = [
        put(shapes.box(f"{name} base", (width - 0.3, 0.8, 0.3), 0.04), weave, (0.0, 0.0, 0.08)),
        put(shapes.box(f"{name} back", (width - 0.3, 0.22, 0.5), 0.07), weave, (0.0, -0.32, 0.36), (0.12, 0.0, 0.0)),
    ]
    for side in (-1.0, 1.0):
        arm = shapes.box(f"{name} arm {side:+.0f}", (0.18, 0.86, 0.56), 0.06)
        parts.append(put(arm, weave, (side * (0.5 * width - 0.09), 0.0, 0.06)))
        seat = shapes.box(f"{name} seat {side:+.0f}", (0.5 * width - 0.2, 0.6, 0.15), 0.05)
        parts.append(put(seat, seats, (side * 0.25 * (width - 0.36), 0.1, 0.37)))
        cushion = shapes.ellipsoid(f"{name} cushion {side:+.0f}", (0.21, 0.08, 0.2))
        parts.append(put(cushion, print_, (side * (0.5 * width - 0.42), -0.1, 0.7), (0.35, 0.0, 0.2 * side)))
        for y in (-0.36, 0.36):
            foot = shapes.box(f"{name} foot {side:+.0f} {y:+.2f}", (0.05, 0.05, 0.08), 0.005)
            parts.append(put(foot, materials.painted(f"{name} black", (0.02, 0.02, 0.02)), (side * 0.45 * width, y, 0)))
    return parts


def table(name: str, wood: Colour, size: shapes.Point3 = (1.0, 0.6, 0.45)) -> Parts:
    """A table with four legs and a shelf of slats underneath; `size` is length (x), width (y) and height."""
    length, width, height = size
    oak = materials.wood(f"{name} oak", wood, shaded(wood, 0.4), 28.0)
    leg_oak = materials.wood(f"{name} leg oak", wood, shaded(wood, 0.4), 40.0, "Z")
    parts = [put(shapes.box(f"{name} top", (length, width, 0.04), 0.012), oak, (0.0, 0.0, height - 0.04))]
    for x in (-1.0, 1.0):
        for y in (-1.0, 1.0):
            leg = shapes.box(f"{name} leg {x:+.0f} {y:+.0f}", (0.05, 0.05, height - 0.04), 0.008)
            parts.append(put(leg, leg_oak, (x * (0.5 * length - 0.06), y * (0.5 * width - 0.06), 0.0)))
    for y in np.linspace(-0.5, 0.5, 5) * (width - 0.16):
        slat = shapes.box(f"{name} slat {y:+.2f}", (length - 0.1, 0.06, 0.016), 0.004)
        parts.append(put(slat, oak, (0.0, float(y), 0.32 * height)))
    return parts


def dresser(name: str, paint: Colour, size: shapes.Point3 = (1.1, 0.45, 0.85)) -> Parts:
    """A chest of three by two drawers with brass knobs; its back is at -y."""
    width, depth, height = size
    body = materials.blotched(f"{name} paint", [(0.4, shaded(paint, 0.75)), (0.6, paint)], 9.0, 0.5, mottle=0.18)
    front = materials.blotched(f"{name} fronts", [(0.4, paint), (0.6, shaded(paint, 1.5))], 9.0, 0.5, mottle=0.18)
    brass = materials.painted(f"{name} brass", (0.4, 0.24, 0.05), 0.4)
    parts = [put(shapes.box(f"{name} body", (width, depth, height), 0.012), body)]
    parts.append(put(shapes.box(f"{name} top", (width + 0.05, depth + 0.04, 0.03), 0.01), front, (0.0, 0.01, height)))
    for row in range(3):
        for column in (-1.0, 1.0):
            x, z = column * 0.25 * width, 0.05 + row * (height - 0.08) / 3
            drawer = shapes.box(f"{name} drawer {row} {column:+.0f}", (0.46 * width, 0.03, 0.28 * height), 0.008)
            parts.append(put(drawer, front, (x, 0.5 * depth, z)))
            knob = shapes.ellipsoid(f"{name} knob {row} {column:+.0f}", (0.022, 0.022, 0.022))
            parts.append(put(knob, brass, (x, 0.5 * depth + 0.035, z + 0.14 * height)))
    return parts


def shelf(name: str, wood: Colour, book_seed: int, size: shapes.Point3 = (1.0, 0.32, 1.9)) -> Parts:
    """An open shelf of five boards with rows of books, which belong to it; its back is at -y."""
    width, depth, height = size
    rng = np.random.default_rng(book_seed)
    oak = materials.wood(f"{name} oak", wood, shaded(wood, 0.45), 30.0)
    upright = materials.wood(f"{name} upright oak", wood, shaded(wood, 0.45), 30.0, "Z")
    parts = [put(shapes.box(f"{name} back", (width, 0.015, height), 0.002), upright, (0.0, -0.5 * depth, 0.0))]
    for side in (-1.0, 1.0):
        side_board = shapes.box(f"{name} side {side:+.0f}", (0.03, depth, height), 0.004)
        parts.append(put(side_board, upright, (side * (0.5 * width - 0.015), 0.0, 0.0)))
    for level in np.linspace(0.0, height - 0.03, 6):
        board = shapes.box(f"{name} board {level:.2f}", (width, depth, 0.03), 0.004)
        parts.append(put(board, oak, (0.0, 0.0, float(level))))
    tones = rng.uniform(0.02, 0.55, (9, 3))
    jackets = []
    for k, tone in enumerate(tones):
        stripe = [(0.0, tuple(tone)), (0.62, tuple(rng.uniform(0.2, 0.8, 3))), (0.75, tuple(tone))]
        jackets.append(materials.banded(f"{name} jacket {k}", stripe, "Z", (0.0, 0.26), 0.6))
    for level in np.linspace(0.0, height - 0.03, 6)[:-1]:
        x, end = -0.5 * width + 0.05, 0.5 * width - 0.05 - rng.uniform(0.0, 0.45)
        while x < end:
            thick, tall = rng.uniform(0.025, 0.06), rng.uniform(0.19, 0.29)
            book = shapes.box(f"{name} book {level:.2f} {x:+.3f}", (thick, rng.uniform(0.16, 0.24), tall), 0.004)
            parts.append(put(book, jackets[rng.integers(9)], (x + 0.5 * thick, -0.02, float(level) + 0.03)))
            x += thick + 0.003
    return parts


def floor_lamp(name: str, shade: Colour, metal: Colour, height: float = 1.6) -> Parts:
    """A standing lamp: a foot, a thin stem and a striped cone of a shade, open above and below."""
    steel = materials.painted(f"{name} metal", metal, 0.5)
    rim, lower, upper = height - 0.3, 0.21, 0.12
    cone = [(lower, rim), (upper, height), (upper - 0.006, height), (lower - 0.006, rim)]
    stripes = [(k / 8, shade if k % 2 else (0.75, 0.66, 0.5)) for k in range(8)]
    return [
        put(shapes.lathe(f"{name} foot", [(0.0, 0.0), (0.16, 0.0), (0.16, 0.02), (0.03, 0.045), (0.0, 0.045)]), steel),
        put(shapes.tube(f"{name} stem", [(0.0, 0.0, 0.03), (0.0, 0.0, height - 0.12)], 0.014), steel),
        put(
            shapes.lathe(f"{name} shade", cone, closed=True),
            materials.banded(f"{name} stripes", stripes, "Z", (rim, height), 0.9),
        ),
    ]


def rug(name: str, light: Colour, dark: Colour, size: shapes.Point2 = (2.2, 1.6)) -> Parts:
    """A checked rug, 1 cm thick."""
    weave = materials.gingham(f"{name} weave", light, dark, 0.12)
    return [put(shapes.box(f"{name} cloth", (*size, 0.012), 0.003), weave)]


def picture(name: str, colours: list[Colour], size: shapes.Point2 = (0.8, 0.6)) -> Parts:
    """A framed print on the wall at -y; its lower edge is at z = 0."""
    width, height = size
    stops = [(0.25 + 0.5 * k / len(colours), colour) for k, colour in enumerate(colours)]
    ink = materials.blotched(f"{name} ink", stops, 5.0, 0.8, crisp=True)
    frame = materials.painted(f"{name} frame", (0.03, 0.02, 0.015), 0.5)
    board = shapes.box(f"{name} board", (width - 0.06, height - 0.06, 0.012), 0.002)
    parts = [put(board, ink, (0.0, 0.0, 0.5 * height), (-0.5 * math.pi, 0.0, 0.0))]
    for side in (-1.0, 1.0):
        post = shapes.box(f"{name} post {side:+.0f}", (0.04, 0.035, height), 0.004)
        parts.append(put(post, frame, (side * (0.5 * width - 0.02), 0.01, 0.0)))
        rail = shapes.box(f"{name} rail {side:+.0f}", (width, 0.035, 0.04), 0.004)
        parts.append(put(rail, frame, (0.0, 0.01, 0.5 * (1.0 + side) * (height - 0.04))))
    return parts
