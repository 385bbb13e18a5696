"""Draw what an outdoor plan leaves to its stage: the meadow with its hills, the wood, sky and sun."""

from __future__ import annotations

import math

import bmesh
import numpy as np
from mathutils import Vector, noise

from blender_parts import garden, materials, shapes
from exact_scenes.plan import Plan
from exact_scenes.stages import light

LEVEL_RADIUS = 3.5  # metres from the origin within which the meadow is flat, so that things stand on it


def ground_height(x: float, y: float, offset: Vector) -> float:
    """The ground's height in metres: 0 near the origin, gentle waves farther out, hills from 30 m on."""
    far = math.hypot(x, y)
    waves = noise.noise(Vector((0.09 * x, 0.09 * y, 0.0)) + offset)
    away = min(1.0, max(0.0, (far - LEVEL_RADIUS) / 8.0))
    hills = max(0.0, far - 30.0) * (0.22 + 0.16 * noise.noise(Vector((0.035 * x, 0.035 * y, 9.0)) + offset))
    return 0.9 * away * away * waves + hills


def _meadow(offset: Vector) -> None:
    builder = bmesh.new()
    radii = np.concatenate([np.linspace(0.3, 4.0, 8), np.geomspace(5.0, 80.0, 26)])
    previous = [builder.verts.new((0.0, 0.0, 0.0))] * 96
    for radius in radii:
        turns = [2.0 * math.pi * k / 96 for k in range(96)]
        spots = [(radius * math.cos(t), radius * math.sin(t)) for t in turns]
        ring = [builder.verts.new((x, y, ground_height(x, y, offset))) for x, y in spots]
        for k in range(96):
            corners = [previous[k], previous[(k + 1) % 96], ring[(k + 1) % 96], ring[k]]
            builder.faces.new(list(dict.fromkeys(corners)))
        previous = ring
    bmesh.ops.recalc_face_normals(builder, faces=builder.faces)
    meadow = shapes.from_builder("meadow", builder, smooth=True)
    meadow.data.materials.append(materials.meadow("grass"))


def build(plan: Plan) -> None:
    """The meadow, the trees and the light."""
    numbers = plan.surroundings
    offset = Vector((7.3 * numbers["hills_seed"], 0.0, 0.0))
    _meadow(offset)
    for number, one in enumerate(numbers["trees"]):
        x, y = one["position"]
        parts = garden.tree(f"tree {number}", one["leaf"], one["seed"], one["height"])
        shapes.anchored(f"tree {number}", parts, (x, y, ground_height(x, y, offset)))
    light.clouded_sky((0.16, 0.34, 0.75), (0.62, 0.72, 0.85), 0.8)
    light.sun(numbers["sun"], 2.6, 3.0)
