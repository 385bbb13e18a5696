"""Clicks to points of the stage and back to views, in closed form; boxes; who hides whom."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from analytic_scene import BIN, OPAQUE, camera_at, cast, in_ball, renderer_of, stage_renderer
from sanerf.data.scene import Scene, View
from sanerf.errors import UserError
from sanerf.geometry.cameras import project, resized
from sanerf.geometry.transforms import Similarity
from sanerf.prompts.file import BoxPrompt, ObjectPrompts, PointPrompt2D, PointPrompt3D
from sanerf.prompts.lift import LiftedPrompts, lift_objects, points_inside, sparse_depth, to_run_pixels, view_prompts

FRONT, SIDE = camera_at(0.0, 0.0, size=32), camera_at(-1.2, 0.0, size=32, towards=(0.0, 0.0, 0.2))
CAMERAS = [FRONT, SIDE]
FILE_SCALE = 4
"""Image files are four times the run's resolution."""
WORLD_FROM_FILE = Similarity(0.5, torch.eye(3, dtype=torch.float64), torch.tensor([1.0, 0.0, 0.0]).double())


@pytest.fixture(scope="module")
def scene(tmp_path_factory) -> Scene:
    root = tmp_path_factory.mktemp("capture")
    views = tuple(
        View(f"{name}.jpg", root / f"{name}.jpg", resized(camera, 32 * FILE_SCALE, 32 * FILE_SCALE))
        for name, camera in zip(("front", "side"), CAMERAS, strict=True)
    )
    return Scene(root, "made up", views, (0, 1), (), WORLD_FROM_FILE, 0.05, 3.0)


@pytest.fixture(scope="module")
def renderer():
    return stage_renderer()


def lift_object(prompts: ObjectPrompts, *rest) -> LiftedPrompts:
    (lifted,) = lift_objects([prompts], *rest)
    return lifted


def no_box(view, prompts):
    raise AssertionError("no box was given")


def click(x: float, y: float, label: int = 1, view: str = "front.jpg") -> PointPrompt2D:
    return PointPrompt2D(view, (x * FILE_SCALE, y * FILE_SCALE), label)


def test_clicks_come_to_lie_on_the_wall_and_on_the_ball(scene, renderer):
    """The front view sees the wall, of depth_z 2, at 2 ((x, y) - 16) / 32, and the ball by its front."""
    prompts = ObjectPrompts("thing", (click(4.25, 6.5), click(16.0, 16.0), click(28.5, 25.75, label=0)))
    found = lift_object(prompts, scene, CAMERAS, renderer, no_box)
    expected = torch.tensor(
        [[2 * (4.25 - 16) / 32, 2 * (6.5 - 16) / 32, 0.8], [0, 0, -0.35], [25 / 32, 19.5 / 32, 0.8]]
    )
    assert (found.p_world - expected).abs().max() < BIN
    assert found.labels.tolist() == [1, 1, 0] and found.name == "thing" and found.boxes == {}


def test_points_of_space_are_taken_from_the_files_frame(scene, renderer):
    prompts = ObjectPrompts("thing", (click(16.0, 16.0),), (PointPrompt3D((2.0, -4.0, 6.0), 0),))
    found = lift_object(prompts, scene, CAMERAS, renderer, no_box)
    torch.testing.assert_close(found.p_world[1], torch.tensor([2.0, -2.0, 3.0]))
    assert found.labels.tolist() == [1, 0]


def test_labels_stay_with_their_clicks_across_views_and_names_of_views(scene, renderer):
    """`side`, `side.jpg`: two names of one view; each click is lifted once."""
    prompts = ObjectPrompts(
        "thing",
        (click(15.0, 16.0, 0, "side.jpg"), click(16.0, 16.0, 1), click(17.0, 16.0, 1, "side"), click(4.0, 6.0, 0)),
    )
    found = lift_object(prompts, scene, CAMERAS, renderer, no_box)
    assert len(found.p_world) == len(found.labels) == 4
    back = {(round(float(x)), round(float(y))): int(label) for (x, y), label in zip(
        project(FRONT, found.p_world[:2])[0], found.labels[:2], strict=True)}  # fmt: skip
    assert back == {(16, 16): 1, (4, 6): 0}
    back = {(round(float(x)), round(float(y))): int(label) for (x, y), label in zip(
        project(SIDE, found.p_world[2:])[0], found.labels[2:], strict=True)}  # fmt: skip
    assert back == {(15, 16): 0, (17, 16): 1}


