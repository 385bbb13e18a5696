"""Random objects for the rendered training scenes: turned, tubular, boxy, lumpy, furniture-like, meshes from a folder.

Each maker returns the parts of one object, about one metre high, standing on z = 0 about the z axis; the scene scales
them. A list of parts is one object: its parts wear different materials and share one label.
"""

from __future__ import annotations

import math
from pathlib import Path

import bmesh
import bpy
import numpy as np

Parts = list[bpy.types.Object]


def mesh_object(name: str, vertices: np.ndarray, faces: list, smooth: bool = True) -> bpy.types.Object:
    """A linked object from vertices (n x 3) and faces (index tuples)."""
    mesh = bpy.data.meshes.new(name)
    mesh.from_pydata(vertices.tolist(), [], faces)
    mesh.validate()
    if smooth:
        mesh.shade_smooth()
    thing = bpy.data.objects.new(name, mesh)
    bpy.context.scene.collection.objects.link(thing)
    return thing


def _grid_faces(rows: int, columns: int, wrap_rows: bool) -> list:
    faces = []
    for i in range(rows if wrap_rows else rows - 1):
        for j in range(columns):
            k, m = (i + 1) % rows, (j + 1) % columns
            faces.append((i * columns + j, i * columns + m, k * columns + m, k * columns + j))
    return faces


