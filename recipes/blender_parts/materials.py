"""Procedural materials: a colour pattern in the part's own coordinates (metres) under a principled surface.

All patterns are broad (several millimetres), because a small radiance field must reconstruct them from 60 views,
and all surfaces are rough or softly glossy. Colours are linear RGB.
"""

from __future__ import annotations

from collections.abc import Sequence

import bpy

Colour = tuple[float, float, float]
Point2 = tuple[float, float]
Socket = bpy.types.NodeSocket
Tree = bpy.types.NodeTree


def _empty_material(name: str, roughness: float) -> tuple[bpy.types.Material, Tree, bpy.types.Node]:
    material = bpy.data.materials.new(name)
    material.use_nodes = True
    tree = material.node_tree
    surface = tree.nodes["Principled BSDF"]
    surface.inputs["Roughness"].default_value = roughness
    surface.inputs["Specular IOR Level"].default_value = 0.35
    return material, tree, surface


def _coordinates(tree: Tree, stretch: Colour = (1.0, 1.0, 1.0), turn: Colour = (0.0, 0.0, 0.0)) -> Socket:
    source = tree.nodes.new("ShaderNodeTexCoord")
    mapping = tree.nodes.new("ShaderNodeMapping")
    mapping.inputs["Scale"].default_value = stretch
    mapping.inputs["Rotation"].default_value = turn
    tree.links.new(source.outputs["Object"], mapping.inputs["Vector"])
    return mapping.outputs["Vector"]


def _noise(tree: Tree, where: Socket, scale: float, detail: float = 2.0) -> Socket:
    node = tree.nodes.new("ShaderNodeTexNoise")
    node.inputs["Scale"].default_value = scale
    node.inputs["Detail"].default_value = detail
    tree.links.new(where, node.inputs["Vector"])
    return node.outputs["Fac"]


def _ramp(tree: Tree, factor: Socket, stops: Sequence[tuple[float, Colour]], crisp: bool = False) -> Socket:
    node = tree.nodes.new("ShaderNodeValToRGB")
    ramp = node.color_ramp
    ramp.interpolation = "CONSTANT" if crisp else "LINEAR"
    ramp.elements.remove(ramp.elements[1])
    (ramp.elements[0].position, first), *others = stops
    ramp.elements[0].color = (*first, 1.0)
    for position, colour in others:
        ramp.elements.new(position).color = (*colour, 1.0)
    tree.links.new(factor, node.inputs["Fac"])
    return node.outputs["Color"]


def _mottled(tree: Tree, colour: Socket, where: Socket, scale: float, strength: float) -> Socket:
    """Multiply a colour by a soft noise of mean one, so that no surface is flat."""
    noise = _noise(tree, where, scale, detail=3.0)
    dark, light = 1.0 - strength, 1.0 + strength
    shade = tree.nodes.new("ShaderNodeMapRange")
    shade.inputs["From Min"].default_value, shade.inputs["From Max"].default_value = 0.3, 0.7
    shade.inputs["To Min"].default_value, shade.inputs["To Max"].default_value = dark, light
    tree.links.new(noise, shade.inputs["Value"])
    product = tree.nodes.new("ShaderNodeVectorMath")
    product.operation = "MULTIPLY"
    tree.links.new(colour, product.inputs[0])
    tree.links.new(shade.outputs["Result"], product.inputs[1])
    return product.outputs["Vector"]


def _axis_value(tree: Tree, where: Socket, axis: str, start: float, end: float, wobble: float = 0.0) -> Socket:
    """A coordinate mapped from [start, end] to [0, 1], shifted by noise of `wobble` metres."""
    split = tree.nodes.new("ShaderNodeSeparateXYZ")
    tree.links.new(where, split.inputs["Vector"])
    value = split.outputs[axis]
    if wobble:
        add = tree.nodes.new("ShaderNodeMath")
        add.operation = "MULTIPLY_ADD"
        add.inputs[1].default_value = 2.0 * wobble
        tree.links.new(_noise(tree, where, 45.0), add.inputs[0])
        tree.links.new(value, add.inputs[2])
        value, start, end = add.outputs["Value"], start + wobble, end + wobble
    span = tree.nodes.new("ShaderNodeMapRange")
    span.inputs["From Min"].default_value, span.inputs["From Max"].default_value = start, end
    tree.links.new(value, span.inputs["Value"])
    return span.outputs["Result"]