def test_a_box_is_decoded_where_it_was_drawn_and_stands_as_points_elsewhere(scene, renderer):
    ball = cast(FRONT)[1].reshape(32, 32)
    asked = []

    def mask_of_box(view, prompts):
        asked.append((view, prompts.box.tolist(), len(prompts.points)))
        return ball

    prompts = ObjectPrompts("ball", boxes=(BoxPrompt("front.jpg", (32.0, 36.0, 96.0, 92.0)),))
    found = lift_object(prompts, scene, CAMERAS, renderer, mask_of_box)
    assert asked == [(0, [8.0, 9.0, 24.0, 23.0], 0)]
    assert found.boxes[0].tolist() == [8.0, 9.0, 24.0, 23.0]
    assert 1 <= len(found.p_world) <= 3 and found.labels.tolist() == [1] * len(found.p_world)
    torch.testing.assert_close(
        found.p_world.norm(dim=-1), torch.full((len(found.p_world),), 0.35), rtol=0, atol=3 * BIN
    )


def test_a_point_in_a_boxs_mask_on_empty_space_is_passed_over(scene):
    """The mask is a bar of the sky over a square of the ball; of the points inside it only those on the ball count."""
    ball_alone = renderer_of(lambda p: OPAQUE * in_ball(p).float())
    mask = torch.zeros(32, 32, dtype=torch.bool)
    mask[0:6, 0:32] = mask[11:21, 11:21] = True
    assert points_inside(mask, count=3)[:, 1].min() < 6, "no point would lie in the sky"
    box = ObjectPrompts("ball", boxes=(BoxPrompt("front.jpg", (32.0, 36.0, 96.0, 92.0)),))
    found = lift_object(box, scene, CAMERAS, ball_alone, lambda view, prompts: mask)
    assert len(found.p_world) > 0 and found.labels.tolist() == [1] * len(found.p_world)
    assert (found.p_world.norm(dim=-1) - 0.35).abs().max() < 3 * BIN


def test_a_box_with_nothing_solid_in_it_is_named_as_such(scene):
    ball_alone = renderer_of(lambda p: OPAQUE * in_ball(p).float())
    sky = torch.zeros(32, 32, dtype=torch.bool)
    sky[0:6, 0:6] = True
    box = BoxPrompt("front.jpg", (0.0, 0.0, 24.0, 24.0))
    for mask in (sky, torch.zeros_like(sky)):
        with pytest.raises(UserError, match="nothing solid in the box of the object 'air'; give it a point"):
            lift_object(ObjectPrompts("air", boxes=(box,)), scene, CAMERAS, ball_alone, lambda v, p, mask=mask: mask)
    # A click beside it is enough.
    with_click = ObjectPrompts("air", (click(16.0, 16.0),), boxes=(box,))
    assert len(lift_object(with_click, scene, CAMERAS, ball_alone, lambda view, prompts: sky).p_world) == 1


@pytest.mark.parametrize(
    ("prompts", "message"),
    [
        (ObjectPrompts("cape", text="golden cape"), "the object 'cape' has only a text prompt"),
        (ObjectPrompts("cape", (click(16.0, 16.0, 0),)), "the object 'cape' has no point inside it"),
        (ObjectPrompts("cape", (click(40.0, 16.0),)), r"the click at \(40\.0, 16\.0\) is outside of front\.jpg"),
    ],
)
def test_prompts_that_cannot_be_lifted_are_named(scene, renderer, prompts, message):
    with pytest.raises(UserError, match=message):
        lift_object(prompts, scene, CAMERAS, renderer, no_box)


def test_a_click_on_empty_space_is_named(scene):
    ball_alone = renderer_of(lambda p: OPAQUE * in_ball(p).float())
    with pytest.raises(UserError, match=r"in front\.jpg is on empty space"):
        lift_object(ObjectPrompts("air", (click(2.0, 2.0),)), scene, CAMERAS, ball_alone, no_box)


def test_no_box_is_decoded_before_all_clicks_are_known_to_be_good(scene):
    ball_alone = renderer_of(lambda p: OPAQUE * in_ball(p).float())
    boxed = ObjectPrompts("ball", boxes=(BoxPrompt("front.jpg", (32.0, 36.0, 96.0, 92.0)),))
    for bad, message in (
        (ObjectPrompts("air", (click(2.0, 2.0),), boxes=boxed.boxes), "is on empty space"),
        (ObjectPrompts("rest", (click(16.0, 16.0, 0),)), "the object 'rest' has no point inside it"),
        (ObjectPrompts("cape", text="golden cape"), "the object 'cape' has only a text prompt"),
    ):
        with pytest.raises(UserError, match=message):
            lift_objects([boxed, bad], scene, CAMERAS, ball_alone, no_box)


def test_a_click_outside_needs_a_point_inside_also_from_a_box(scene, renderer):
    box = BoxPrompt("front.jpg", (32.0, 36.0, 96.0, 92.0))
    outside = ObjectPrompts("ball", (click(4.0, 6.0, 0),), boxes=(box,))
    ball = cast(FRONT)[1].reshape(32, 32)
    found = lift_object(outside, scene, CAMERAS, renderer, lambda view, prompts: ball)
    assert found.labels[0] == 0 and len(found.labels) > 1 and bool((found.labels[1:] == 1).all())
    with pytest.raises(UserError, match="the object 'ball' has no point inside it"):
        lift_object(outside, scene, CAMERAS, renderer, lambda view, prompts: torch.zeros_like(ball))


