"""`sanerf import-field`: the stage as a snapshot of instant-ngp, made by hand, and what the other commands do with it.

And the page on fields of one's own, whose example is run.
"""

import json
import os
import re
from pathlib import Path

import msgpack
import numpy as np
import pytest
import torch
from command_process import assert_refused, files
from command_stage import CONFIG, HEIGHT, WIDTH

from analytic_scene import BALL_RADIUS, BLUE, RED, WALL_Z
from sanerf.adapters.load import load_field
from sanerf.data.load import load_scene
from sanerf.fields.protocol import Field
from sanerf.geometry.cameras import image_rays
from sanerf.kernels.backend import kernels_for
from sanerf.render.images import render_image
from sanerf.run.config import RunConfig, SamplingConfig
from sanerf.run.folder import load_renderer, open_run
from sanerf.run.import_run import field_renderer, import_run

CPU = torch.device("cpu")
SIDE, SCALE = 64, 0.2
PAGE = Path(__file__).parents[2] / "docs" / "bring_your_own_field.md"


def write_stage_snapshot(path: Path) -> Path:
    """A single level of 64^3 grid points that holds the logarithm of the density, from the distance to the stage's
    surfaces, and which of them is near; networks that pass those on; weights in half precision."""
    index = np.stack(np.meshgrid(*[np.arange(SIDE)] * 3, indexing="ij"), axis=-1)
    # Grid points lie at half cells; the cube's axes are the file's y, z, x; the file's unit is half the stage's.
    y, z, x = np.moveaxis((index - 0.5) / (SIDE - 1), -1, 0)
    p = (np.stack([x, y, z], axis=-1) - 0.5) / SCALE / 2
    to_ball = BALL_RADIUS - np.linalg.norm(p, axis=-1)
    to_wall = np.minimum(p[..., 2] - WALL_Z, 1 - np.abs(p[..., :2]).max(axis=-1))
    # 3 on the surface: opaque within a tenth of a grid cell behind it.
    log_density = (3 + 150 * np.maximum(to_ball, to_wall)).clip(-9, 9)
    table = np.stack([log_density, (to_ball > to_wall).astype(float)], axis=-1).transpose(2, 1, 0, 3).reshape(-1, 2)

    density = np.zeros((16, 16)), np.zeros((16, 16))
    density[0][[0, 1, 2], [0, 0, 1]] = 1, -1, 1  # ReLU of the logarithm, of its negative, of the surface's number
    density[1][[0, 0, 1], [0, 1, 2]] = 1, -1, 1
    colour = np.zeros((16, 32)), np.zeros((16, 16)), np.zeros((16, 16))
    colour[0][[0, 1], [1, 16]] = 1, 2 * np.sqrt(np.pi)  # the surface's number, and one from the constant harmonic
    colour[1][[0, 1], [0, 1]] = 1
    red, blue = (np.log(np.array(c) / (1 - np.array(c))) for c in (RED, BLUE))
    colour[2][:3, 0], colour[2][:3, 1] = red - blue, blue
    arrays = [*density, *colour, table]
    network = {"otype": "FullyFusedMLP", "activation": "ReLU", "output_activation": "None", "n_neurons": 16}
    document = {
        "encoding": {"otype": "HashGrid", "n_levels": 1, "n_features_per_level": 2, "log2_hashmap_size": 18,
                     "base_resolution": SIDE, "per_level_scale": 2.0},
        "network": {**network, "n_hidden_layers": 1},
        "rgb_network": {**network, "n_hidden_layers": 2},
        "dir_encoding": {"otype": "SphericalHarmonics", "degree": 4},
        "snapshot": {
            "version": 1, "mode": "nerf", "aabb": {"min": [0.0] * 3, "max": [1.0] * 3}, "params_type": "__half",
            "params_binary": b"".join(array.astype("<f2").tobytes() for array in arrays),
            "nerf": {"dataset": {"scale": SCALE, "offset": [0.5] * 3, "aabb_scale": 1}},
        },
    }  # fmt: skip
    path.write_bytes(msgpack.packb(document))
    return path


@pytest.fixture(scope="module")
def snapshot(tmp_path_factory) -> Path:
    return write_stage_snapshot(tmp_path_factory.mktemp("snapshot") / "stage.msgpack")


def test_an_imported_field_is_rendered_without_the_snapshot(stage, snapshot, sanerf, tmp_path):
    out, given = tmp_path / "run", tmp_path / "given.msgpack"
    given.write_bytes(snapshot.read_bytes())
    ended = sanerf("import-field", stage.scene, "--field", given, "--out", out, "--json")
    assert ended.code == 0, ended.err
    assert json.loads(ended.out)["train_views"] == 8 and "density grid" in ended.err
    assert files(out) == ["radiance.safetensors", "run.json"]
    refused = sanerf("import-field", stage.scene, "--field", given, "--out", out)
    assert_refused(refused, "is not empty; choose another --out")
    given.unlink()
    scores = json.loads(sanerf("evaluate", out, "--views", "test", "--json").out)
    # Grid points are 0.04 apart, a pixel's width, where the stage's edges are sharp.
    assert scores["psnr"] > 22 and scores["views"] == 2


