"""The run folder: made, opened, and refused with a reason where it holds something else."""

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from analytic_scene import camera_at
from sanerf.data.scene import Scene, View
from sanerf.data.scene_json import scene_to_json
from sanerf.errors import UserError
from sanerf.fields.radiance import RadianceConfig
from sanerf.geometry.transforms import IDENTITY
from sanerf.kernels.backend import kernels_for
from sanerf.render.images import render_image
from sanerf.run.config import RunConfig, SamplingConfig
from sanerf.run.folder import create_run, load_renderer, open_run, save_radiance
from sanerf.run.training import start_state

CPU = torch.device("cpu")
NUMBA = kernels_for("numba", CPU)
CONFIG = RunConfig(
    radiance=RadianceConfig(levels=2, entries_log2=6, coarsest=4, finest=8, hidden=8, geometry=3),
    sampling=SamplingConfig(bins=16, samples=8, grid_side=8),
)


@pytest.fixture
def scene(tmp_path) -> Scene:
    views = tuple(View(f"{i}.png", tmp_path / "capture" / f"{i}.png", camera_at(0.1 * i, 0.0)) for i in range(3))
    return Scene(tmp_path / "capture", "made up", views, (0, 2), (1,), IDENTITY, 0.05, 3.0)


@pytest.fixture
def out(tmp_path) -> Path:
    return tmp_path / "runs" / "first"


def test_a_run_is_created_and_opened_again(scene, out):
    made = create_run(out, scene, CONFIG)
    found = open_run(out)
    assert (found.path, found.config) == (made.path, CONFIG)
    assert scene_to_json(found.scene) == scene_to_json(scene)
    assert not found.trained
    assert [path.name for path in out.iterdir()] == ["run.json"]


def test_creating_the_same_run_again_is_opening_it(scene, out):
    create_run(out, scene, CONFIG)
    before = (out / "run.json").stat().st_mtime_ns
    create_run(out, scene, CONFIG)
    assert (out / "run.json").stat().st_mtime_ns == before


def test_a_run_that_has_learnt_nothing_gives_way_to_another(scene, out):
    create_run(out, scene, CONFIG)
    assert create_run(out, scene, replace(CONFIG, seed=1)).config.seed == 1
    assert open_run(out).config.seed == 1


def test_other_settings_or_another_scene_are_refused(scene, out):
    create_run(out, scene, CONFIG).checkpoint.write_bytes(b"")
    shorter = replace(CONFIG, training=replace(CONFIG.training, steps=7))
    for other_scene, config, what in (
        (scene, replace(shorter, seed=1), rf"--seed (0, now 1), --steps ({CONFIG.training.steps}, now 7)"),
        (scene, replace(CONFIG, sampling=replace(CONFIG.sampling, bins=8)), "sampling.bins (16, now 8)"),
        (scene, replace(CONFIG, training=replace(CONFIG.training, steps=None)), "--steps (3000, now not bounded)"),
        (replace(scene, near=0.1), CONFIG, "the scene"),
        (replace(scene, views=scene.views[::-1]), CONFIG, "the scene's pictures"),
        (replace(scene, train=(0, 1), test=(2,)), CONFIG, "--holdout (1 views, now 1 others)"),
    ):
        with pytest.raises(UserError, match=re.escape(f"it differs in {what}); choose another --out")):
            create_run(out, other_scene, config)
    assert open_run(out).config == CONFIG


def test_the_same_scene_elsewhere_goes_on_and_is_remembered(scene, out, tmp_path):
    create_run(out, scene, CONFIG).checkpoint.write_bytes(b"")
    there = tmp_path / "archive"
    views = tuple(replace(view, image_path=there / view.image_path.name) for view in scene.views)
    create_run(out, replace(scene, root=there, views=views), CONFIG)
    found = open_run(out)
    assert found.scene.root == there
    assert [view.image_path for view in found.scene.views] == [there / f"{i}.png" for i in range(3)]
    assert found.checkpoint.exists()


