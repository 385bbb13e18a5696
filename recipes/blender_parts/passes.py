"""The two renders of a view: its picture, and a label map with depth.

The label pass replaces every material by one that emits (object index, distance along the camera's axis, 0) and
takes one sample a pixel through a filter of hardly any width, so that each pixel holds what its centre's ray meets.
"""

from __future__ import annotations

import math
from pathlib import Path

import bpy
import numpy as np
from mathutils import Matrix

from blender_parts.views import Lens, View

POINT_FILTER_WIDTH = 0.01


def set_up_camera(optics: Lens) -> None:
    """Add the one camera that every view moves, and the picture's size."""
    scene = bpy.context.scene
    lens = bpy.data.cameras.new("camera")
    lens.sensor_fit, lens.angle = "HORIZONTAL", math.radians(optics.horizontal_fov_degrees)
    lens.clip_start, lens.clip_end = 0.01, 100.0
    scene.camera = bpy.data.objects.new("camera", lens)
    scene.collection.objects.link(scene.camera)
    scene.render.resolution_x, scene.render.resolution_y = optics.width, optics.height
    scene.render.resolution_percentage = 100


def _set_up_cycles(samples: int) -> bpy.types.Scene:
    scene = bpy.context.scene
    scene.render.engine = "CYCLES"
    scene.cycles.device = "CPU"
    scene.cycles.samples = samples
    scene.cycles.use_adaptive_sampling = False
    scene.render.use_persistent_data = True
    scene.render.use_file_extension = False
    scene.render.dither_intensity = 0.0
    return scene


def set_up_pictures(samples: int, prefilter: str = "ACCURATE") -> None:
    """Path tracing with few bounces, denoised, shown through the plain sRGB curve.

    `prefilter` is how the denoiser's guides are themselves denoised: "FAST", not at all, saves 3 of 9 CPU seconds of a
    room at 400 x 300 and 8 samples, and changes it by 42 dB.
    """
    scene = _set_up_cycles(samples)
    scene.cycles.max_bounces, scene.cycles.diffuse_bounces, scene.cycles.glossy_bounces = 4, 3, 2
    scene.cycles.caustics_reflective = scene.cycles.caustics_refractive = False
    scene.cycles.sample_clamp_indirect = 4.0
    scene.cycles.use_denoising = True
    scene.cycles.denoiser = "OPENIMAGEDENOISE"
    scene.cycles.denoising_input_passes = "RGB_ALBEDO_NORMAL"
    scene.cycles.denoising_prefilter = prefilter
    scene.view_settings.view_transform = "Standard"
    scene.view_settings.look = "None"
    scene.view_settings.exposure = 0.0
    scene.render.image_settings.file_format = "PNG"
    scene.render.image_settings.color_mode = "RGB"
    scene.render.image_settings.color_depth = "8"


def set_up_labels() -> None:
    """One point sample a pixel of object index and depth; nothing lights or shades."""
    scene = _set_up_cycles(1)
    scene.cycles.max_bounces = 0
    scene.cycles.use_denoising = False
    scene.cycles.pixel_filter_type = "BOX"
    scene.cycles.filter_width = POINT_FILTER_WIDTH
    scene.world = None
    scene.render.image_settings.file_format = "OPEN_EXR"
    scene.render.image_settings.color_mode = "RGB"
    scene.render.image_settings.color_depth = "32"
    scene.view_layers[0].material_override = _label_material()


def _label_material() -> bpy.types.Material:
    material = bpy.data.materials.new("labels")
    material.use_nodes = True
    tree = material.node_tree
    tree.nodes.clear()
    info, camera = tree.nodes.new("ShaderNodeObjectInfo"), tree.nodes.new("ShaderNodeCameraData")
    combine, emission = tree.nodes.new("ShaderNodeCombineColor"), tree.nodes.new("ShaderNodeEmission")
    output = tree.nodes.new("ShaderNodeOutputMaterial")
    tree.links.new(info.outputs["Object Index"], combine.inputs["Red"])
    tree.links.new(camera.outputs["View Z Depth"], combine.inputs["Green"])
    tree.links.new(combine.outputs["Color"], emission.inputs["Color"])
    tree.links.new(emission.outputs["Emission"], output.inputs["Surface"])
    return material


def render(view: View, path: Path, sampling_seed: int) -> None:
    """Render a view to `path`, through a temporary name so that a killed run leaves no half file."""
    scene = bpy.context.scene
    scene.camera.matrix_world = Matrix(view.world_from_cam.tolist())
    scene.cycles.seed = sampling_seed
    part = path.with_name(f"{path.stem}.part{path.suffix}")
    scene.render.filepath = str(part)
    bpy.ops.render.render(write_still=True)
    part.replace(path)


def read_labels(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """A label pass read back: object index (H x W, uint8, 0 for none) and depth_z (H x W, metres, 0 for sky)."""
    image = bpy.data.images.load(str(path))
    width, height = image.size
    pixels = np.empty(width * height * 4, np.float32)
    image.pixels.foreach_get(pixels)
    bpy.data.images.remove(image)
    pixels = pixels.reshape(height, width, 4)[::-1]
    index = np.rint(pixels[..., 0])
    assert np.abs(pixels[..., 0] - index).max() < 1e-3, "a label is no whole number: the pass was filtered"
    return index.astype(np.uint8), pixels[..., 1].copy()
