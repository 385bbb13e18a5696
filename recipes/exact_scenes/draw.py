"""Build a plan in Blender: its things by their makers, then what its kind's stage adds."""

from __future__ import annotations

import math

import bpy

from blender_parts import crockery, furniture, garden, things
from exact_scenes.plan import Plan, Thing
from exact_scenes.stages import outdoor, room

MAKERS = {
    maker.__name__: maker
    for maker in (
        *(crockery.mug, crockery.teapot, crockery.bowl, crockery.bottle),
        *(things.ring, things.chair, things.book, things.cow, things.pumpkin, things.pear, things.block),
        *(furniture.bed, furniture.sofa, furniture.table, furniture.dresser, furniture.shelf, furniture.floor_lamp),
        *(garden.plant, garden.bench, garden.barrel, garden.boulder, garden.signpost, garden.logs, garden.ball),
    )
}
STAGES = {"outdoor": outdoor.build, "room": room.build}


def _place(thing: Thing, index: int) -> None:
    anchor = bpy.data.objects.new(thing.name, None)
    bpy.context.scene.collection.objects.link(anchor)
    anchor.location = thing.position
    anchor.rotation_euler = (math.radians(thing.tilt_degrees), 0.0, math.radians(thing.yaw_degrees))
    anchor.scale = (thing.size,) * 3
    for part in MAKERS[thing.maker](thing.name, **thing.options):
        part.parent = anchor
        part.pass_index = index


def build(plan: Plan) -> None:
    """Empty Blender's session and build the whole scene but its camera."""
    bpy.ops.wm.read_factory_settings(use_empty=True)
    for index, thing in enumerate(plan.things, start=1):
        _place(thing, index)
    STAGES[plan.kind](plan)
