"""A scene through JSON text and back: every number to the last bit, pictures inside and outside of the root."""

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from analytic_scene import camera_at
from sanerf.data.scene import Scene, View
from sanerf.data.scene_json import scene_from_json, scene_to_json
from sanerf.geometry.lenses import Lens
from sanerf.geometry.transforms import Similarity


def scene(root: Path) -> Scene:
    lens = replace(camera_at(0.1, 0.2, size=8), fx=1 / 3, cy=2 / 7, lens=Lens("opencv", (0.1, -0.02)))
    turned = camera_at(0.3, -0.7, size=6, towards=(0.0, 0.1, 0.2))
    fisheye = replace(turned, lens=Lens("rad_tan_thin_prism_fisheye", (1 / 7, 0.0, -1e-9)))
    return Scene(
        root=root,
        layout="transforms.json",
        views=(
            View("images/a.png", root / "images" / "a.png", lens),
            View("b.png", root.parent / "elsewhere" / "b.png", fisheye),
            View("images/c.png", root / "images" / "c.png", lens),
        ),
        train=(2, 0),
        test=(1,),
        world_from_file=Similarity(
            1 / 3, turned.world_from_cam[:3, :3].clone(), torch.tensor([0.1, -1e9, 1e-17], dtype=torch.float64)
        ),
        near=0.05,
        far=math.inf,
        has_alpha=True,
        warnings=("one picture is left out",),
    )


def assert_same(found: Scene, expected: Scene) -> None:
    for name in ("root", "layout", "train", "test", "near", "far", "has_alpha", "warnings"):
        assert getattr(found, name) == getattr(expected, name), name
    assert found.world_from_file.scale == expected.world_from_file.scale
    assert torch.equal(found.world_from_file.rotation, expected.world_from_file.rotation)
    assert torch.equal(found.world_from_file.translation, expected.world_from_file.translation)
    assert len(found.views) == len(expected.views)
    for view, original in zip(found.views, expected.views, strict=True):
        assert (view.name, view.image_path) == (original.name, original.image_path)
        assert torch.equal(view.camera.world_from_cam, original.camera.world_from_cam)
        for name in ("width", "height", "fx", "fy", "cx", "cy", "lens"):
            assert getattr(view.camera, name) == getattr(original.camera, name), name


@pytest.mark.parametrize("far", [math.inf, 2.5])
def test_a_scene_comes_back_the_same_from_json_text(tmp_path, far):
    original = replace(scene(tmp_path / "capture"), far=far)
    # Strict JSON has no word for infinity.
    text = json.dumps(scene_to_json(original), allow_nan=False)
    assert_same(scene_from_json(json.loads(text)), original)


def test_pictures_inside_the_root_are_relative_and_the_root_absolute(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    document = scene_to_json(scene(Path("capture")))
    assert document["root"] == str(tmp_path / "capture")
    assert [view["image"] for view in document["views"]] == [
        "images/a.png",
        str(tmp_path / "elsewhere" / "b.png"),
        "images/c.png",
    ]


def test_a_split_that_names_no_view_is_a_key_error(tmp_path):
    document = scene_to_json(scene(tmp_path))
    with pytest.raises(KeyError):
        scene_from_json({**document, "test": ["d.png"]})
    with pytest.raises(KeyError):
        scene_from_json({name: value for name, value in document.items() if name != "near"})


def test_a_scene_of_run_format_1_has_opencvs_lens(tmp_path):
    original = scene(tmp_path)
    document = scene_to_json(original)
    for entry in document["views"]:
        entry["distortion"] = entry.pop("lens")["coefficients"]
    assert scene_from_json(document).views[0].camera.lens == original.views[0].camera.lens
    assert scene_from_json(document).views[1].camera.lens == Lens("opencv", (1 / 7, 0.0, -1e-9))


@pytest.mark.parametrize("lens", [{"family": "fish", "coefficients": []}, {"family": "fov", "coefficients": []}])
def test_a_lens_that_is_none_is_a_value_error(tmp_path, lens):
    document = scene_to_json(scene(tmp_path))
    document["views"][0]["lens"] = lens
    with pytest.raises(ValueError, match="lens"):
        scene_from_json(document)
