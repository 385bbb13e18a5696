"""Build a plan in Blender: its things by their makers, then what its kind's stage adds."""

from __future__ import annotations

import math

import bpy

from blender_parts import crockery, furniture, garden, shapes, things, toys, wires
from exact_scenes.plan import Plan, Thing
from exact_scenes.stages import forward, outdoor, room, tabletop, thin

MAKERS = {
    maker.__name__: maker
    for maker in (
        *(crockery.mug, crockery.teapot, crockery.bowl, crockery.bottle),
        *(things.ring, things.chair, things.book, things.cow, things.pumpkin, things.pear, things.block),
        *(furniture.bed, furniture.sofa, furniture.table, furniture.dresser, furniture.shelf, furniture.floor_lamp),
        *(toys.vase, toys.carton, toys.stacking_rings, toys.car, toys.dumbbell),
        *(wires.bicycle, wires.basket, wires.bird_cage, wires.ladder, wires.glass_vase, wires.stool),
        *(garden.plant, garden.bench, garden.barrel, garden.boulder, garden.signpost, garden.logs, garden.ball),
    )
}
STAGES = {
    "forward": forward.build,
    "messy": room.build,
    "outdoor": outdoor.build,
    "room": room.build,
    "tabletop": tabletop.build,
    "thin": thin.build,
}


def _place(thing: Thing, index: int) -> None:
    parts = MAKERS[thing.maker](thing.name, **thing.options)
    turn = (math.radians(thing.tilt_degrees), 0.0, math.radians(thing.yaw_degrees))
    shapes.anchored(thing.name, parts, thing.position, turn, thing.size)
    for part in parts:
        part.pass_index = index


def build(plan: Plan) -> None:
    """Empty Blender's session and build the whole scene but its camera."""
    bpy.ops.wm.read_factory_settings(use_empty=True)
    for index, thing in enumerate(plan.things, start=1):
        _place(thing, index)
    STAGES[plan.kind](plan)
