"""The exact scenes in Blender itself; skipped where its module is not installed, which needs Python 3.11."""

import math

import numpy as np
import pytest

bpy = pytest.importorskip("bpy", reason="needs Blender's Python module, bpy 5.0.1")


from blender_parts import resumable  # noqa: E402
from blender_parts.views import Lens, View, look_at  # noqa: E402
from exact_scenes import draw, packing  # noqa: E402
from exact_scenes.kinds import KINDS, make_plan  # noqa: E402
from exact_scenes.plan import Counts  # noqa: E402

COUNTS = Counts(4, 2, 80)


def points_of(parts) -> np.ndarray:
    """World vertices (N x 3) of the parts' meshes, modifiers and the thickness of tubes included."""
    bpy.context.view_layer.update()
    graph = bpy.context.evaluated_depsgraph_get()
    evaluated = [part.evaluated_get(graph) for part in parts]
    return np.array([one.matrix_world @ vertex.co for one in evaluated for vertex in one.to_mesh().vertices])


@pytest.mark.parametrize("maker", sorted(packing.FOOTPRINTS))
def test_a_thing_lies_within_its_footprint(maker):
    bpy.ops.wm.read_factory_settings(use_empty=True)
    options = {"seed": 3} if maker in ("vase", "carton", "stacking_rings", "car", "dumbbell") else {}
    if maker == "book":
        options = {"cover": (0.1, 0.1, 0.1), "stripe": (0.2, 0.2, 0.2), "size": (0.15, 0.2, 0.03)}
    if maker == "ball":
        options = {"first": (0.1, 0.1, 0.1), "second": (0.2, 0.2, 0.2)}
    parts = draw.MAKERS[maker](maker, **options)
    points = points_of(parts)
    reach = float(np.hypot(points[:, 0], points[:, 1]).max())
    assert reach <= packing.FOOTPRINTS[maker] * 1.02
    assert reach >= packing.FOOTPRINTS[maker] * 0.6, "the footprint is far too large"


@pytest.mark.parametrize("kind", KINDS)
def test_every_thing_of_a_plan_is_built_with_its_own_label_and_stands_on_something(kind):
    plan = make_plan(kind, 1, COUNTS)
    draw.build(plan)
    labelled = {k: [o for o in bpy.context.scene.objects if o.pass_index == k] for k in range(1, len(plan.things) + 1)}
    for thing, parts in zip(plan.things, labelled.values(), strict=True):
        assert parts, thing.name
        low = points_of(parts)[:, 2].min()
        assert -0.12 < low - thing.position[2] < 0.03, (thing.name, low)


def test_a_balls_mask_and_depth_are_those_of_a_sphere(tmp_path):
    plan = make_plan("outdoor", 0, COUNTS)
    ball = next(thing for thing in plan.things if thing.name == "ball")
    centre, radius = np.add(ball.position, (0.0, 0.0, 0.22)), 0.22
    lens = Lens(120, 90, 40.0)
    view = View("train_000", look_at(np.add(centre, (1.2, -0.9, 0.7)), centre))

    def build() -> None:
        draw.build(plan)
        for shape in bpy.context.scene.objects:
            shape.hide_render = shape.type not in {"EMPTY", "CAMERA"} and not shape.name.startswith("ball")

    (tmp_path / "labels").mkdir()
    one = resumable.render_labels(build, lens, [view], tmp_path)[0]
    columns, rows = np.meshgrid(np.arange(120) + 0.5, np.arange(90) + 0.5)
    ray = np.stack([(columns - 60) / lens.focal_pixels, -(rows - 45) / lens.focal_pixels, -np.ones_like(rows)], axis=-1)
    unit = ray / np.linalg.norm(ray, axis=-1, keepdims=True)
    far = math.dist(view.world_from_cam[:3, 3], centre)
    off_axis = far * np.sqrt(1.0 - unit[..., 2] ** 2)
    label = 1 + [thing.name for thing in plan.things].index("ball")
    # The mesh has 40 x 24 faces, which lie up to 1 % inside the sphere.
    assert (one.index[off_axis < 0.985 * radius] == label).all()
    assert (one.index[off_axis > radius] == 0).all()
    assert one.depth_z[45, 60] == pytest.approx(far - radius, abs=0.004)


def test_labels_are_the_same_on_a_second_run_and_done_ones_are_reused(tmp_path):
    plan = make_plan("thin", 0, COUNTS)
    lens, views = plan.lens, plan.views[:2]
    maps = []
    for run in ("a", "b"):
        (tmp_path / run / "labels").mkdir(parents=True)
        maps.append(resumable.render_labels(lambda: draw.build(plan), lens, views, tmp_path / run))
    for first, second in zip(*maps, strict=True):
        assert (first.index == second.index).all() and (first.depth_z == second.depth_z).all()
        assert first.index.any()

    def refuse() -> None:
        raise AssertionError("nothing is missing")

    again = resumable.render_labels(refuse, lens, views, tmp_path / "a")
    assert (again[0].index == maps[0][0].index).all()
    with pytest.raises(AssertionError, match="nothing is missing"):
        (tmp_path / "a" / "labels" / f"{views[0].stem}.exr").unlink()
        resumable.render_labels(refuse, lens, views, tmp_path / "a")


def test_a_picture_is_lit_and_not_burnt_out(tmp_path):
    plan = make_plan("room", 0, COUNTS)
    (tmp_path / "pictures").mkdir()
    resumable.render_pictures(
        lambda: draw.build(plan), plan.lens, plan.views[:1], tmp_path, samples=2, seed=0, prefilter="FAST"
    )
    image = bpy.data.images.load(str(tmp_path / "pictures" / "train_000.png"))
    pixels = np.array(image.pixels[:]).reshape(-1, 4)[:, :3]
    assert 0.2 < pixels.mean() < 0.7
    assert pixels.std() > 0.08 and (pixels > 0.99).mean() < 0.02
