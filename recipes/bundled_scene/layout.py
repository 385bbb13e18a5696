"""The scene: where each object stands, the table, the floor and the light.

The world's origin is the middle of the table top, z up, metres. An object's index (its place in `OBJECTS`, from 1)
is the `pass_index` of all its parts; what is no object has index 0.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import bpy

from blender_parts import crockery, materials, shapes, things

HDRI = "courtyard.exr"


@dataclass(frozen=True)
class Placed:
    """One clickable object: its name, what it is, its maker and its place on the table."""

    name: str
    description: str
    make: Callable[[str], list[bpy.types.Object]]
    position: tuple[float, float, float]
    yaw_degrees: float
    tilt_degrees: float = 0.0
    size: float = 1.0


def _green_book(name: str) -> list[bpy.types.Object]:
    return things.book(name, (0.04, 0.2, 0.13), (0.65, 0.55, 0.3), (0.15, 0.2, 0.034))


def _ochre_book(name: str) -> list[bpy.types.Object]:
    return things.book(name, (0.55, 0.28, 0.05), (0.12, 0.05, 0.05), (0.125, 0.175, 0.026))


OBJECTS: tuple[Placed, ...] = (
    Placed("teapot", "a speckled blue-green teapot with a brown handle", crockery.teapot, (-0.01, -0.01, 0.0), -150.0),
    Placed("pumpkin", "an orange pumpkin, half hidden behind the teapot", things.pumpkin, (0.04, 0.13, 0.0), 20.0),
    Placed("bowl", "a turned wooden bowl", crockery.bowl, (-0.21, 0.115, 0.0), 0.0),
    Placed("pear", "a pear that lies in the bowl", things.pear, (-0.195, 0.11, 0.018), 60.0, 24.0),
    Placed(
        "mug_left", "a mug with navy and orange bands, twin of mug_right", crockery.mug, (-0.265, -0.08, 0.0), 215.0
    ),
    Placed("mug_right", "a mug with navy and orange bands, twin of mug_left", crockery.mug, (0.13, -0.19, 0.0), -20.0),
    Placed("ring", "a painted wooden ring on its edge: one sees through it", things.ring, (-0.13, -0.17, 0.0), 25.0),
    Placed("chair", "a red doll's chair of thin rods", things.chair, (0.255, -0.1, 0.0), 150.0),
    Placed("book_green", "a green book, the lower of two", _green_book, (0.24, 0.135, 0.0), -65.0),
    Placed("book_ochre", "an ochre book, the upper of two", _ochre_book, (0.237, 0.14, 0.034), -88.0),
    Placed("cow", "a white toy cow with brown patches, on the books", things.cow, (0.237, 0.14, 0.06), 205.0),
    Placed("bottle", "a dark green stoneware bottle with a striped label", crockery.bottle, (-0.08, 0.2, 0.0), 0.0),
    Placed("block", "a violet and yellow toy block", things.block, (0.02, -0.235, 0.0), 35.0),
)


def _place(placed: Placed, index: int) -> None:
    anchor = bpy.data.objects.new(placed.name, None)
    bpy.context.scene.collection.objects.link(anchor)
    anchor.location = placed.position
    anchor.rotation_euler = (math.radians(placed.tilt_degrees), 0.0, math.radians(placed.yaw_degrees))
    anchor.scale = (placed.size,) * 3
    for part in placed.make(placed.name):
        part.parent = anchor
        part.pass_index = index


def furniture() -> None:
    """The table with its legs, a cloth across it and the floor."""
    top = shapes.box("table top", (0.98, 0.76, 0.035), 0.01)
    top.location.z = -0.035
    planks = ((0.36, 0.19, 0.08), (0.27, 0.13, 0.05), (0.1, 0.045, 0.018))
    top.data.materials.append(materials.tiled("table planks", planks, (0.7, 0.095), 0.0025))
    oak = materials.wood("leg oak", (0.3, 0.15, 0.06), (0.14, 0.06, 0.025), 60.0, "Z")
    for x in (-0.43, 0.43):
        for y in (-0.32, 0.32):
            leg = shapes.box(f"leg {x:+.2f} {y:+.2f}", (0.06, 0.06, 0.665), 0.006)
            leg.location = (x, y, -0.7)
            leg.data.materials.append(oak)
    cloth = shapes.box("cloth", (0.5, 0.36, 0.003), 0.001)
    cloth.location, cloth.rotation_euler.z = (-0.08, -0.05, -0.0022), math.radians(14.0)
    cloth.data.materials.append(materials.gingham("cloth gingham", (0.7, 0.68, 0.62), (0.1, 0.2, 0.36), 0.024))
    floor = shapes.disc("floor", 3.2)
    floor.location.z = -0.7
    stone = ((0.3, 0.27, 0.23), (0.2, 0.19, 0.18), (0.11, 0.1, 0.09))
    floor.data.materials.append(materials.tiled("floor tiles", stone, (0.4, 0.4), 0.008))


def light() -> None:
    """The HDRI as background and light, and a wide lamp from above that softens its shadows."""
    hdri_path = Path(bpy.utils.system_resource("DATAFILES")) / "studiolights" / "world" / HDRI
    world = bpy.data.worlds.new("courtyard")
    world.use_nodes = True
    tree = world.node_tree
    image = tree.nodes.new("ShaderNodeTexEnvironment")
    image.image = bpy.data.images.load(str(hdri_path))
    background = tree.nodes["Background"]
    background.inputs["Strength"].default_value = 1.0
    tree.links.new(image.outputs["Color"], background.inputs["Color"])
    bpy.context.scene.world = world
    lamp = bpy.data.lights.new("overhead", "AREA")
    lamp.shape, lamp.size, lamp.energy, lamp.color = "DISK", 1.6, 28.0, (1.0, 0.95, 0.88)
    holder = bpy.data.objects.new("overhead", lamp)
    holder.location = (0.35, -0.25, 1.9)
    holder.rotation_euler = (math.radians(-8.0), math.radians(10.0), 0.0)
    bpy.context.scene.collection.objects.link(holder)


def build() -> None:
    """Empty Blender's session and build the whole scene but its camera."""
    bpy.ops.wm.read_factory_settings(use_empty=True)
    furniture()
    for index, placed in enumerate(OBJECTS, start=1):
        _place(placed, index)
    light()
