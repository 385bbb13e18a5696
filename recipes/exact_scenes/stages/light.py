"""Sky, sun and what they pass through. All light comes from outside, so that few samples give little noise."""

from __future__ import annotations

import math

import bpy

from exact_scenes.plan import Colour


def only_for_cameras(shape: bpy.types.Object) -> None:
    """Light passes through the shape as if it were not there; a camera sees it."""
    shape.visible_diffuse = shape.visible_glossy = shape.visible_transmission = shape.visible_shadow = False


def even_sky(colour: Colour, strength: float) -> bpy.types.World:
    """A sky of one colour all round."""
    world = bpy.data.worlds.new("sky")
    world.use_nodes = True
    background = world.node_tree.nodes["Background"]
    background.inputs["Color"].default_value = (*colour, 1.0)
    background.inputs["Strength"].default_value = strength
    bpy.context.scene.world = world
    return world


def clouded_sky(zenith: Colour, horizon: Colour, strength: float) -> None:
    """A sky from horizon to zenith with soft clouds."""
    tree = even_sky(horizon, strength).node_tree
    source, split = tree.nodes.new("ShaderNodeTexCoord"), tree.nodes.new("ShaderNodeSeparateXYZ")
    tree.links.new(source.outputs["Generated"], split.inputs["Vector"])
    blue, white = tree.nodes.new("ShaderNodeMix"), tree.nodes.new("ShaderNodeMix")
    blue.data_type = white.data_type = "RGBA"
    height = tree.nodes.new("ShaderNodeMapRange")
    height.inputs["From Min"].default_value, height.inputs["From Max"].default_value = 0.0, 0.6
    tree.links.new(split.outputs["Z"], height.inputs["Value"])
    stretch, clouds = tree.nodes.new("ShaderNodeMapping"), tree.nodes.new("ShaderNodeTexNoise")
    stretch.inputs["Scale"].default_value = (2.0, 2.0, 6.0)
    clouds.inputs["Scale"].default_value, clouds.inputs["Detail"].default_value = 1.3, 4.0
    tree.links.new(source.outputs["Generated"], stretch.inputs["Vector"])
    tree.links.new(stretch.outputs["Vector"], clouds.inputs["Vector"])
    cover = tree.nodes.new("ShaderNodeMapRange")
    cover.inputs["From Min"].default_value, cover.inputs["From Max"].default_value = 0.45, 0.7
    tree.links.new(clouds.outputs["Fac"], cover.inputs["Value"])
    for mix, factor in ((blue, height), (white, cover)):
        tree.links.new(factor.outputs["Result"], mix.inputs["Factor"])
    # A mixing node has sockets of each data type under one name; those of colours come last.
    colours = [[s for s in mix.inputs if s.type == "RGBA"] for mix in (blue, white)]
    colours[0][0].default_value, colours[0][1].default_value = (*horizon, 1.0), (*zenith, 1.0)
    colours[1][1].default_value = (0.85, 0.86, 0.88, 1.0)
    results = [next(s for s in mix.outputs if s.type == "RGBA") for mix in (blue, white)]
    tree.links.new(results[0], colours[1][0])
    tree.links.new(results[1], tree.nodes["Background"].inputs["Color"])


def sun(place: tuple[float, float], strength: float, softness_degrees: float) -> None:
    """A sun at (angle from the zenith, azimuth) in degrees; `softness_degrees` is its disc's width."""
    lamp = bpy.data.lights.new("sun", "SUN")
    lamp.energy, lamp.angle, lamp.color = strength, math.radians(softness_degrees), (1.0, 0.94, 0.84)
    holder = bpy.data.objects.new("sun", lamp)
    holder.rotation_euler = (math.radians(place[0]), 0.0, math.radians(place[1] + 90.0))
    bpy.context.scene.collection.objects.link(holder)
