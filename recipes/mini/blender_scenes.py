"""Render random cluttered scenes with exact instance labels (bpy 5.0, Cycles on the CPU); resumable.

    python blender_scenes.py --out DIR --meshes FOLDER --hdris FOLDER --pictures FOLDER --count 300

Writes `NNNNN_V.jpg` and `NNNNN_V.png` (8-bit labels: 0 room and support, 1.. objects) for V views of scene NNNNN,
whose content is a function of its number alone. Several processes may share one folder. The bundled evaluation
scene, its light (courtyard) and its layout are no part of this.
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path

import bpy
import numpy as np
import rendered_materials
import rendered_things
from mathutils import Matrix, Vector

WIDTH, HEIGHT, VIEWS, SAMPLES = 320, 240, 2, 4
FIRST_FOR_SCORING = 900_000
"""Scenes from this number on are for scoring (scoring_scenes.py) and never rendered here."""


def list_files(folder: Path, pattern: str) -> list[Path]:
    found = sorted(path for path in folder.rglob(pattern) if "courtyard" not in path.name)
    assert found, f"no {pattern} under {folder}"
    return found


def _light(hdris: list[Path], random: np.random.Generator) -> None:
    scene = bpy.context.scene
    world = bpy.data.worlds.new("world")
    world.use_nodes = True
    scene.world = world
    tree = world.node_tree
    image, mapping = tree.nodes.new("ShaderNodeTexEnvironment"), tree.nodes.new("ShaderNodeMapping")
    source = tree.nodes.new("ShaderNodeTexCoord")
    image.image = bpy.data.images.load(str(hdris[random.integers(len(hdris))]))
    mapping.inputs["Rotation"].default_value = (0, 0, random.uniform(0, 6.3))
    tree.links.new(source.outputs["Generated"], mapping.inputs["Vector"])
    tree.links.new(mapping.outputs["Vector"], image.inputs["Vector"])
    tree.links.new(image.outputs["Color"], tree.nodes["Background"].inputs["Color"])
    tree.nodes["Background"].inputs["Strength"].default_value = random.uniform(0.3, 1.2)
    for _ in range(random.integers(0, 3)):
        kind = ("AREA", "SUN", "POINT", "SPOT")[random.integers(4)]
        lamp = bpy.data.lights.new("lamp", kind)
        lamp.energy = random.uniform(0.5, 4.0) if kind == "SUN" else random.uniform(20, 150)
        lamp.color = tuple(1 - random.uniform(0, 0.35, 3))
        if kind == "AREA":
            lamp.size = random.uniform(0.2, 2.0)
        holder = bpy.data.objects.new("lamp", lamp)
        holder.location = (*random.uniform(-2, 2, 2), random.uniform(1.2, 2.6))
        holder.rotation_euler = (random.uniform(-0.8, 0.8), random.uniform(-0.8, 0.8), 0)
        scene.collection.objects.link(holder)


def _surround(random: np.random.Generator, dress) -> float:
    """Support and room round the origin; returns the radius in which objects may stand."""
    reach = random.uniform(0.4, 1.1)
    kind = random.random()
    if kind < 0.45:
        top = rendered_things.box(np.array([2 * reach, 2 * reach * random.uniform(0.6, 1), 0.05]), [0, 0, -0.025])
        floor = rendered_things.box(np.array([12, 12, 0.1]), [0, 0, -random.uniform(0.5, 1.0)])
        stuff = [top, floor]
    elif kind < 0.7:
        plinth = rendered_things.box(np.array([1.6 * reach, 1.6 * reach, 1.0]), [0, 0, -0.5])
        floor = rendered_things.box(np.array([12, 12, 0.1]), [0, 0, -1.0])
        stuff = [plinth, floor]
    else:
        stuff = [rendered_things.box(np.array([12, 12, 0.1]), [0, 0, -0.05])]
    if random.random() < 0.7:
        for turn in np.arange(random.integers(1, 4)) * (math.pi / 2):
            far = random.uniform(1.2, 3.5)
            wall = rendered_things.box(np.array([0.1, 12, 5]), [far, 0, 1.0])
            wall.rotation_euler.z = turn
            stuff.append(wall)
    for thing in stuff:
        dress(thing, 1.0)
    return 0.8 * reach


def _extent(parts: rendered_things.Parts) -> tuple[np.ndarray, np.ndarray]:
    bpy.context.view_layer.update()
    corners = np.array([p.matrix_world @ Vector(c) for p in parts for c in p.bound_box])
    return corners.min(0), corners.max(0)


def _populate(random: np.random.Generator, meshes: list[Path], reach: float, dress) -> None:
    """Objects of log-uniform size that stand, lean, float a little or overlap on the picture, but not in the plan."""
    placed: list[tuple[np.ndarray, float]] = []
    hero = random.random() < 0.3
    for index in range(1, int(random.integers(6, 18)) + 1):
        if random.random() < 0.25:
            parts = rendered_things.imported(meshes[random.integers(len(meshes))], random)
        else:
            parts = rendered_things.MAKERS[random.integers(len(rendered_things.MAKERS))](random)
        low, high = _extent(parts)
        size = float(np.exp(random.uniform(np.log(0.07), np.log(0.42)))) if index > 1 or not hero else 0.75 * reach
        scale = size / max(high - low)
        radius = 0.5 * scale * float(np.linalg.norm((high - low)[:2]))
        centre = None
        for _ in range(30):
            trial = random.uniform(-reach, reach, 2) * (0.2 if index == 1 else 1.0)
            if all(np.linalg.norm(trial - c) > 0.8 * (radius + r) for c, r in placed):
                centre = trial
                break
        if centre is None:
            for part in parts:
                bpy.data.objects.remove(part)
            continue
        placed.append((centre, radius))
        tip = Matrix.Rotation(random.uniform(-0.5, 0.5), 4, "X") if random.random() < 0.15 else Matrix.Identity(4)
        place = Matrix.Translation((*centre, -low[2] * scale)) @ Matrix.Rotation(random.uniform(0, 6.3), 4, "Z") @ tip
        shared = random.random() < 0.4
        for k, part in enumerate(parts):
            part.matrix_world = place @ Matrix.Scale(scale, 4) @ part.matrix_world
            part.pass_index = index
            if k and shared:
                part.data.materials.append(parts[0].data.materials[0])
            else:
                dress(part, 0.5)


def _aim_camera(random: np.random.Generator, reach: float) -> None:
    scene = bpy.context.scene
    height, turn = math.radians(random.uniform(8, 65)), random.uniform(0, 2 * math.pi)
    distance = reach * random.uniform(1.3, 3.0)
    target = Vector((*random.uniform(-0.3, 0.3, 2) * reach, random.uniform(0.0, 0.25)))
    ahead = Vector((math.cos(turn) * math.cos(height), math.sin(turn) * math.cos(height), math.sin(height)))
    scene.camera.data.angle = math.radians(random.uniform(30, 65))
    scene.camera.data.dof.use_dof = bool(random.random() < 0.2)
    scene.camera.data.dof.focus_distance = distance
    scene.camera.data.dof.aperture_fstop = random.uniform(0.5, 3)
    tracked = ahead.to_track_quat("Z", "Y").to_matrix().to_4x4() @ Matrix.Rotation(random.normal(0, 0.08), 4, "Z")
    scene.camera.matrix_world = Matrix.Translation(target + distance * ahead) @ tracked


def _settings(picture: bool) -> None:
    scene = bpy.context.scene
    scene.render.engine = "CYCLES"
    scene.cycles.device = "CPU"
    scene.render.resolution_x, scene.render.resolution_y = WIDTH, HEIGHT
    scene.render.threads_mode, scene.render.threads = "FIXED", 1
    scene.cycles.use_adaptive_sampling = False
    scene.cycles.samples = SAMPLES if picture else 1
    scene.cycles.max_bounces = 3 if picture else 0
    scene.cycles.transmission_bounces = 3 if picture else 0
    scene.cycles.caustics_reflective = scene.cycles.caustics_refractive = False
    scene.cycles.sample_clamp_indirect = 4.0
    scene.cycles.use_denoising = picture
    scene.cycles.pixel_filter_type = "BLACKMAN_HARRIS" if picture else "BOX"
    scene.cycles.filter_width = 1.5 if picture else 0.01
    scene.render.dither_intensity = 0.0
    scene.view_settings.view_transform = "Standard" if picture else "Raw"
    scene.render.image_settings.file_format = "JPEG" if picture else "OPEN_EXR"
    scene.render.image_settings.color_mode = "RGB"
    scene.render.image_settings.color_depth = "8" if picture else "32"
    scene.render.image_settings.quality = 95


def _render(path: Path) -> None:
    bpy.context.scene.render.filepath = str(path)
    bpy.context.scene.render.use_file_extension = False
    bpy.ops.render.render(write_still=True)


def _save_labels(exr: Path, png: Path) -> None:
    from PIL import Image

    image = bpy.data.images.load(str(exr))
    pixels = np.empty(WIDTH * HEIGHT * 4, np.float32)
    image.pixels.foreach_get(pixels)
    bpy.data.images.remove(image)
    labels = np.rint(pixels.reshape(HEIGHT, WIDTH, 4)[::-1, :, 0]).astype(np.uint8)
    Image.fromarray(labels).save(png)
    exr.unlink()


def make_scene(number: int, out: Path, meshes: list[Path], hdris: list[Path], prints: list[Path]) -> None:
    """Build scene `number` and render its views into the folder `out`."""
    random = np.random.default_rng([20261, number])
    bpy.ops.wm.read_factory_settings(use_empty=True)
    scene = bpy.context.scene
    scene.camera = bpy.data.objects.new("camera", bpy.data.cameras.new("camera"))
    scene.collection.objects.link(scene.camera)

    def dress(thing: bpy.types.Object, size: float) -> None:
        thing.data.materials.append(rendered_materials.random_material(size, random, prints))

    _light(hdris, random)
    reach = _surround(random, dress)
    _populate(random, meshes, reach, dress)
    labels, world = rendered_materials.label_material(), scene.world
    for view in range(VIEWS):
        stem = out / f"{number:05d}_{view}"
        _aim_camera(random, reach)
        scene.cycles.seed = number * VIEWS + view
        _settings(picture=False)
        scene.view_layers[0].material_override, scene.world = labels, None
        dof, scene.camera.data.dof.use_dof = scene.camera.data.dof.use_dof, False
        _render(stem.with_suffix(".exr"))
        scene.view_layers[0].material_override, scene.world = None, world
        scene.camera.data.dof.use_dof = dof
        _settings(picture=True)
        scene.view_settings.exposure = random.uniform(-0.7, 0.9)
        _render(stem.with_suffix(".part.jpg"))
        _save_labels(stem.with_suffix(".exr"), stem.with_suffix(".png"))
        stem.with_suffix(".part.jpg").replace(stem.with_suffix(".jpg"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("out", "meshes", "hdris", "pictures"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--start", type=int, default=0)
    parser.add_argument("--count", type=int, default=300)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    if args.start + args.count > FIRST_FOR_SCORING:
        parser.error(f"scenes from number {FIRST_FOR_SCORING} on are for scoring, not for training")
    files = list_files(args.meshes, "*.obj"), list_files(args.hdris, "*.exr"), list_files(args.pictures, "*.jpg")
    for number in range(args.start, args.start + args.count):
        if (args.out / f"{number:05d}_{VIEWS - 1}.jpg").exists():
            continue
        make_scene(number, args.out, *files)


if __name__ == "__main__":
    main()