def turned(random: np.random.Generator) -> Parts:
    """A solid of revolution: vase, bottle, bowl, pawn; open ones have an inside; some have a handle."""
    count, around = 24, 32
    knots = random.uniform(0.08, 0.5, random.integers(3, 7))
    profile = np.interp(np.linspace(0, 1, count), np.linspace(0, 1, len(knots)), knots)
    profile = np.convolve(np.pad(profile, 3, mode="edge"), np.ones(7) / 7, mode="valid")
    height = random.uniform(0.3, 1.6)
    heights = np.linspace(0, height, count)
    if random.random() < 0.5:
        wall = random.uniform(0.02, 0.05)
        profile = np.concatenate([[0.001], profile, np.maximum(profile - wall, 0.01)[::-1][:-1], [0.001]])
        heights = np.concatenate([[0], heights, heights[::-1][:-1], [wall]])
    else:
        profile = np.concatenate([[0.001], profile, [0.001]])
        heights = np.concatenate([[0], heights, [heights[-1]]])
    angle = np.linspace(0, 2 * np.pi, around, endpoint=False)
    ridges = 1 + (random.uniform(0.02, 0.08) * np.cos(random.integers(4, 14) * angle) if random.random() < 0.2 else 0)
    ring = np.stack([np.cos(angle) * ridges, np.sin(angle) * ridges], -1)
    vertices = np.concatenate([np.c_[r * ring, np.full(around, z)] for r, z in zip(profile, heights, strict=True)])
    parts = [mesh_object("turned", vertices, _grid_faces(len(profile), around, False))]
    if random.random() < 0.35:
        reach = float(profile[len(profile) // 4])
        turn = np.linspace(-np.pi / 2, np.pi / 2, 16)
        path = np.c_[reach * 0.9 + 0.3 * height * np.cos(turn), 0 * turn, height * (0.5 + 0.3 * np.sin(turn))]
        parts.append(tube(path, random.uniform(0.02, 0.05)))
    return parts


def tube(path: np.ndarray, radius: float, closed: bool = False, sides: int = 12) -> bpy.types.Object:
    """A round tube along a polyline (n x 3)."""
    ahead = np.roll(path, -1, 0) - np.roll(path, 1, 0)
    if not closed:
        ahead[0], ahead[-1] = path[1] - path[0], path[-1] - path[-2]
    ahead /= np.linalg.norm(ahead, axis=1, keepdims=True) + 1e-9
    up = np.where(np.abs(ahead[:, 2:]) > 0.9, [[1.0, 0, 0]], [[0, 0, 1.0]])
    side = np.cross(ahead, up)
    side /= np.linalg.norm(side, axis=1, keepdims=True) + 1e-9
    other = np.cross(side, ahead)
    angle = np.linspace(0, 2 * np.pi, sides, endpoint=False)[None, :, None]
    rings = path[:, None] + radius * (np.cos(angle) * side[:, None] + np.sin(angle) * other[:, None])
    faces = _grid_faces(len(path), sides, closed)
    if not closed:
        faces += [tuple(range(sides)), tuple(range((len(path) - 1) * sides, len(path) * sides))]
    return mesh_object("tube", rings.reshape(-1, 3), faces)


def ring(random: np.random.Generator) -> Parts:
    """A ring, lying or standing, thick or thin, round or not: something with a hole to look through."""
    angle = np.linspace(0, 2 * np.pi, 48, endpoint=False)
    radius, wobble = random.uniform(0.3, 0.5), random.uniform(0, 0.25)
    thickness = random.uniform(0.03, 0.16)
    reach = radius * (1 + wobble * np.cos(random.integers(2, 5) * angle))
    flat = np.c_[reach * np.cos(angle), reach * np.sin(angle), 0 * angle]
    if random.random() < 0.6:
        flat = flat[:, [0, 2, 1]]
    flat[:, 2] += thickness - flat[:, 2].min()
    return [tube(flat, thickness, closed=True)]


def wire(random: np.random.Generator) -> Parts:
    """A thin bent rod, or several: cables, hooks, branches."""
    parts = []
    for _ in range(random.integers(1, 4)):
        knots = np.cumsum(random.normal(0, 0.3, (5, 3)), 0)
        path = np.stack([np.interp(np.linspace(0, 4, 40), range(5), knots[:, k]) for k in range(3)], -1)
        path = np.stack([np.convolve(np.pad(path[:, k], 4, "edge"), np.ones(9) / 9, "valid") for k in range(3)], -1)
        radius = random.uniform(0.012, 0.05)
        path[:, :2] -= path[:, :2].mean(0)
        path[:, 2] += radius - path[:, 2].min()
        parts.append(tube(path, radius))
    return parts


def box(size: np.ndarray, centre: np.ndarray, bevel: float = 0.01) -> bpy.types.Object:
    """A bevelled box."""
    frame = bmesh.new()
    bmesh.ops.create_cube(frame, size=1.0)
    bmesh.ops.scale(frame, vec=tuple(size), verts=frame.verts)
    bmesh.ops.translate(frame, vec=tuple(centre), verts=frame.verts)
    bmesh.ops.bevel(frame, geom=frame.edges[:], offset=min(bevel, 0.2 * float(min(size))), segments=2, affect="EDGES")
    mesh = bpy.data.meshes.new("box")
    frame.to_mesh(mesh)
    frame.free()
    thing = bpy.data.objects.new("box", mesh)
    bpy.context.scene.collection.objects.link(thing)
    return thing


def boxes(random: np.random.Generator) -> Parts:
    """One box, or a pile of them that counts as one object (a toy house, a camera, a radio)."""
    size = random.uniform(0.15, 1.0, 3)
    parts = [box(size, [0, 0, size[2] / 2], random.uniform(0.0, 0.06))]
    for _ in range(random.integers(0, 4)):
        small = size * random.uniform(0.2, 0.7, 3)
        face = random.uniform(-0.4, 0.4, 3) * size + [0, 0, size[2] / 2]
        axis = random.integers(3)
        face[axis] = size[axis] * (1.0 if axis == 2 else random.choice([-0.5, 0.5]))
        face[2] = max(face[2], small[2] / 2)
        parts.append(box(small, face))
    return parts


def book(random: np.random.Generator) -> Parts:
    """A closed book: two covers and a block of pages, lying or standing."""
    wide, deep, thick = random.uniform(0.5, 0.8), random.uniform(0.7, 1.0), random.uniform(0.06, 0.25)
    parts = [box(np.array([wide, deep, thick]), [0, 0, thick / 2], 0.0)]
    for z in (0, thick):
        parts.append(box(np.array([wide * 1.04, deep * 1.04, 0.02]), [0, 0, z], 0.0))
    parts.append(box(np.array([0.02, deep * 1.04, thick]), [-wide * 0.52, 0, thick / 2], 0.0))
    if random.random() < 0.4:
        for part in parts:
            part.rotation_euler.x = math.pi / 2
            part.location.z = deep * 0.52
    return parts


def lump(random: np.random.Generator) -> Parts:
    """A ball pushed in and out by waves: fruit, stone, loaf, potato."""
    frame = bmesh.new()
    bmesh.ops.create_icosphere(frame, subdivisions=4, radius=0.5)
    vertices = np.array([v.co for v in frame.verts])
    waves = random.normal(0, random.uniform(1, 6), (6, 3))
    swell = 1 + random.uniform(0, 0.3) * np.sin(vertices @ waves.T + random.uniform(0, 6, 6)).mean(1)
    moved = vertices * swell[:, None] * random.uniform(0.4, 1.2, 3)
    moved[:, 2] -= moved[:, 2].min()
    for vertex, place in zip(frame.verts, moved, strict=True):
        vertex.co = place
    mesh = bpy.data.meshes.new("lump")
    frame.to_mesh(mesh)
    frame.free()
    mesh.shade_smooth()
    thing = bpy.data.objects.new("lump", mesh)
    bpy.context.scene.collection.objects.link(thing)
    top = float(moved[:, 2].max())
    if random.random() < 0.4:
        stalk = np.c_[np.linspace(0, 0.08, 8) ** 1, np.zeros(8), top + np.linspace(-0.05, 0.15, 8)]
        return [thing, tube(stalk, 0.02)]
    return [thing]


def furniture(random: np.random.Generator) -> Parts:
    """A stool, chair or shelf-like frame of thin legs and plates: parts with gaps between."""
    wide, deep, high = random.uniform(0.4, 0.9), random.uniform(0.4, 0.9), random.uniform(0.3, 0.8)
    leg = random.uniform(0.03, 0.08)
    parts = [box(np.array([wide, deep, leg]), [0, 0, high])]
    for x in (-1, 1):
        for y in (-1, 1):
            centre = [x * (wide - leg) / 2, y * (deep - leg) / 2, high / 2]
            parts.append(box(np.array([leg, leg, high]), centre))
    if random.random() < 0.6:
        back = random.uniform(0.3, 0.8)
        for x in np.linspace(-1, 1, random.integers(2, 6)):
            parts.append(box(np.array([leg, leg, back]), [x * (wide - leg) / 2, (deep - leg) / 2, high + back / 2]))
        parts.append(box(np.array([wide, leg, 2 * leg]), [0, (deep - leg) / 2, high + back]))
    return parts


def lamp(random: np.random.Generator) -> Parts:
    """A foot, a thin stem and a shade, ball or ring of leaves on top: parts joined by something thin."""
    stem = np.c_[np.zeros(8), np.zeros(8), np.linspace(0, 1, 8)]
    parts = [tube(stem, random.uniform(0.015, 0.05))]
    foot, head = turned(random), (turned, lump, ring, boxes)[random.integers(4)](random)
    for part in foot:
        part.scale = (0.6, 0.6, random.uniform(0.05, 0.5))
    for part in head:
        part.location.z += 0.9
        part.scale = [0.7] * 3
    return parts + foot + head


def monkey(random: np.random.Generator) -> Parts:
    """Blender's own test head or one of its plain solids."""
    frame = bmesh.new()
    if random.random() < 0.4:
        bmesh.ops.create_monkey(frame)
        bmesh.ops.scale(frame, vec=(0.4,) * 3, verts=frame.verts)
    else:
        sides = int(random.integers(3, 24))
        tip = random.uniform(0, 0.5)
        bmesh.ops.create_cone(
            frame, cap_ends=True, segments=sides, radius1=0.4, radius2=tip, depth=random.uniform(0.2, 1.2)
        )
    low = min(v.co.z for v in frame.verts)
    bmesh.ops.translate(frame, vec=(0, 0, -low), verts=frame.verts)
    mesh = bpy.data.meshes.new("solid")
    frame.to_mesh(mesh)
    frame.free()
    thing = bpy.data.objects.new("solid", mesh)
    bpy.context.scene.collection.objects.link(thing)
    return [thing]


def imported(path: Path, random: np.random.Generator) -> Parts:
    """A Wavefront mesh from a file, turned at random, scaled to one metre; it counts as one object."""
    bpy.ops.wm.obj_import(filepath=str(path))
    parts = [thing for thing in bpy.context.selected_objects if thing.type == "MESH"]
    turn = np.linalg.qr(random.normal(size=(3, 3)))[0]
    turn[:, 0] *= np.sign(np.linalg.det(turn))
    world = [np.array([thing.matrix_world @ v.co for v in thing.data.vertices]) for thing in parts]
    upright = random.random() < 0.5
    world = [w if upright else w @ turn.T for w in world]
    every = np.concatenate(world)
    low, high = every.min(0), every.max(0)
    for thing, place in zip(parts, world, strict=True):
        place = (place - (low + high) / 2 * [1, 1, 0] - low * [0, 0, 1]) / max(high - low)
        thing.data.vertices.foreach_set("co", place.astype(np.float32).ravel())
        thing.data.update()
        thing.matrix_world.identity()
        thing.data.materials.clear()
    return parts


MAKERS = (turned, turned, ring, wire, boxes, book, lump, lump, furniture, lamp, monkey)