def test_to_run_pixels_scales_about_the_pictures_corner(scene):
    xy = torch.tensor([[0.0, 0.0], [128.0, 64.0], [2.0, 2.0]])
    assert to_run_pixels(scene, CAMERAS, 0, xy).tolist() == [[0.0, 0.0], [32.0, 16.0], [0.5, 0.5]]


def test_sparse_depth_is_rendered_for_nine_pixels_a_point_and_no_more(renderer):
    xy = torch.tensor([[4.2, 6.9], [0.0, 0.0], [-5.0, 3.0]])
    depth_z, accumulation = sparse_depth(renderer, FRONT, xy)
    rendered = torch.zeros(32, 32, dtype=torch.bool)
    rendered[5:8, 3:6] = rendered[0:2, 0:2] = True
    assert torch.equal(~depth_z.isnan(), rendered)
    assert not accumulation[~rendered].any()
    assert (depth_z[5:8, 3:6] - 2.0).abs().max() < BIN


def on_ball_and_behind() -> LiftedPrompts:
    """On the ball's front; on the wall straight behind; on the wall, off to one side."""
    p_world = torch.tensor([[0.0, 0.0, -0.35], [0.0, 0.0, 0.8], [-0.6, 0.4, 0.8]])
    return LiftedPrompts("thing", p_world, torch.tensor([1, 0, 1]), (0, 0, 0))


def test_the_ball_hides_what_is_behind_it_and_only_that(renderer):
    front = view_prompts(on_ball_and_behind(), 0, FRONT, renderer)
    side = view_prompts(on_ball_and_behind(), 1, SIDE, renderer)
    assert front is not None and front.labels.tolist() == [1, 1]
    # f / z = 32 / 0.85 for the ball's front and 32 / 2 for the wall.
    torch.testing.assert_close(front.points, torch.tensor([[16.0, 16.0], [16 - 0.6 * 16, 16 + 0.4 * 16]]))
    assert side is not None and 0 in side.labels.tolist()


def test_a_view_in_which_only_the_outside_is_seen_is_not_asked(renderer):
    p_world = torch.tensor([[0.0, 0.0, 0.8], [-0.6, 0.4, 0.8]])
    hidden = LiftedPrompts("thing", p_world, torch.tensor([1, 0]), (0, 0))
    assert view_prompts(hidden, 0, FRONT, renderer) is None
    # With a box drawn in this very view it is asked all the same.
    box = torch.tensor([8.0, 9.0, 24.0, 23.0])
    asked = view_prompts(replace(hidden, boxes={0: box}), 0, FRONT, renderer)
    assert asked is not None and asked.labels.tolist() == [0] and asked.box is box
    assert view_prompts(replace(hidden, boxes={1: box}), 0, FRONT, renderer) is None


def test_a_point_before_empty_space_is_seen():
    ball_alone = renderer_of(lambda p: OPAQUE * in_ball(p).float())
    floating = LiftedPrompts("thing", torch.tensor([[0.6, 0.5, 0.2]]), torch.tensor([1]), (0,))
    assert view_prompts(floating, 0, FRONT, ball_alone) is not None


def disk(radius: float, hole: float = -1.0) -> Tensor:
    rows, columns = torch.meshgrid(torch.arange(41) - 20, torch.arange(61) - 30, indexing="ij")
    square = rows**2 + columns**2
    return (square <= radius**2) & (square > hole * abs(hole))


def test_a_disk_is_its_centre():
    assert points_inside(disk(12.0), count=3).tolist() == [[30.5, 20.5]]


def test_a_rings_points_lie_on_its_middle_line_and_apart():
    found = points_inside(disk(18.0, hole=10.0), count=3)
    assert len(found) == 3
    radii = (found - torch.tensor([30.5, 20.5])).norm(dim=-1)
    assert (radii - 14).abs().max() < 1.5
    # Each clears a circle of twice its depth, about 4 here.
    apart = torch.cdist(found, found) + 100 * torch.eye(3)
    assert float(apart.min()) > 8


def test_points_inside_is_about_depth_also_at_the_pictures_border():
    full = torch.ones(9, 9, dtype=torch.bool)
    assert points_inside(full, count=1).tolist() == [[4.5, 4.5]]
    assert points_inside(torch.zeros(9, 9, dtype=torch.bool), count=3).shape == (0, 2)
    one = torch.zeros(9, 9, dtype=torch.bool)
    one[7, 2] = True
    assert points_inside(one, count=3).tolist() == [[2.5, 7.5]]