def painted(name: str, colour: Colour, roughness: float = 0.5, mottle: float = 0.2) -> bpy.types.Material:
    """One colour with soft mottling."""
    return blotched(name, [(0.0, colour)], 1.0, roughness, mottle=mottle)


def blotched(
    name: str,
    stops: Sequence[tuple[float, Colour]],
    scale: float,
    roughness: float = 0.5,
    *,
    crisp: bool = False,
    mottle: float = 0.12,
) -> bpy.types.Material:
    """Colours by the height of a noise with `scale` cells a metre: speckled glaze, hide patches, peel."""
    material, tree, surface = _empty_material(name, roughness)
    where = _coordinates(tree)
    colour = _ramp(tree, _noise(tree, where, scale, detail=1.0), stops, crisp)
    tree.links.new(_mottled(tree, colour, where, 35.0, mottle), surface.inputs["Base Color"])
    return material


def banded(
    name: str,
    stops: Sequence[tuple[float, Colour]],
    axis: str,
    span: tuple[float, float],
    roughness: float = 0.45,
    *,
    crisp: bool = True,
    wobble: float = 0.0,
) -> bpy.types.Material:
    """Bands of colour along an axis (`X`, `Y` or `Z`) between the two heights of `span`: stripes, labels, dips."""
    material, tree, surface = _empty_material(name, roughness)
    where = _coordinates(tree)
    colour = _ramp(tree, _axis_value(tree, where, axis, *span, wobble=wobble), stops, crisp)
    tree.links.new(_mottled(tree, colour, where, 40.0, 0.12), surface.inputs["Base Color"])
    return material


def segmented(name: str, colours: Sequence[Colour], repeats: int, roughness: float = 0.4) -> bpy.types.Material:
    """Colours in turn round the z axis, `repeats` times: a painted ring."""
    material, tree, surface = _empty_material(name, roughness)
    where = _coordinates(tree)
    gradient = tree.nodes.new("ShaderNodeTexGradient")
    gradient.gradient_type = "RADIAL"
    tree.links.new(where, gradient.inputs["Vector"])
    turn = tree.nodes.new("ShaderNodeMath")
    turn.operation, turn.inputs[1].default_value = "MULTIPLY", float(repeats)
    tree.links.new(gradient.outputs["Fac"], turn.inputs[0])
    part = tree.nodes.new("ShaderNodeMath")
    part.operation = "FRACT"
    tree.links.new(turn.outputs["Value"], part.inputs[0])
    stops = [(k / len(colours), colour) for k, colour in enumerate(colours)]
    colour = _ramp(tree, part.outputs["Value"], stops, crisp=True)
    tree.links.new(_mottled(tree, colour, where, 40.0, 0.15), surface.inputs["Base Color"])
    return material


def wood(name: str, light: Colour, dark: Colour, grain: float, axis: str = "X") -> bpy.types.Material:
    """Grain along `axis`: stretched noise, `grain` streaks a metre across it."""
    material, tree, surface = _empty_material(name, 0.55)
    along = {"X": (0.12, 1.0, 1.0), "Y": (1.0, 0.12, 1.0), "Z": (1.0, 1.0, 0.12)}[axis]
    where = _coordinates(tree, stretch=along)
    middle = tuple(0.5 * (a + b) for a, b in zip(light, dark, strict=True))
    stops = [(0.32, dark), (0.45, middle), (0.52, light), (0.6, middle), (0.7, light)]
    colour = _ramp(tree, _noise(tree, where, grain, detail=3.0), stops)
    tree.links.new(_mottled(tree, colour, _coordinates(tree), 9.0, 0.2), surface.inputs["Base Color"])
    return material


