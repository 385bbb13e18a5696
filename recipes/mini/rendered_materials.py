"""Random procedural surfaces for the rendered training scenes: a colour pattern under a principled surface.

Colours are linear RGB. All randomness comes from the `numpy` generator given.
"""

from __future__ import annotations

import colorsys

import bpy
import numpy as np

Tree = bpy.types.NodeTree
Colour = tuple[float, float, float]

PATTERNS = ("plain", "noise", "noise", "voronoi", "bricks", "checker", "waves", "magic", "picture", "picture", "bands")


def random_colour(random: np.random.Generator) -> Colour:
    """Any hue, from grey to saturated, from dark to light; browns, greys and whites are as frequent as in rooms."""
    saturation = random.uniform(0, 1) ** 1.5
    value = random.uniform(0.02, 0.85)
    hue = random.normal(0.08, 0.04) % 1.0 if random.random() < 0.35 else random.random()
    return colorsys.hsv_to_rgb(hue, saturation, value)


def _coordinates(tree: Tree, random: np.random.Generator, scale: float) -> bpy.types.NodeSocket:
    source, mapping = tree.nodes.new("ShaderNodeTexCoord"), tree.nodes.new("ShaderNodeMapping")
    stretch = random.uniform(0.15, 1.0, 3) if random.random() < 0.4 else np.ones(3)
    mapping.inputs["Scale"].default_value = tuple(scale * stretch)
    mapping.inputs["Rotation"].default_value = tuple(random.uniform(0, 6.3, 3))
    mapping.inputs["Location"].default_value = tuple(random.uniform(-9, 9, 3))
    tree.links.new(source.outputs["Object"], mapping.inputs["Vector"])
    return mapping.outputs["Vector"]


def _factor(tree: Tree, pattern: str, where: bpy.types.NodeSocket, random: np.random.Generator):
    """A number in [0, 1] over the surface."""
    kinds = {
        "noise": ("ShaderNodeTexNoise", "Fac"),
        "voronoi": ("ShaderNodeTexVoronoi", "Distance"),
        "waves": ("ShaderNodeTexWave", "Fac"),
        "magic": ("ShaderNodeTexMagic", "Fac"),
        "checker": ("ShaderNodeTexChecker", "Fac"),
        "bands": ("ShaderNodeTexGradient", "Fac"),
        "bricks": ("ShaderNodeTexBrick", "Fac"),
    }
    kind, output = kinds[pattern]
    node = tree.nodes.new(kind)
    if "Distortion" in node.inputs and random.random() < 0.5:
        node.inputs["Distortion"].default_value = random.uniform(0, 3)
    tree.links.new(where, node.inputs["Vector"])
    return node.outputs[output if output in node.outputs else 0]


def _pattern_colour(tree: Tree, pattern: str, size: float, random: np.random.Generator, pictures: list[str]):
    cells = float(np.exp(random.uniform(np.log(0.8), np.log(12.0))))
    where = _coordinates(tree, random, cells / size)
    if pattern == "picture":
        node = tree.nodes.new("ShaderNodeTexImage")
        node.image = bpy.data.images.load(str(pictures[random.integers(len(pictures))]), check_existing=True)
        node.projection, node.projection_blend = "BOX", 0.3
        node.extension = "MIRROR"
        tree.links.new(_coordinates(tree, random, random.uniform(0.3, 1.5) / size), node.inputs["Vector"])
        return node.outputs["Color"]
    ramp_node = tree.nodes.new("ShaderNodeValToRGB")
    ramp = ramp_node.color_ramp
    ramp.interpolation = "CONSTANT" if random.random() < 0.4 else "LINEAR"
    base = np.array(random_colour(random))
    near = random.random() < 0.5
    for k in range(int(random.integers(2, 5))):
        colour = base * random.uniform(0.6, 1.4, 3) if near else random_colour(random)
        element = ramp.elements[k] if k < 2 else ramp.elements.new(random.uniform(0.2, 0.8))
        element.color = (*np.clip(colour, 0, 1), 1.0)
    ramp.elements[0].position, ramp.elements[-1].position = random.uniform(0, 0.45), random.uniform(0.55, 1.0)
    tree.links.new(_factor(tree, pattern, where, random), ramp_node.inputs["Fac"])
    return ramp_node.outputs["Color"]


def random_material(size: float, random: np.random.Generator, pictures: list[str]) -> bpy.types.Material:
    """A surface for a thing of about `size` metres; `pictures` are files to print on some of them."""
    material = bpy.data.materials.new("surface")
    material.use_nodes = True
    tree = material.node_tree
    surface = tree.nodes["Principled BSDF"]
    surface.inputs["Roughness"].default_value = random.uniform(0.08, 1.0)
    surface.inputs["Specular IOR Level"].default_value = random.uniform(0.0, 0.6)
    kind = random.random()
    if kind < 0.12:
        surface.inputs["Metallic"].default_value = random.uniform(0.6, 1.0)
    elif kind < 0.16:
        surface.inputs["Transmission Weight"].default_value = random.uniform(0.5, 0.95)
    elif kind < 0.25:
        surface.inputs["Coat Weight"].default_value = random.uniform(0.3, 1.0)
    pattern = "plain" if random.random() < 0.35 else PATTERNS[random.integers(len(PATTERNS))]
    if pattern == "plain":
        surface.inputs["Base Color"].default_value = (*random_colour(random), 1.0)
    else:
        tree.links.new(_pattern_colour(tree, pattern, size, random, pictures), surface.inputs["Base Color"])
    return material


def label_material() -> bpy.types.Material:
    """Emits the object's index, so that a render with it is a label map."""
    material = bpy.data.materials.new("labels")
    material.use_nodes = True
    tree = material.node_tree
    tree.nodes.clear()
    info, emission = tree.nodes.new("ShaderNodeObjectInfo"), tree.nodes.new("ShaderNodeEmission")
    output = tree.nodes.new("ShaderNodeOutputMaterial")
    tree.links.new(info.outputs["Object Index"], emission.inputs["Color"])
    tree.links.new(emission.outputs["Emission"], output.inputs["Surface"])
    return material
