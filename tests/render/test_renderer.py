"""Volume rendering of fields in closed form: a fog, a wall, a ball before a wall."""

import math

import pytest
import torch

from analytic_scene import (
    BIN,
    BLUE,
    OPAQUE,
    PLAN,
    RED,
    AnalyticField,
    camera_at,
    cast,
    numba_kernels,
    renderer_of,
    stage_renderer,
)
from sanerf.geometry.cameras import Rays, image_rays
from sanerf.kernels.reference import SamplingPlan, composite_weights
from sanerf.render.renderer import (
    LEAST_LIGHT,
    RaySamples,
    accumulate,
    composite_colour,
    keep_samples,
    median_distance,
    render_output,
    sample_rays,
)


def packed(edges: torch.Tensor, density: torch.Tensor) -> RaySamples:
    """Samples on the x axis with the given density and no geometry."""
    middles = (edges[:, 1:] + edges[:, :-1]) / 2
    p_world = torch.nn.functional.pad(middles[..., None], (0, 2))
    return RaySamples(edges, p_world, composite_weights(density, edges.diff(dim=-1)), density, p_world)


def weighed(edges: list[float], weights: list[float]) -> RaySamples:
    w = torch.tensor([weights])
    return RaySamples(torch.tensor([edges]), torch.zeros(1, w.shape[1], 3), w, w, torch.zeros(1, w.shape[1], 3))


FOG_COLOUR = AnalyticField(lambda p: torch.ones(len(p)), lambda p: torch.full_like(p, 0.5))


@pytest.mark.parametrize("sigma", [0.2, 2.0, 15.0])
def test_a_fog_has_its_closed_forms(sigma):
    """Constant density on [1, 3]: 1 - e^-2s of the light; half of it by the median, and the mean in between."""
    edges = torch.linspace(1, 3, 2001)[None]
    samples = packed(edges, torch.full((1, 2000), sigma))
    out = render_output(FOG_COLOUR, samples, torch.tensor([[1.0, 0.0, 0.0]]))
    absorbed = 1 - math.exp(-2 * sigma)
    assert float(out.accumulation) == pytest.approx(absorbed, abs=5e-5)
    assert float(out.distance) == pytest.approx(1 - math.log(1 - absorbed / 2) / sigma, abs=1e-3)
    assert float(out.mean_distance) == pytest.approx(1 + 1 / sigma - 2 * (1 - absorbed) / absorbed, abs=1e-3)


def test_the_median_is_interpolated_inside_its_interval():
    # Gathered 0.1, 0.3, 0.8 of 0.8: half of it, 0.4, is a fifth of the way through the third interval.
    found = median_distance(weighed([0.0, 1.0, 2.0, 4.0], [0.1, 0.2, 0.5]))
    torch.testing.assert_close(found, torch.tensor([2.4]))
    # All in the first interval: its middle.
    torch.testing.assert_close(median_distance(weighed([1.0, 3.0, 4.0], [0.6, 0.0])), torch.tensor([2.0]))


def test_the_median_lies_on_a_surface_where_the_mean_lies_between_two():
    out = render_output(FOG_COLOUR, weighed([1.0, 1.02, 3.0, 3.02], [0.6, 0.0, 0.4]), torch.tensor([[1.0, 0.0, 0.0]]))
    assert 1.0 < float(out.distance) < 1.02
    assert float(out.mean_distance) == pytest.approx(0.6 * 1.01 + 0.4 * 3.01)


def test_a_ray_that_hits_nothing_is_far():
    out = render_output(FOG_COLOUR, weighed([0.1, 1.0, 2.0], [0.0, 0.0]), torch.tensor([[1.0, 0.0, 0.0]]))
    assert (float(out.accumulation), float(out.distance)) == (0.0, 2.0)
    assert not out.rgb.any()


def test_a_ball_before_a_wall_is_where_ray_casting_finds_it():
    camera = camera_at(0.1, -0.15, size=24)
    rays = image_rays(camera)
    samples = stage_renderer().samples(rays)
    out = render_output(stage_renderer().field, samples, rays.directions)
    distance, ball = cast(camera)
    solid = distance.isfinite()
    p_world = rays.origins + torch.where(solid, distance, 0.0).float()[:, None] * rays.directions
    # A ray that only grazes the ball may pass it between two samples: left out, a few pixels of 576.
    grazing = ball & ((rays.directions * p_world).sum(-1) > -0.04)
    assert int(ball.sum()) > 60 and int(grazing.sum()) < 12 and 50 < int((~solid).sum()) < 150
    hit = solid & ~grazing
    torch.testing.assert_close(out.accumulation[~grazing], solid[~grazing].float(), rtol=0, atol=1e-4)
    assert (out.distance.double() - distance)[hit].abs().max() < 2 * BIN
    expected = torch.where(ball[:, None], torch.tensor(RED), torch.tensor(BLUE))
    torch.testing.assert_close(out.rgb[hit], expected[hit], rtol=0, atol=1e-3)


def test_outside_of_the_unit_cube_a_bounded_scene_is_empty():
    fog = renderer_of(lambda p: torch.full((len(p),), 2.0))
    rays = Rays(torch.tensor([[-1.5, 0.0, 0.0]]), torch.tensor([[1.0, 0.0, 0.0]]), torch.ones(1))
    samples = fog.samples(rays)
    outside = samples.p_world.abs().amax(-1) > 1
    assert bool(outside.any()) and not samples.density[outside].any()
    # The fog's 2 units of length at density 2, its ends rounded to intervals of a twentieth, twice.
    assert float(samples.weights.sum()) == pytest.approx(1 - math.exp(-4), abs=math.exp(-4) * 0.25)


