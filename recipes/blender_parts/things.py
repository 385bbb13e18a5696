"""The other objects: a ring, a chair of thin rods, books, a cow, a pumpkin, a pear and a block.

Each function returns the object's parts, standing on z = 0 about the z axis; `layout` places them on the table.
"""

from __future__ import annotations

import math

import bpy

from blender_parts import materials, shapes

Parts = list[bpy.types.Object]


def _dressed(shape: bpy.types.Object, material: bpy.types.Material) -> bpy.types.Object:
    shape.data.materials.append(material)
    return shape


def ring(name: str) -> Parts:
    """A painted wooden ring, 18 cm across and 3.4 cm thick, standing on its edge; its axis is y."""
    colours = [(0.62, 0.06, 0.05), (0.8, 0.55, 0.08), (0.06, 0.28, 0.5), (0.75, 0.7, 0.6)]
    shape = shapes.torus(f"{name} torus", 0.073, 0.017)
    shape.rotation_euler.x = math.pi / 2
    shape.location.z = 0.09
    return [_dressed(shape, materials.segmented(f"{name} paint", colours, 3))]


def chair(name: str) -> Parts:
    """A doll's chair, 19 cm high: four legs, a seat, two stretchers, a back of three thin spindles; it faces +y."""
    red = materials.painted(f"{name} paint", (0.5, 0.04, 0.03), 0.45, 0.25)
    seat = shapes.box(f"{name} seat", (0.1, 0.095, 0.012), 0.004)
    seat.location.z = 0.08
    rods: list[tuple[tuple[float, float, float], tuple[float, float, float], float]] = []
    for side in (-0.041, 0.041):
        rods.append(((side * 1.12, 0.042, 0.0), (side, 0.038, 0.085), 0.0055))
        rods.append(((side * 1.12, -0.048, 0.0), (side, -0.038, 0.085), 0.0055))
        rods.append(((side, -0.04, 0.085), (side * 1.1, -0.062, 0.19), 0.0055))
        rods.append(((side * 1.07, -0.044, 0.035), (side * 1.07, 0.041, 0.035), 0.0035))
    for spindle in (-0.02, 0.0, 0.02):
        rods.append(((spindle, -0.042, 0.088), (spindle * 1.1, -0.06, 0.178), 0.0035))
    rods.append(((-0.05, -0.0605, 0.178), (0.05, -0.0605, 0.178), 0.0065))
    parts = [shapes.tube(f"{name} rod {k}", [start, end], radius) for k, (start, end, radius) in enumerate(rods)]
    woven = materials.gingham(f"{name} rush", (0.6, 0.42, 0.18), (0.28, 0.16, 0.05), 0.0125)
    return [_dressed(part, red) for part in parts] + [_dressed(seat, woven)]


def book(name: str, cover: materials.Colour, stripe: materials.Colour, size: tuple[float, float, float]) -> Parts:
    """A closed book lying flat, its spine towards -x, with a band across its cover."""
    width, depth, thickness = size
    board = 0.004
    stops = [(0.0, cover), (0.68, stripe), (0.76, cover), (0.8, stripe), (0.83, cover)]
    cloth = materials.banded(f"{name} cloth", stops, "Y", (-depth / 2, depth / 2), 0.7)
    paper = materials.banded(
        f"{name} paper",
        [(0.0, (0.72, 0.66, 0.52)), (0.3, (0.5, 0.44, 0.32)), (0.5, (0.72, 0.66, 0.52)), (0.75, (0.52, 0.46, 0.34))],
        "Z",
        (0.0, thickness - 2 * board),
        0.9,
        crisp=False,
    )
    parts = []
    for level in (0.0, thickness - board):
        cover_board = shapes.box(f"{name} board {level:.3f}", (width, depth, board), 0.0015)
        cover_board.location.z = level
        parts.append(_dressed(cover_board, cloth))
    spine = shapes.box(f"{name} spine", (board, depth, thickness), 0.0015)
    spine.location.x = -width / 2 + board / 2
    parts.append(_dressed(spine, cloth))
    pages = shapes.box(f"{name} pages", (width - 0.008, depth - 0.01, thickness - 2 * board), 0.0005)
    pages.location = (-0.002, 0.0, board)
    return [*parts, _dressed(pages, paper)]


