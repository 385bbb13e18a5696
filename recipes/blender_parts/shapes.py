"""Meshes and curves of which the objects are put together.

Every maker links one Blender object into the scene and returns it. Units are metres, z points up, and a shape's
local origin is where its docstring says, so that a caller places it by `location` and `rotation_euler` alone.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import bmesh
import bpy
from mathutils import Matrix, Vector

Point2 = tuple[float, float]
Point3 = tuple[float, float, float]


def _link(name: str, data: bpy.types.ID | None) -> bpy.types.Object:
    shape = bpy.data.objects.new(name, data)
    bpy.context.scene.collection.objects.link(shape)
    return shape


def from_builder(name: str, mesh_builder: bmesh.types.BMesh, smooth: bool) -> bpy.types.Object:
    """The mesh that a builder holds, whose origin is the builder's; the builder is freed."""
    mesh = bpy.data.meshes.new(name)
    mesh_builder.to_mesh(mesh)
    mesh_builder.free()
    mesh.polygons.foreach_set("use_smooth", [smooth] * len(mesh.polygons))
    return _link(name, mesh)


def anchored(
    name: str, parts: Sequence[bpy.types.Object], location: Point3, turn: Point3 = (0.0, 0.0, 0.0), size: float = 1.0
) -> bpy.types.Object:
    """Hang parts on a new empty, place that and return it; `turn` holds Euler angles in radians."""
    anchor = _link(name, None)
    anchor.location, anchor.rotation_euler, anchor.scale = location, turn, (size,) * 3
    for part in parts:
        part.parent = anchor
    return anchor


def catmull_rom(points: Sequence[Point2], steps: int) -> list[Point2]:
    """Smooth a polyline: a Catmull-Rom spline through `points`, with `steps` samples a span."""
    padded = [points[0], *points, points[-1]]
    smooth: list[Point2] = []
    for before, start, end, after in zip(padded, padded[1:], padded[2:], padded[3:], strict=False):
        for step in range(steps):
            t = step / steps
            smooth.append(
                tuple(
                    0.5 * (2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * b - a - 3 * c + d) * t**3)
                    for a, b, c, d in zip(before, start, end, after, strict=True)
                )
            )
    return [*smooth, points[-1]]


def lathe(name: str, profile: Sequence[Point2], segments: int = 72, closed: bool = False) -> bpy.types.Object:
    """Turn a profile of (radius, z) about the z axis; the origin is the axis at z = 0.

    `closed` joins the last profile point to the first (a torus from a circle); radii of zero become poles.
    """
    builder = bmesh.new()
    rings = []
    for radius, height in profile:
        turns = [2 * math.pi * s / segments for s in range(segments)]
        rings.append([builder.verts.new((radius * math.cos(a), radius * math.sin(a), height)) for a in turns])
    pairs = list(itertools.pairwise(rings))
    if closed:
        pairs.append((rings[-1], rings[0]))
    for lower, upper in pairs:
        for s in range(segments):
            e = (s + 1) % segments
            builder.faces.new((lower[s], lower[e], upper[e], upper[s]))
    bmesh.ops.remove_doubles(builder, verts=builder.verts, dist=1e-6)
    bmesh.ops.recalc_face_normals(builder, faces=builder.faces)
    return from_builder(name, builder, smooth=True)


def torus(name: str, major_radius: float, minor_radius: float) -> bpy.types.Object:
    """A torus about the z axis; the origin is its centre."""
    turns = [2 * math.pi * k / 32 for k in range(32)]
    profile = [(major_radius + minor_radius * math.cos(a), minor_radius * math.sin(a)) for a in turns]
    return lathe(name, profile, segments=96, closed=True)


def box(name: str, size: Point3, bevel: float) -> bpy.types.Object:
    """A box with rounded edges; the origin is the middle of its lower face."""
    builder = bmesh.new()
    bmesh.ops.create_cube(builder, size=1.0)
    bmesh.ops.transform(
        builder, matrix=Matrix.Diagonal((*size, 1.0)) @ Matrix.Translation((0, 0, 0.5)), verts=builder.verts
    )
    shape = from_builder(name, builder, smooth=False)
    rounded = shape.modifiers.new("rounded", "BEVEL")
    rounded.width, rounded.segments, rounded.harden_normals = bevel, 3, False
    return shape