def test_samples_are_at_rest_without_a_generator_and_repeat_with_its_seed():
    renderer = stage_renderer()
    rays = image_rays(camera_at(0.0, 0.0, size=4))
    at_rest = renderer.samples(rays)
    assert torch.equal(at_rest.edges, renderer.samples(rays).edges)
    jittered = [
        sample_rays(
            renderer.field, renderer.density_grid, rays, PLAN, numba_kernels, torch.Generator().manual_seed(seed)
        ).edges
        for seed in (1, 1, 2)
    ]
    assert torch.equal(jittered[0], jittered[1])
    assert not torch.equal(jittered[0], jittered[2])
    torch.testing.assert_close(at_rest.distances, (at_rest.edges[:, 1:] + at_rest.edges[:, :-1]) / 2)


def test_the_first_look_of_rendering_ends_where_it_is_dark():
    """What shows is the same to the light that is left; what lies in the farther half behind a wall is not asked."""
    asked: list[torch.Tensor] = []

    def walls(p_world: torch.Tensor) -> torch.Tensor:
        asked.append(p_world)
        return OPAQUE * ((p_world[:, 2] + 0.8).abs() < 0.1).float()

    renderer = renderer_of(walls)
    # Rays along z meet the wall; those along x, beside it, see all the way.
    origins = torch.tensor([[0.0, 0.0, -0.95], [-0.9, 0.1, 0.3]])
    rays = Rays(origins, torch.tensor([[0.0, 0.0, 1.0], [1.0, 0.0, 0.0]]), torch.ones(2))
    asked.clear()
    dark = renderer.samples(rays)
    in_rendering = sum(len(points) for points in asked)
    asked.clear()
    whole = sample_rays(renderer.field, renderer.density_grid, rays, PLAN, numba_kernels)
    torch.testing.assert_close(dark.weights, whole.weights, rtol=0, atol=LEAST_LIGHT)
    # Of two rays with 96 samples in either look, half a ray's are left out.
    assert (in_rendering, sum(len(points) for points in asked)) == (4 * 96 - 48, 4 * 96)


def test_accumulate_is_the_loop():
    generator = torch.Generator().manual_seed(0)
    values, weights = torch.randn(50, 3, generator=generator), torch.rand(50, generator=generator)
    ray_index = torch.randint(7, (50,), generator=generator)
    expected = torch.zeros(8, 3)
    for value, weight, ray in zip(values, weights, ray_index.tolist(), strict=True):
        expected[ray] += weight * value
    torch.testing.assert_close(accumulate(values, weights, ray_index, 8), expected)


def test_accumulate_gradcheck():
    values = torch.randn(6, 2, dtype=torch.float64, requires_grad=True)
    weights = torch.rand(6, dtype=torch.float64, requires_grad=True)
    index = torch.tensor([0, 2, 2, 0, 1, 2])
    assert torch.autograd.gradcheck(lambda v, w: accumulate(v, w, index, 4), (values, weights))


def test_colour_leaves_out_what_weighs_no_more_than_the_threshold():
    samples = weighed([0.0, 1.0, 2.0, 3.0], [0.25, 0.5, 0.05])
    seen = []
    field = AnalyticField(lambda p: torch.ones(len(p)), lambda p: seen.append(len(p)) or torch.full_like(p, 0.8))
    directions = torch.tensor([[0.0, 0.0, 1.0]])
    for threshold, total in ((0.0, 0.8), (0.05, 0.75), (0.25, 0.5), (0.5, 0.0)):
        rgb = composite_colour(field, samples, directions, threshold)
        torch.testing.assert_close(rgb, torch.full((1, 3), 0.8 * total))
    assert seen == [3, 2, 1, 0]


def test_kept_samples_are_those_above_the_threshold_in_order():
    weights = torch.tensor([[0.1, 0.0, 0.6], [0.0, 0.0, 0.0], [0.3, 0.3, 0.2]])
    p_world = torch.arange(27.0).reshape(3, 3, 3)
    samples = RaySamples(torch.zeros(3, 4), p_world, weights, weights, p_world)
    kept = keep_samples(samples, threshold=0.1)
    assert kept.ray_index.tolist() == [0, 2, 2, 2] and kept.rays == 3
    assert torch.equal(kept.p_world, torch.stack([p_world[0, 2], *p_world[2]]))
    torch.testing.assert_close(kept.weights, torch.tensor([0.6, 0.3, 0.3, 0.2]))


def test_an_unbounded_wall_beyond_the_cube_is_found():
    """A wall at z = 5, seen through contracted space, to within the interval that holds it."""
    plan = SamplingPlan(0.05, math.inf, True, bins=256, samples=128)
    renderer = renderer_of(lambda p: 1e3 * (p[:, 2] > 5).float(), plan=plan)
    rays = Rays(torch.zeros(1, 3), torch.tensor([[0.0, 0.0, 1.0]]), torch.ones(1))
    samples = renderer.samples(rays)
    edges = samples.edges[0]
    at = int((edges < 5).sum())
    assert float(edges[at] - edges[at - 1]) < 0.2
    assert abs(float(median_distance(samples)) - 5) <= float(edges[at + 1] - edges[at - 1])