def test_a_folder_of_other_things_and_a_file_are_refused(scene, tmp_path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.jpg").touch()
    with pytest.raises(UserError, match="is not empty and no run"):
        create_run(tmp_path / "photos", scene, CONFIG)
    with pytest.raises(UserError, match="is a file"):
        create_run(tmp_path / "photos" / "a.jpg", scene, CONFIG)
    (tmp_path / "empty").mkdir()
    create_run(tmp_path / "empty", scene, CONFIG)


def test_opening_what_is_no_run_says_how_to_make_one(tmp_path):
    with pytest.raises(UserError, match=r"is no run folder.*sanerf train SCENE --out"):
        open_run(tmp_path)


def changed(out: Path, **values) -> None:
    document = json.loads((out / "run.json").read_text())
    (out / "run.json").write_text(json.dumps({**document, **values}))


def test_another_format_version_is_refused(scene, out):
    create_run(out, scene, CONFIG)
    changed(out, format_version=3)
    with pytest.raises(UserError, match="written in run format 3, this sanerf reads formats up to 2"):
        open_run(out)


def test_a_run_of_format_1_is_the_same_run(scene, out):
    run = create_run(out, scene, CONFIG)
    document = scene_to_json(scene)
    for view in document["views"]:
        view["distortion"] = view.pop("lens")["coefficients"]
    changed(out, format_version=1, scene=document)
    assert scene_to_json(open_run(out).scene) == scene_to_json(run.scene)


@pytest.mark.parametrize("text", ["", "{", "[]", "3", '{"format_version": 1}', "\udcff"])
def test_damaged_json_is_a_user_error(scene, out, text):
    create_run(out, scene, CONFIG)
    (out / "run.json").write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(UserError, match=r"run\.json cannot be read .*damaged"):
        open_run(out)


@pytest.mark.parametrize(
    ("values", "message"),
    [({"scene": {}}, "damaged"), ({"scene": "photos"}, "damaged"), ({"config": {"sed": 1}}, "unknown key 'sed'")],
)
def test_a_damaged_part_is_a_user_error(scene, out, values, message):
    create_run(out, scene, CONFIG)
    changed(out, **values)
    with pytest.raises(UserError, match=message):
        open_run(out)


def test_a_saved_field_renders_as_the_one_in_memory(scene, out):
    run = create_run(out, scene, CONFIG)
    with pytest.raises(UserError, match="is not trained to its end yet"):
        load_renderer(run, NUMBA, CPU)
    state = start_state(CONFIG, NUMBA, views=2)
    state.density_grid.mul_(0.5)
    with torch.no_grad():
        state.field.grid.table.mul_(1e4)
    save_radiance(run, state)
    assert run.trained
    renderer = load_renderer(open_run(out), NUMBA, CPU)
    assert not any(parameter.requires_grad for parameter in renderer.field.parameters())
    in_memory = replace(renderer, field=state.field, density_grid=state.density_grid)
    camera = camera_at(0.0, 0.1, size=6)
    found, expected = render_image(renderer, camera), render_image(in_memory, camera)
    assert torch.equal(found.rgb, expected.rgb) and torch.equal(found.distance, expected.distance)
    assert (renderer.plan.near, renderer.plan.far, renderer.plan.unbounded) == (0.05, 3.0, False)


def test_a_field_that_does_not_fit_or_is_cut_short_is_a_user_error(scene, out):
    run = create_run(out, scene, CONFIG)
    save_radiance(run, start_state(replace(CONFIG, radiance=replace(CONFIG.radiance, hidden=4)), NUMBA, views=2))
    with pytest.raises(UserError, match=r"radiance\.safetensors cannot be read"):
        load_renderer(run, NUMBA, CPU)
    run.radiance.write_bytes(run.radiance.read_bytes()[:500])
    with pytest.raises(UserError, match=r"radiance\.safetensors cannot be read"):
        load_renderer(run, NUMBA, CPU)


def test_a_field_of_another_format_version_or_without_its_grid_is_a_user_error(scene, out):
    run = create_run(out, scene, CONFIG)
    state = start_state(CONFIG, NUMBA, views=2)
    save_radiance(run, state)
    tensors = load_file(run.radiance)
    save_file(tensors, run.radiance, {"format_version": "3"})
    with pytest.raises(UserError, match=r"radiance\.safetensors was written in run format 3, this sanerf reads"):
        load_renderer(run, NUMBA, CPU)
    save_file(tensors, run.radiance)
    with pytest.raises(UserError, match="was written in run format None"):
        load_renderer(run, NUMBA, CPU)
    del tensors["density_grid"]
    save_file(tensors, run.radiance, {"format_version": "1"})
    with pytest.raises(UserError, match=r"cannot be read \('density_grid'\)"):
        load_renderer(run, NUMBA, CPU)


def test_the_background_is_white_where_pictures_are_cut_out(scene, out):
    run = create_run(out, scene, CONFIG)
    assert run.background == (0.0, 0.0, 0.0)
    assert replace(run, scene=replace(scene, has_alpha=True)).background == (1.0, 1.0, 1.0)