def test_an_imported_field_is_segmented_evaluated_and_exported(stage, snapshot, sanerf, tmp_path):
    kernels, out = kernels_for("auto", CPU), tmp_path / "run"
    import_run(load_scene(stage.scene), snapshot, config=CONFIG, out=out, kernels=kernels, device=CPU)
    masks = ("--segmenter", f"masks:{stage.masks}")
    assert sanerf("segment", out, "--prompts", stage.prompts, *masks).code == 0
    scores = json.loads(sanerf("evaluate", out, "--masks", stage.masks, "--views", "test", "--json").out)
    assert scores["objects"]["ball"]["iou"] > 0.85 and scores["objects"]["wall"]["iou"] > 0.85, scores
    for kind in ("mesh", "points"):
        path = tmp_path / f"{kind}.ply"
        size = ("--resolution", 32) if kind == "mesh" else ()
        ended = sanerf("export", out, "--name", "ball", "--format", kind, *size, "--out", path)
        assert ended.code == 0 and path.stat().st_size > 1000, ended.err


def test_a_stored_field_renders_as_the_one_in_memory(stage, snapshot, tmp_path):
    scene, kernels = load_scene(stage.scene), kernels_for("auto", CPU)
    config = RunConfig(sampling=SamplingConfig(grid_side=32))
    run = import_run(scene, snapshot, config=config, out=tmp_path / "run", kernels=kernels, device=CPU)
    stored = load_renderer(open_run(run.path), kernels, CPU)
    field = load_field(snapshot, scene.world_from_file, scene=scene.root)
    made = field_renderer(field, scene, config=config, kernels=kernels, device=CPU)
    assert torch.equal(stored.density_grid, made.density_grid)
    camera = scene.views[0].camera
    found, expected = render_image(stored, camera), render_image(made, camera)
    assert torch.equal(found.rgb, expected.rgb) and torch.equal(found.distance, expected.distance)


def test_fields_that_cannot_be_imported_are_refused(stage, snapshot, sanerf, tmp_path):
    def refused(path: Path, message: str) -> None:
        out = tmp_path / "run"
        assert_refused(sanerf("import-field", stage.scene, "--field", path, "--out", out), message)
        assert not out.exists()

    refused(tmp_path / "nowhere", "there is no file or folder")
    (tmp_path / "field.pt").write_bytes(b"")
    refused(tmp_path / "field.pt", "is no trained field: expected a snapshot of instant-ngp")
    (tmp_path / "a.ingp").write_bytes(b"no snapshot")
    refused(tmp_path / "a.ingp", "is no snapshot of instant-ngp, or a damaged one: by its first bytes it is text; save")
    (tmp_path / "training").mkdir()
    refused(tmp_path / "training", r"has no checkpoint: expected nerfstudio_models/step-\*\.ckpt")
    document = msgpack.unpackb(snapshot.read_bytes())
    document["snapshot"]["nerf"]["dataset"]["offset"] = [9.0, 9.0, 9.0]
    (tmp_path / "far.msgpack").write_bytes(msgpack.packb(document))
    refused(tmp_path / "far.msgpack", "is empty where the scene is; was it trained on")
    options = ("--field", snapshot, "--out", tmp_path / "run", "--downscale", 0)
    assert_refused(sanerf("import-field", stage.scene, *options), "--downscale should be at least 1")


def test_the_pages_example_is_a_field_and_its_stages_run(stage, tmp_path):
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert len(blocks) == 2
    (tmp_path / "scene").symlink_to(stage.scene)
    (tmp_path / "prompts.json").symlink_to(stage.prompts)
    names: dict = {"CONFIG": CONFIG}
    before = os.getcwd()
    os.chdir(tmp_path)
    try:
        exec(blocks[0], names)
        # True masks and a small configuration, which the default ones would take minutes for.
        stages = blocks[1].replace('"mini"', repr(f"masks:{stage.masks}")).replace("RunConfig()", "CONFIG")
        exec(stages, names)
    finally:
        os.chdir(before)
    assert isinstance(names["Ball"](), Field)
    assert names["segmentation"].names == ("ball", "wall") and names["scores"].views == 2
    # The silhouette, by the distance of rays from the origin; and the colour where they meet it.
    camera = names["scene"].views[0].camera
    rays = image_rays(camera)
    nearest = (rays.origins - (rays.origins * rays.directions).sum(1, keepdim=True) * rays.directions).norm(dim=1)
    image = render_image(names["renderer"], camera)
    seen = image.accumulation.reshape(-1)
    # Where the field begins to be dense lies inside of an interval, and what of it lies before the sample is lost.
    assert bool((seen[nearest < 0.45] > 0.9).all()) and bool((seen[nearest > 0.55] < 0.01).all())
    assert int((nearest < 0.45).sum()) > 50
    middle = HEIGHT // 2 * WIDTH + WIDTH // 2
    light = 0.5 - 0.5 * rays.directions[middle, 2]
    expected = light * torch.tensor([0.9, 0.2, 0.1])
    torch.testing.assert_close(image.rgb.reshape(-1, 3)[middle], expected.float(), rtol=0, atol=0.01)