def tiled(name: str, colours: tuple[Colour, Colour, Colour], tile: Point2, mortar: float) -> bpy.types.Material:
    """Planks or tiles in the x, y plane: two tile colours and the joint's; `tile` is (length, width) in metres."""
    material, tree, surface = _empty_material(name, 0.6)
    where = _coordinates(tree)
    bricks = tree.nodes.new("ShaderNodeTexBrick")
    for socket, colour in zip(("Color1", "Color2", "Mortar"), colours, strict=True):
        bricks.inputs[socket].default_value = (*colour, 1.0)
    bricks.inputs["Scale"].default_value = 1.0
    bricks.inputs["Mortar Size"].default_value = mortar
    bricks.inputs["Brick Width"].default_value, bricks.inputs["Row Height"].default_value = tile
    tree.links.new(where, bricks.inputs["Vector"])
    colour = _mottled(tree, bricks.outputs["Color"], _coordinates(tree, stretch=(0.15, 1.0, 1.0)), 30.0, 0.28)
    tree.links.new(_mottled(tree, colour, where, 6.0, 0.2), surface.inputs["Base Color"])
    return material


def gingham(name: str, light: Colour, dark: Colour, check: float) -> bpy.types.Material:
    """A woven check in the x, y plane: stripes both ways, darkest where they cross; `check` is a stripe in metres."""
    material, tree, surface = _empty_material(name, 0.9)
    where = _coordinates(tree)
    split = tree.nodes.new("ShaderNodeSeparateXYZ")
    tree.links.new(where, split.inputs["Vector"])
    stripes = []
    for axis in ("X", "Y"):
        wave = tree.nodes.new("ShaderNodeMath")
        wave.operation, wave.inputs[1].default_value = "WRAP", 0.0
        wave.inputs[2].default_value = 2.0 * check
        tree.links.new(split.outputs[axis], wave.inputs[0])
        step = tree.nodes.new("ShaderNodeMath")
        step.operation, step.inputs[1].default_value = "GREATER_THAN", check
        tree.links.new(wave.outputs["Value"], step.inputs[0])
        stripes.append(step.outputs["Value"])
    both = tree.nodes.new("ShaderNodeMath")
    both.operation = "ADD"
    tree.links.new(stripes[0], both.inputs[0])
    tree.links.new(stripes[1], both.inputs[1])
    half = tree.nodes.new("ShaderNodeMath")
    half.operation, half.inputs[1].default_value = "MULTIPLY", 0.5
    tree.links.new(both.outputs["Value"], half.inputs[0])
    colour = _ramp(tree, half.outputs["Value"], [(0.0, light), (1.0, dark)])
    tree.links.new(_mottled(tree, colour, where, 25.0, 0.12), surface.inputs["Base Color"])
    return material


def meadow(name: str) -> bpy.types.Material:
    """Grass with tufts and bare spots of soil, patterned at centimetres, decimetres and metres."""
    material, tree, surface = _empty_material(name, 0.95)
    where = _coordinates(tree)
    grass = [(0.3, (0.05, 0.09, 0.02)), (0.45, (0.12, 0.2, 0.04)), (0.55, (0.26, 0.3, 0.08)), (0.68, (0.4, 0.33, 0.17))]
    tufts = _ramp(tree, _noise(tree, where, 16.0, detail=4.0), grass)
    patches = _mottled(tree, tufts, where, 1.1, 0.35)
    tree.links.new(_mottled(tree, patches, where, 40.0, 0.35), surface.inputs["Base Color"])
    return material


def clear(name: str, tint: Colour) -> bpy.types.Material:
    """Thin glass: light goes straight through, tinted, save for a reflection that grows towards grazing angles."""
    material = bpy.data.materials.new(name)
    material.use_nodes = True
    tree = material.node_tree
    tree.nodes.clear()
    through, gloss = tree.nodes.new("ShaderNodeBsdfTransparent"), tree.nodes.new("ShaderNodeBsdfGlossy")
    through.inputs["Color"].default_value = (*tint, 1.0)
    gloss.inputs["Roughness"].default_value = 0.15
    facing, mix = tree.nodes.new("ShaderNodeLayerWeight"), tree.nodes.new("ShaderNodeMixShader")
    facing.inputs["Blend"].default_value = 0.25
    output = tree.nodes.new("ShaderNodeOutputMaterial")
    tree.links.new(facing.outputs["Fresnel"], mix.inputs[0])
    tree.links.new(through.outputs["BSDF"], mix.inputs[1])
    tree.links.new(gloss.outputs["BSDF"], mix.inputs[2])
    tree.links.new(mix.outputs["Shader"], output.inputs["Surface"])
    return material
