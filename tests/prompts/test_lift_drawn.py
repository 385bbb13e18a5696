"""Scribbles and masks in the world: on the stage's ball and wall in closed form, and back as prompts of views."""

import numpy as np
import pytest
import torch
from PIL import Image
from test_lift import CAMERAS, FILE_SCALE, FRONT, SIDE, lift_object, no_box

from analytic_scene import BALL_RADIUS, BIN, OPAQUE, cast, in_ball, renderer_of, stage_renderer
from sanerf.data.scene import Scene, View
from sanerf.errors import UserError
from sanerf.geometry.cameras import project, resized
from sanerf.geometry.transforms import IDENTITY
from sanerf.prompts.file import LineScribble, MaskPrompt, ObjectPrompts, PaintedScribble, PointPrompt2D
from sanerf.prompts.lift import MASK_LOGIT, view_prompts
from sanerf.prompts.scribble import line_clicks

SIDE_OF_FILE = 32 * FILE_SCALE


@pytest.fixture(scope="module")
def scene(tmp_path_factory) -> Scene:
    root = tmp_path_factory.mktemp("drawn")
    views = tuple(
        View(f"{name}.jpg", root / f"{name}.jpg", resized(camera, SIDE_OF_FILE, SIDE_OF_FILE))
        for name, camera in zip(("front", "side"), CAMERAS, strict=True)
    )
    return Scene(root, "made up", views, (0, 1), (), IDENTITY, 0.05, 3.0)


@pytest.fixture(scope="module")
def renderer():
    return stage_renderer()


def line(*corners: tuple[float, float], label: int = 1) -> LineScribble:
    """A scribble in the front view, in pixels of the run."""
    return LineScribble("front.jpg", tuple((FILE_SCALE * x, FILE_SCALE * y) for x, y in corners), label)


def saved(path, mask: np.ndarray):
    Image.fromarray(mask.astype(np.uint8) * 255).save(path)
    return path


def test_a_scribble_on_the_wall_lies_on_the_wall_under_its_clicks(scene, renderer):
    """The front view sees the wall, of depth_z 2, at 2 ((x, y) - 16) / 32."""
    corners = [(2.0, 3.0), (29.0, 4.0)]
    drawn = ObjectPrompts("thing", scribbles=(line((16.0, 16.0)), line(*corners, label=0)))
    found = lift_object(drawn, scene, CAMERAS, renderer, no_box)
    clicks = line_clicks([(FILE_SCALE * x, FILE_SCALE * y) for x, y in corners], SIDE_OF_FILE, SIDE_OF_FILE)
    assert found.labels.tolist() == [1] + [0] * len(clicks) and 1 < len(clicks) <= 6
    on_wall = torch.cat([2 * (clicks / FILE_SCALE - 16) / 32, torch.full((len(clicks), 1), 0.8)], dim=1)
    assert (found.p_world[1:] - on_wall).abs().max() < BIN
    assert (found.p_world[0] - torch.tensor([0.0, 0.0, -BALL_RADIUS])).abs().max() < BIN


def test_of_a_scribble_over_an_edge_only_what_is_solid_counts(scene):
    ball_alone = renderer_of(lambda p: OPAQUE * in_ball(p).float())
    across = ObjectPrompts("ball", scribbles=(line((0.0, 16.0), (31.9, 16.0)),))
    found = lift_object(across, scene, CAMERAS, ball_alone, no_box)
    clicks = line_clicks([(0.0, 64.0), (127.6, 64.0)], SIDE_OF_FILE, SIDE_OF_FILE)
    assert 0 < len(found.p_world) < len(clicks)
    assert (found.p_world.norm(dim=-1) - BALL_RADIUS).abs().max() < 3 * BIN
    air = ObjectPrompts(
        "air", (PointPrompt2D("front.jpg", (64.0, 64.0), 1),), scribbles=(line((1.0, 1.0), (4.0, 1.0)),)
    )
    with pytest.raises(UserError, match=r"the scribble of the object 'air' in front\.jpg is on empty space"):
        lift_object(air, scene, CAMERAS, ball_alone, no_box)


def test_a_scribble_outside_alone_is_no_object(scene, renderer):
    with pytest.raises(UserError, match="the object 'thing' has no point inside it"):
        lift_object(ObjectPrompts("thing", scribbles=(line((3.0, 3.0), label=0),)), scene, CAMERAS, renderer, no_box)