def cow(name: str) -> Parts:
    """A toy cow with brown patches, 14 cm long and 9.5 cm high, looking towards +x."""
    lumps = [((0.0, 0.0, 0.056), (0.05, 0.028, 0.026), 0.0), ((0.033, 0.0, 0.062), (0.026, 0.024, 0.025), 0.0)]
    lumps += [((0.062, 0.0, 0.076), (0.024, 0.017, 0.016), 0.5), ((0.052, 0.0, 0.07), (0.02, 0.014, 0.016), -0.7)]
    for side in (-1.0, 1.0):
        lumps.append(((0.035, side * 0.016, 0.026), (0.0105, 0.0105, 0.03), 0.0))
        lumps.append(((-0.036, side * 0.016, 0.026), (0.0105, 0.0105, 0.03), 0.0))
        lumps.append(((0.052, side * 0.021, 0.087), (0.005, 0.012, 0.006), 0.0))
    lumps.append(((-0.05, 0.0, 0.058), (0.007, 0.006, 0.022), 0.25))
    body = shapes.clay(f"{name} body", lumps, 0.0025)
    patches = [(0.0, (0.16, 0.055, 0.02)), (0.5, (0.8, 0.74, 0.64))]
    hide = materials.blotched(f"{name} hide", patches, 26.0, 0.6, crisp=True)
    muzzle = shapes.ellipsoid(f"{name} muzzle", (0.009, 0.0135, 0.0105))
    muzzle.location = (0.081, 0.0, 0.065)
    parts = [_dressed(body, hide), _dressed(muzzle, materials.painted(f"{name} pink", (0.7, 0.3, 0.25)))]
    dark = materials.painted(f"{name} dark", (0.02, 0.015, 0.012), 0.35)
    for side in (-1.0, 1.0):
        eye = shapes.ellipsoid(f"{name} eye {side:+.0f}", (0.0032, 0.0025, 0.0036))
        eye.location = (0.068, side * 0.0145, 0.083)
        path = [(0.05, side * 0.011, 0.091), (0.05, side * 0.02, 0.098), (0.053, side * 0.021, 0.107)]
        horn = shapes.tube(f"{name} horn {side:+.0f}", path, [0.0042, 0.0035, 0.0018])
        parts += [_dressed(eye, dark), _dressed(horn, materials.painted(f"{name} horn", (0.55, 0.45, 0.28)))]
    return parts


def pumpkin(name: str) -> Parts:
    """An orange pumpkin with nine ribs and a bent stalk, 15 cm wide."""
    skin = [(0.3, (0.6, 0.16, 0.015)), (0.5, (0.75, 0.26, 0.02)), (0.62, (0.8, 0.42, 0.06))]
    body = shapes.ribbed_globe(f"{name} body", 0.068, 0.1, 9, 0.22)
    path = [(0.0, 0.0, 0.082), (0.002, 0.0, 0.105), (0.012, 0.004, 0.122)]
    stalk = shapes.tube(f"{name} stalk", path, [0.012, 0.008, 0.0075])
    bark = materials.painted(f"{name} bark", (0.16, 0.17, 0.05), 0.8, 0.35)
    return [_dressed(body, materials.blotched(f"{name} skin", skin, 40.0, 0.45)), _dressed(stalk, bark)]


def pear(name: str) -> Parts:
    """A pear, yellow-green with a red cheek, 10 cm high."""
    outline = [(0.0, 0.0), (0.02, 0.001), (0.034, 0.016), (0.037, 0.034), (0.03, 0.056), (0.02, 0.074), (0.013, 0.087)]
    body = shapes.lathe(f"{name} body", shapes.catmull_rom([*outline, (0.0, 0.092)], 6))
    cheek = [(0.0, (0.6, 0.11, 0.03)), (0.4, (0.66, 0.4, 0.05)), (0.7, (0.5, 0.55, 0.08)), (1.0, (0.3, 0.42, 0.05))]
    skin = materials.banded(f"{name} skin", cheek, "X", (-0.035, 0.035), 0.4, crisp=False, wobble=0.012)
    stalk = shapes.tube(f"{name} stalk", [(0, 0, 0.09), (0.002, 0, 0.1), (0.008, 0, 0.109)], 0.0028)
    return [_dressed(body, skin), _dressed(stalk, materials.painted(f"{name} bark", (0.1, 0.05, 0.02), 0.8))]


def block(name: str) -> Parts:
    """A toy building block, 5.5 cm wide, violet with a yellow belt and a wooden core."""
    shape = shapes.box(f"{name} cube", (0.055, 0.055, 0.055), 0.005)
    violet, yellow = (0.2, 0.06, 0.35), (0.8, 0.55, 0.08)
    bands = [(0.0, violet), (0.3, yellow), (0.5, (0.1, 0.35, 0.2)), (0.7, violet)]
    return [_dressed(shape, materials.banded(f"{name} paint", bands, "X", (-0.0275, 0.0275), 0.45))]
