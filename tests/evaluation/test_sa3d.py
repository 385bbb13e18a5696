"""SA3D as its paper states it: inverse rendering in closed form, decaying confidence, view rejection, the loop."""

import math

import pytest
import torch

from analytic_scene import BALL_RADIUS, PLAN, WALL_Z, camera_at, cast, in_ball, renderer_of, stage_renderer
from sanerf.aggregate.ray_bank import RayBank, build_ray_bank
from sanerf.aggregate.view_masks import ViewMask
from sanerf.evaluation.baselines.mask_grid import (
    MaskGrid,
    as_voted_field,
    inverse_render,
    projection_loss,
    render_mask,
)
from sanerf.evaluation.baselines.one_view import first_view, prompts_of_one_view
from sanerf.evaluation.baselines.sa3d import SA3DConfig, carry_mask, nearest_first, ray_spacing
from sanerf.evaluation.baselines.self_prompting import self_prompts, square_half_side
from sanerf.geometry.cameras import Camera
from sanerf.prompts.file import BoxPrompt, LineScribble, ObjectPrompts, PointPrompt2D, PointPrompt3D
from sanerf.prompts.lift import IN_SPACE, LiftedPrompts
from sanerf.render.renderer import KeptSamples
from sanerf.segmenter.protocol import ViewPrompts

CAMERAS = {
    number: camera_at(x, y, size=24, towards=(0.0, 0.0, 0.2))
    for number, (x, y) in enumerate([(0.0, 0.0), (0.5, 0.0), (-0.5, 0.0), (0.0, 0.5), (0.0, -0.5), (0.35, 0.35)])
}


def samples_at(points: list[list[float]], weights: list[float], rays: list[int], number: int) -> KeptSamples:
    return KeptSamples(torch.tensor(points), torch.tensor(weights), torch.tensor(rays), number)


def cube(side: int) -> MaskGrid:
    """Over [0, 1]³."""
    return MaskGrid(torch.zeros(3), torch.ones(3), torch.zeros(side, side, side))


def ball_masks() -> dict[int, ViewMask]:
    return {n: ViewMask(cast(camera)[1].reshape(24, 24).float(), 0.9) for n, camera in CAMERAS.items()}


@pytest.fixture(scope="module")
def bank() -> RayBank:
    return build_ray_bank(
        CAMERAS, stage_renderer(), total_rays=10**6, weight_threshold=1e-2, generator=torch.Generator()
    )


def test_a_slab_of_constant_confidence_renders_what_it_absorbs():
    """M = V (1 - exp(-sigma L)) for a ray that crosses a length L of density sigma, wholly inside of the grid."""
    density, depth = 3.0, 0.4
    plan = PLAN
    renderer = renderer_of(lambda p: density * ((p[:, 2] > 0) & (p[:, 2] < depth)).float(), plan=plan)
    cameras = {0: camera_at(0.0, 0.0, size=5)}
    bank = build_ray_bank(cameras, renderer, total_rays=10**6, weight_threshold=0.0, generator=torch.Generator())
    grid = MaskGrid(torch.full((3,), -0.9), torch.full((3,), 0.9), torch.full((4, 4, 4), 2.5))
    rendered = render_mask(grid, bank.gather(torch.arange(len(bank))))
    assert float(rendered[12]) == pytest.approx(2.5 * (1 - math.exp(-density * depth)), abs=0.02)