def disc(name: str, radius: float) -> bpy.types.Object:
    """A flat disc in the plane z = 0."""
    builder = bmesh.new()
    bmesh.ops.create_circle(builder, cap_ends=True, radius=radius, segments=96)
    return from_builder(name, builder, smooth=False)


def tube(name: str, points: Sequence[Point3], radii: float | Sequence[float]) -> bpy.types.Object:
    """A round bar along a smooth curve through `points`, with one radius or one a point; two points make a rod."""
    curve = bpy.data.curves.new(name, "CURVE")
    curve.dimensions, curve.bevel_depth, curve.bevel_resolution = "3D", 1.0, 5
    curve.use_fill_caps, curve.resolution_u = True, 10
    spline = curve.splines.new("BEZIER")
    spline.bezier_points.add(len(points) - 1)
    each = [radii] * len(points) if isinstance(radii, float) else radii
    for bezier, point, radius in zip(spline.bezier_points, points, each, strict=True):
        bezier.co, bezier.radius = point, radius
        bezier.handle_left_type = bezier.handle_right_type = "AUTO" if len(points) > 2 else "VECTOR"
    return _link(name, curve)


def ellipsoid(name: str, radii: Point3) -> bpy.types.Object:
    """An ellipsoid; the origin is its centre."""
    builder = bmesh.new()
    bmesh.ops.create_uvsphere(builder, u_segments=40, v_segments=24, radius=1.0)
    bmesh.ops.scale(builder, vec=radii, verts=builder.verts)
    return from_builder(name, builder, smooth=True)


def clay(name: str, lumps: Sequence[tuple[Point3, Point3, float]], voxel: float) -> bpy.types.Object:
    """Ellipsoids kneaded into one smooth body, as of a modelled toy.

    Each lump is (centre, radii, pitch): pitch turns it about the y axis, in radians. `voxel` is the remesher's cell.
    """
    builder = bmesh.new()
    for centre, radii, pitch in lumps:
        place = Matrix.Translation(Vector(centre)) @ Matrix.Rotation(pitch, 4, "Y") @ Matrix.Diagonal((*radii, 1.0))
        bmesh.ops.create_icosphere(builder, subdivisions=4, radius=1.0, matrix=place)
    shape = from_builder(name, builder, smooth=True)
    remesh = shape.modifiers.new("knead", "REMESH")
    remesh.mode, remesh.voxel_size, remesh.use_smooth_shade = "VOXEL", voxel, True
    smooth = shape.modifiers.new("smooth", "SMOOTH")
    smooth.factor, smooth.iterations = 0.5, 6
    return shape


def ribbed_globe(name: str, radius: float, height: float, ribs: int, depth: float) -> bpy.types.Object:
    """A pumpkin's body: a squat globe with `ribs` lobes and dimpled poles; the origin is the middle of its base."""
    builder = bmesh.new()
    bmesh.ops.create_uvsphere(builder, u_segments=ribs * 12, v_segments=32, radius=1.0)
    for vertex in builder.verts:
        around = math.atan2(vertex.co.y, vertex.co.x)
        out = math.hypot(vertex.co.x, vertex.co.y)
        groove = 1.0 - depth * (1.0 - abs(math.sin(0.5 * ribs * around))) ** 2
        dimple = 1.0 - 0.35 * max(0.0, 1.0 - 2.5 * out) ** 2
        lobe = groove * (out + 0.12 * math.sin(math.pi * out))
        scale = radius * lobe / max(out, 1e-6)
        vertex.co = (vertex.co.x * scale, vertex.co.y * scale, 0.5 * height * (1.0 + vertex.co.z * dimple * groove))
    return from_builder(name, builder, smooth=True)
