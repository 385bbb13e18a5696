"""Clicks and the written folder of an exact scene, on spheres whose label maps have a closed form."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

import sanerf.geometry.cameras
from blender_parts.views import Lens, Observed, View, project
from exact_scenes import clicks, rigs, written
from exact_scenes.plan import Plan, Thing
from sanerf.data.load import load_scene

LENS = Lens(120, 90, 60.0)
SPHERES = ((np.array([0.45, 0.0, 0.0]), 0.3), (np.array([-0.45, 0.1, 0.0]), 0.35))


def seen(view: View, spheres=SPHERES) -> Observed:
    """Label and depth_z of spheres, by the quadratic formula along each pixel centre's ray."""
    columns, rows = np.meshgrid(np.arange(LENS.width) + 0.5, np.arange(LENS.height) + 0.5)
    x, y = (columns - LENS.width / 2) / LENS.focal_pixels, -(rows - LENS.height / 2) / LENS.focal_pixels
    ray = np.stack([x, y, -np.ones_like(x)], axis=-1) @ view.world_from_cam[:3, :3].T
    index, nearest = np.zeros(x.shape, np.uint8), np.full(x.shape, np.inf)
    for label, (centre, radius) in enumerate(spheres, start=1):
        offset = view.world_from_cam[:3, 3] - centre
        a, b, c = (ray**2).sum(-1), ray @ offset, offset @ offset - radius**2
        inside = b**2 - a * c
        depth = np.where(inside > 0, (-b - np.sqrt(np.maximum(inside, 0))) / a, np.inf)
        nearer = depth < nearest
        index[nearer], nearest = label, np.minimum(nearest, depth)
    return Observed(view, index, np.where(index > 0, nearest, 0.0).astype(np.float32))


@pytest.fixture(scope="module")
def plan() -> Plan:
    views = rigs.rings(np.random.default_rng(0), np.zeros(3), ((12.0, 2.2), (38.0, 2.2)), 20, 4)
    things = tuple(Thing(f"ball_{k}", "a ball", "ball", (0.0, 0.0, 0.0)) for k in (1, 2))
    return Plan("tabletop", 0, LENS, views, things, ("ball_1", "ball_2"), {})


@pytest.fixture(scope="module")
def observed(plan) -> list[Observed]:
    return [seen(view) for view in plan.views]


@pytest.fixture(scope="module")
def folder(plan, observed, tmp_path_factory):
    out = tmp_path_factory.mktemp("scene") / "out"
    pictures = out.parent / "pictures"
    pictures.mkdir()
    for one in observed:
        Image.fromarray((one.index[..., None] * [90, 60, 30] + 20).astype(np.uint8)).save(
            pictures / f"{one.view.stem}.png"
        )
    written.write(plan, observed, {"kind": "tabletop", "seed": 0}, pictures, out)
    return out


def flat(index: np.ndarray, depth_z: np.ndarray) -> Observed:
    return Observed(View("train_000", np.eye(4)), index.astype(np.uint8), depth_z.astype(np.float32))


def test_the_click_is_the_middle_of_a_square():
    index = np.zeros((60, 80))
    index[20:35, 30:45] = 1  # 15 wide: the middle is 8 pixels deep, counting itself
    (row, column), margin = clicks.deepest(flat(index, np.full((60, 80), 2.0)), 1)
    assert (row, column, margin) == (27, 37, 8)


def test_a_jump_in_depth_inside_the_mask_is_an_edge():
    index, depth = np.zeros((60, 80)), np.full((60, 80), 2.0)
    index[10:41, 10:41] = 1
    depth[:, 30:] = 3.0  # a nearer part, 20 wide, and a farther one behind it, 11 wide
    (row, column), margin = clicks.deepest(flat(index, depth), 1)
    # Of the nearer part's 20 columns the last is at the jump: 19 are left, 10 deep.
    assert margin == 10 and column == 19 and 19 <= row <= 31