def test_a_painted_stroke_is_lifted_as_a_drawn_one(scene, renderer, tmp_path):
    stroke = np.zeros((SIDE_OF_FILE, SIDE_OF_FILE), dtype=bool)
    stroke[14:19, 8:120] = True
    path = saved(tmp_path / "stroke.png", stroke)
    found = lift_object(
        ObjectPrompts("wall", scribbles=(PaintedScribble("front.jpg", path, 1),)), scene, CAMERAS, renderer, no_box
    )
    assert 1 < len(found.p_world) <= 6
    assert (found.p_world[:, 2] - 0.8).abs().max() < BIN
    # Row 16.5 of the file is its middle.
    assert (found.p_world[:, 1] - 2 * (16.5 / FILE_SCALE - 16) / 32).abs().max() < 1e-3


@pytest.fixture
def ball_mask(scene, tmp_path):
    """The ball's own silhouette in the front view, at the file's resolution."""
    return saved(tmp_path / "ball.png", cast(scene.views[0].camera)[1].reshape(SIDE_OF_FILE, SIDE_OF_FILE).numpy())


def test_a_mask_is_logits_in_its_own_view_and_a_few_points_on_the_thing_elsewhere(scene, renderer, ball_mask):
    prompts = ObjectPrompts("ball", masks=(MaskPrompt("front.jpg", ball_mask),))
    found = lift_object(prompts, scene, CAMERAS, renderer, no_box)
    assert 1 <= len(found.p_world) <= 3 and found.labels.tolist() == [1] * len(found.p_world)
    assert (found.p_world.norm(dim=-1) - BALL_RADIUS).abs().max() < 3 * BIN
    front = view_prompts(found, 0, FRONT, renderer)
    side = view_prompts(found, 1, SIDE, renderer)
    assert front is not None and front.mask_logits is not None and len(front.points) == len(found.p_world)
    # 20 m - 10 of the share of each pixel that is covered: the mean of 4 x 4 pixels of the file.
    whole = cast(scene.views[0].camera)[1].reshape(32, FILE_SCALE, 32, FILE_SCALE).double().mean(dim=(1, 3))
    torch.testing.assert_close(front.mask_logits.double(), 20 * whole - 10, atol=1e-5, rtol=0)
    assert front.mask_logits.min() == -MASK_LOGIT and front.mask_logits.max() == MASK_LOGIT
    assert side is not None and side.mask_logits is None
    visible = project(SIDE, found.p_world)[0]
    assert all(bool((visible - point).norm(dim=-1).min() < 1e-3) for point in side.points)


def test_in_its_own_view_a_mask_is_asked_even_where_its_points_are_hidden(renderer):
    from sanerf.prompts.lift import LiftedPrompts

    behind = LiftedPrompts(
        "thing", torch.tensor([[0.0, 0.0, 0.8]]), torch.tensor([1]), (0,), masks={0: torch.zeros(32, 32)}
    )
    front = view_prompts(behind, 0, FRONT, renderer)
    assert front is not None and len(front.points) == 0 and front.mask_logits is not None


def test_a_mask_of_a_thing_thinner_than_a_pixel_still_has_points(scene, renderer, tmp_path):
    thin = np.zeros((SIDE_OF_FILE, SIDE_OF_FILE), dtype=bool)
    thin[65, 40:90] = True
    found = lift_object(
        ObjectPrompts("line", masks=(MaskPrompt("front.jpg", saved(tmp_path / "thin.png", thin)),)),
        scene, CAMERAS, renderer, no_box,
    )  # fmt: skip
    assert len(found.p_world) > 0
    assert bool((project(FRONT, found.p_world)[0][:, 1].floor() == 16).all())


def test_a_mask_of_empty_space_is_named(scene, tmp_path):
    ball_alone = renderer_of(lambda p: OPAQUE * in_ball(p).float())
    sky = np.zeros((SIDE_OF_FILE, SIDE_OF_FILE), dtype=bool)
    sky[:20, :20] = True
    mask = MaskPrompt("front.jpg", saved(tmp_path / "sky.png", sky))
    with pytest.raises(UserError, match="nothing solid in the mask of the object 'air'; give it a point inside"):
        lift_object(ObjectPrompts("air", masks=(mask,)), scene, CAMERAS, ball_alone, no_box)
    with_click = ObjectPrompts("air", (PointPrompt2D("front.jpg", (64.0, 64.0), 1),), masks=(mask,))
    assert len(lift_object(with_click, scene, CAMERAS, ball_alone, no_box).p_world) == 1