def test_the_gradient_of_the_loss_is_each_rays_weight_times_what_its_pixel_says():
    """At the centres of cells, so that each sample meets one cell: dL/dV = sum w (lambda (1 - m) - m)."""
    first, second = [0.25, 0.25, 0.25], [0.75, 0.25, 0.75]
    samples = samples_at([first, second, first, second], [0.5, 0.3, 0.2, 0.7], [0, 0, 1, 2], 3)
    mask = torch.tensor([1.0, 0.0, 1.0])
    grid = inverse_render(cube(2), samples, mask, negative_weight=0.15, learning_rate=2.0)
    expected = torch.zeros(2, 2, 2)
    expected[0, 0, 0] = 2 * (0.5 - 0.15 * 0.2)
    expected[1, 0, 1] = 2 * (0.3 + 0.7)
    torch.testing.assert_close(grid.values, expected)
    torch.testing.assert_close(render_mask(grid, samples), torch.tensor([0.5 * 0.94 + 0.3 * 2, 0.2 * 0.94, 0.7 * 2.0]))
    loss = projection_loss(torch.tensor([0.4, 0.6, 0.1]), mask, 0.15)
    assert float(loss) == pytest.approx(-0.5 + 0.15 * 0.6)


def test_the_loss_has_the_gradient_of_finite_differences_between_centres_too():
    generator = torch.Generator().manual_seed(3)
    points = torch.rand(12, 3, generator=generator, dtype=torch.float64)
    weights = torch.rand(12, generator=generator, dtype=torch.float64)
    samples = KeptSamples(points, weights, torch.arange(12) // 3, 4)
    mask = torch.tensor([1.0, 0.0, 1.0, 0.0], dtype=torch.float64)
    corner = torch.zeros(3, dtype=torch.float64)

    def loss(values: torch.Tensor) -> torch.Tensor:
        return projection_loss(render_mask(MaskGrid(corner, corner + 1, values), samples), mask, 0.15)

    values = torch.rand(3, 3, 3, generator=generator, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(loss, (values,))


def test_one_view_with_the_object_outweighs_six_without_it_and_not_seven():
    """lambda = 0.15: a place is the object's while fewer than 1 / 0.15 = 6.7 views deny it for each that has it."""
    place = samples_at([[0.25, 0.25, 0.25]], [0.8], [0], 1)
    grid = inverse_render(cube(2), place, torch.ones(1), negative_weight=0.15, learning_rate=1.0)
    for against in range(1, 8):
        grid = inverse_render(grid, place, torch.zeros(1), negative_weight=0.15, learning_rate=1.0)
        assert bool(grid.values[0, 0, 0] > 0) == (against <= 6)


def test_prompts_are_the_most_confident_and_then_those_near_to_one_of_them():
    """A row of pixels on a line in space, prompt by prompt by hand. A mask of seven takes out one to each side."""
    confidence = torch.tensor([[0.0, 0.5, 0.6, 1.0, 0.6, 0.5, 0.55, 0.9, -1.0]])
    x = torch.tensor([0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 13.0, 14.0])
    surface = torch.stack([x, torch.zeros(9), torch.zeros(9)], dim=-1)[None]
    assert square_half_side(7) == 1
    # From 3 distances are up to 10: 1, 5, 6 and 7 have 0.5 - 0.2, 0.5 - 0.2, 0.55 - 0.3 and 0.9 - 1. From 1 they are up
    # to 12, which brings 6 and 7 nothing: 0.55 - min(0.3, 5 / 12) and 0.9 - min(1, 1). After 5, only 7 remains, the
    # farthest from each of them.
    assert self_prompts(confidence, surface, 20).tolist() == [[0, 3], [0, 1], [0, 5]]
    assert self_prompts(confidence, surface, 2).tolist() == [[0, 3], [0, 1]]
    assert self_prompts(-confidence.abs(), surface, 20).tolist() == []


def test_a_far_surface_with_less_confidence_than_the_first_prompt_is_never_prompted():
    """Its decayed score is M(p) - M(p') < 0 at the largest distance: where all else is taken out, that is the end."""
    confidence = torch.zeros(9, 20)
    confidence[3:6, 2:5], confidence[3:6, 14:17] = 1.0, 0.8
    surface = torch.zeros(9, 20, 3)
    surface[..., 0] = torch.arange(20.0) / 1000
    surface[:, 10:, 2] = 50.0
    picked = self_prompts(confidence, surface, 20)
    assert 1 <= len(picked) < 20 and bool((picked[:, 1] < 10).all())


def test_views_come_nearest_first_to_any_before():
    xs = {7: 0.0, 3: 5.0, 4: 1.0, 9: -1.5, 1: 2.2}
    cameras = {view: camera_at(x, 0.0) for view, x in xs.items()}
    assert nearest_first(7, cameras) == [7, 4, 1, 9, 3]


def found_ball(field, camera: Camera) -> float:
    """IoU of a stored field's mask with the ball in a view."""
    bank = build_ray_bank(
        {0: camera}, stage_renderer(), total_rays=10**6, weight_threshold=1e-2, generator=torch.Generator()
    )
    samples = bank.gather(torch.arange(len(bank)))
    shares = torch.zeros(len(bank), 2).index_add(
        0, samples.ray_index, field(samples.p_world) * samples.weights[:, None]
    )
    found, true = shares[:, 1] > shares[:, 0], cast(camera)[1]
    return float((found & true).sum() / (found | true).sum())


def test_one_mask_comes_to_be_the_ball_in_a_view_that_was_not_asked(bank):
    truth = ball_masks()
    asked: dict[int, ViewPrompts] = {}

    def decode(view: int, prompts: ViewPrompts) -> list[ViewMask]:
        """The truth is among the hypotheses, and no other overlaps what is rendered as much."""
        asked[view] = prompts
        return [ViewMask(torch.ones(24, 24), 0.99), truth[view], ViewMask(1 - truth[view].probability, 0.95)]

    carried = carry_mask(0, truth[0], bank=bank, cameras=CAMERAS, decode=decode, config=SA3DConfig())
    assert carried is not None and carried.rejected == [] and carried.unseen == []
    assert set(carried.masks) == set(CAMERAS) and set(asked) == set(CAMERAS) - {0}
    for view, prompts in asked.items():
        column, row = prompts.points.long().unbind(-1)
        assert bool((prompts.labels == 1).all()) and bool((truth[view].probability[row, column] > 0.5).all())
    field = as_voted_field([carried.grid])
    assert found_ball(field, camera_at(-0.3, 0.3, size=24, towards=(0.0, 0.0, 0.2))) > 0.9
    inside = torch.tensor([[0.0, 0.0, -BALL_RADIUS + 0.01], [0.6, 0.6, 0.81]])
    assert in_ball(inside).tolist() == (field(inside).argmax(dim=1) == 1).tolist()


@pytest.mark.parametrize(("share", "rejected"), [(0.4, True), (0.6, False)])
def test_a_view_is_rejected_where_the_decoded_mask_overlaps_the_rendered_too_little(bank, share, rejected):
    """View 1's decoder finds so much of what the grid renders there; the grid is as if the view had not been."""
    truth = ball_masks()
    cameras = {view: CAMERAS[view] for view in (0, 1)}
    rendered: list[torch.Tensor] = []

    def decode(view: int, prompts: ViewPrompts) -> list[ViewMask]:
        first = carry_mask(0, truth[0], bank=bank, cameras={0: CAMERAS[0]}, decode=decode, config=SA3DConfig())
        assert first is not None
        of = bank.lattices[view].rays
        rendered.append(render_mask(first.grid, bank.gather(torch.arange(of.start, of.stop))) > 0)
        places = rendered[0].nonzero()[:, 0]
        part = torch.zeros(24 * 24)
        part[places[: round(share * len(places))]] = 1.0
        return [ViewMask(part.reshape(24, 24), 0.9)]

    alone = carry_mask(0, truth[0], bank=bank, cameras={0: CAMERAS[0]}, decode=decode, config=SA3DConfig())
    carried = carry_mask(0, truth[0], bank=bank, cameras=cameras, decode=decode, config=SA3DConfig())
    assert alone is not None and carried is not None
    assert carried.rejected == ([1] if rejected else []) and set(carried.masks) == ({0} if rejected else {0, 1})
    assert torch.equal(alone.grid.values, carried.grid.values) == rejected


def test_of_grids_that_claim_one_place_the_more_confident_has_it_and_none_where_both_deny():
    def grid(low: float, values: list[float]) -> MaskGrid:
        """A row of cells of width 0.25 from x = `low` on."""
        corner = torch.tensor([low, -0.1, -0.1])
        row = torch.tensor(values)[:, None, None]
        return MaskGrid(corner, corner + torch.tensor([0.25 * len(values), 0.2, 0.2]), row)

    field = as_voted_field([grid(-0.5, [1.0, 1.0, 0.8, -0.2]), grid(-0.25, [-0.5, 0.3, -0.2, 0.5])])
    places = torch.tensor([[x, 0.0, 0.0] for x in (-0.375, -0.125, 0.125, 0.375, 0.625)])
    # Scaled by their medians (1 and 0.3): 1 and -; 1 and -1.7; 0.8 and 1; both below zero; - and 1.7.
    assert field(places).argmax(dim=1).tolist() == [1, 1, 2, 0, 2]
    assert as_voted_field([grid(0.0, [-1.0, 0.0])])(places).argmax(dim=1).tolist() == [0] * 5


def test_rays_on_the_wall_are_as_far_apart_as_pixels_at_its_depth(bank):
    """Pixels of 1/24 radian at a depth of 2 from the frontal camera; none where the mask is a single column."""
    spacing = ray_spacing(bank, 0, CAMERAS[0], ~cast(CAMERAS[0])[1])
    assert spacing == pytest.approx((WALL_Z + 1.2) / 24, rel=0.02)
    column = torch.zeros(24, 24, dtype=torch.bool)
    column[:, 3] = True
    assert ray_spacing(bank, 0, CAMERAS[0], column.reshape(-1)) == 0.0


def test_of_all_prompts_those_of_the_first_view_with_one_inside_are_asked():
    outside, inside = PointPrompt2D("a", (1.0, 1.0), 0), PointPrompt2D("b", (2.0, 2.0), 1)
    other = PointPrompt2D("a", (3.0, 3.0), 1)
    box, line = BoxPrompt("b", (0.0, 0.0, 4.0, 4.0)), LineScribble("b", ((1.0, 1.0),), 0)
    space = PointPrompt3D((0.0, 0.0, 0.0), 1)
    entry = ObjectPrompts("ball", (outside, inside, other), (space,), (box,), None, (line,))
    assert prompts_of_one_view(entry) == ObjectPrompts("ball", (inside,), (), (box,), None, (line,))
    alone = ObjectPrompts("ball", (), (space,))
    assert prompts_of_one_view(alone) == alone


def test_the_first_view_is_the_asked_one_or_the_nearest_training_view_that_sees_the_point():
    """Views 1 and 2 lie to the sides, 3 below; the back of the ball is seen by none."""
    training, cameras, renderer = {n: CAMERAS[n] for n in (1, 2, 3)}, list(CAMERAS.values()), stage_renderer()
    front = LiftedPrompts("ball", torch.tensor([[0.0, 0.0, -BALL_RADIUS]]), torch.tensor([1]), (IN_SPACE,))
    for asked, expected in ((2, 2), (None, 1), (5, 1)):
        found = first_view(front, asked, cameras, training, renderer)
        assert found is not None and found[0] == expected and found[1].labels.tolist() == [1]
    back = LiftedPrompts("ball", torch.tensor([[0.0, 0.0, BALL_RADIUS]]), torch.tensor([1]), (IN_SPACE,))
    assert first_view(back, None, cameras, training, renderer) is None


def test_nothing_solid_under_the_first_mask_is_no_grid(bank):
    empty = ViewMask(torch.zeros(24, 24), 0.9)
    assert carry_mask(0, empty, bank=bank, cameras=CAMERAS, decode=lambda *_: [empty], config=SA3DConfig()) is None