def test_three_clicks_hit_the_object_in_training_views_from_three_sides(plan, observed):
    contents = clicks.choose(LENS, observed, ["ball_1", "ball_2"], plan.clicked)
    maps = {o.view.file_name: o for o in observed}
    for label, entry in enumerate(contents["objects"], start=1):
        centre = SPHERES[label - 1][0]
        assert len({p["view"] for p in entry["points"]}) == 3
        sides = []
        for point in entry["points"]:
            one = maps[point["view"]]
            column, row = point["xy"]
            assert one.view.for_training and one.index[int(row), int(column)] == label
            side = one.view.world_from_cam[:3, 3] - centre
            sides.append(side / np.linalg.norm(side))
        likeness = np.array(sides) @ np.array(sides).T
        # Cameras on rings of 12 and 38 degrees: a third of a turn apart, cosines lie below cos 60.
        assert likeness[np.triu_indices(3, 1)].max() < 0.5


def test_an_object_out_of_sight_cannot_be_clicked(plan, observed):
    with pytest.raises(AssertionError, match="only 0 training views"):
        clicks.three_views(LENS, observed, 7)


def test_the_folder_passes_its_own_check_and_another_pose_fails_it(plan, observed, folder, capsys):
    written.check(plan, observed, folder)
    assert "1.0000 of" in capsys.readouterr().out  # spheres: what depth carries over meets its own mask
    contents = json.loads((folder / "transforms.json").read_text())
    kept = (folder / "transforms.json").read_text()
    for frame in contents["frames"]:
        pose = np.array(frame["transform_matrix"])
        pose[:3, 1:3] *= -1.0  # OpenCV's axes in place of OpenGL's
        frame["transform_matrix"] = pose.tolist()
    (folder / "transforms.json").write_text(json.dumps(contents))
    with pytest.raises((AssertionError, ZeroDivisionError)):
        written.check(plan, observed, folder)
    (folder / "transforms.json").write_text(kept)


def test_depth_is_millimetres_and_masks_are_exact(observed, folder):
    one = observed[3]
    with Image.open(folder / "depth" / f"{one.view.stem}.png") as file:
        depth = np.asarray(file).astype(float) / 1000.0
    np.testing.assert_allclose(depth, one.depth_z, atol=0.00051)
    with Image.open(folder / "masks" / "ball_2" / f"{one.view.stem}.png") as file:
        assert (np.asarray(file, bool) == (one.index == 2)).all()


def test_sanerf_reads_the_folder_and_sees_points_at_the_same_pixels(plan, folder):
    scene = load_scene(folder)
    assert (len(scene.train), len(scene.test)) == (20, 4)
    points = np.random.default_rng(1).uniform(-0.5, 0.5, (9, 3))
    p_world = scene.world_from_file.apply(torch.from_numpy(points))
    for number in (0, 7, 23):
        view = plan.views[number]
        loaded = scene.views[scene.view_index(view.file_name)].camera
        xy, _ = sanerf.geometry.cameras.project(loaded, p_world)
        np.testing.assert_allclose(xy.numpy(), project(LENS, view, points)[0], atol=1e-4)


def test_a_scene_larger_than_16_bits_of_millimetres_has_no_depth_there(tmp_path):
    far = np.full((4, 4), 80.0)
    far[0, 0] = 64.9996
    written.write_depth([flat(np.zeros((4, 4)), far)], tmp_path)
    with Image.open(tmp_path / "depth" / "train_000.png") as file:
        depth = np.asarray(file)
    assert depth[0, 0] == 65000 and (depth.ravel()[1:] == 0).all()


def test_a_clicked_thing_that_few_views_see_well_is_refused_before_any_picture(plan, observed, capsys):
    written.check_coverage(plan, observed)
    assert "20 of 20 training views" in capsys.readouterr().out
    hidden = [Observed(o.view, np.where(o.index == 2, 0, o.index), o.depth_z) for o in observed[:11]] + observed[11:]
    with pytest.raises(AssertionError, match="ball_2 is seen well in 9 training views, 10 are needed"):
        written.check_coverage(plan, hidden)
