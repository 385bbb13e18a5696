"""Rays around high-error points: where they lie, in which views, what is known of them (Eq. 12, 13)."""

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from analytic_scene import BLUE, RED, camera_at, cast, picture, stage_renderer
from sanerf.aggregate.identities import identity_probabilities
from sanerf.aggregate.local_rays import (
    LocalRays,
    RayPairConfig,
    Surroundings,
    build_local_rays,
    error_maps,
    ray_pair_term,
)
from sanerf.aggregate.ray_bank import RayBank, build_ray_bank, with_masks
from sanerf.aggregate.view_masks import ViewMask
from sanerf.geometry.cameras import Camera, project

SIZE = 30
# From the first two the wall's point behind the ball is hidden; from the last it is seen past the ball.
VIEWS = {
    2: camera_at(0.0, 0.0, size=SIZE),
    5: camera_at(0.05, 0.0, size=SIZE),
    8: camera_at(1.2, 0.0, size=SIZE, towards=(0, 0, 0.2)),
}
CONFIG = RayPairConfig(stored_points=1, views=3, patch=6, references=4)


class Halves(nn.Module):
    """Logits of background and one object: the object where x is above a border."""

    def __init__(self, border: float = 0.0):
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(3.0))
        self.border = border

    def forward(self, p_world: Tensor) -> Tensor:
        return torch.stack([torch.zeros(len(p_world)), self.scale * (p_world[:, 0] > self.border).float() * 2], dim=1)


@pytest.fixture(scope="module")
def cameras() -> dict[int, Camera]:
    return VIEWS


@pytest.fixture(scope="module")
def bank(cameras) -> RayBank:
    """Every pixel, with exact masks of the ball in all views but the last."""
    bank = build_ray_bank(
        cameras, stage_renderer(),
        total_rays=10**6, weight_threshold=0.01, generator=torch.Generator().manual_seed(0),
    )  # fmt: skip
    return with_masks(bank, ball_masks(cameras), ["ball"])


def ball_masks(cameras: dict[int, Camera]):
    return {
        view: {"ball": ViewMask(cast(camera)[1].reshape(SIZE, SIZE).float(), 1.0)}
        for view, camera in cameras.items()
        if view != 8
    }


def around(cameras: dict[int, Camera], photo=lambda view: torch.zeros(SIZE, SIZE, 3, dtype=torch.uint8)):
    return Surroundings(cameras, stage_renderer(), ball_masks(cameras), ["ball"], photo, 0.01)


def error_at(bank: RayBank, view: int, column: int, row: int) -> Tensor:
    """An error map of one wrong pixel."""
    error = torch.zeros(len(bank))
    error[bank.lattices[view].first_ray + row * SIZE + column] = 1.0
    return error


def local_at(bank, cameras, *pixel: int, config: RayPairConfig = CONFIG, **options) -> LocalRays:
    generator = torch.Generator().manual_seed(0)
    local = build_local_rays(bank, error_at(bank, *pixel), around(cameras, **options), config, generator)
    assert local is not None
    return local


def patches(local: LocalRays) -> Tensor:
    """The rays' surface points of each patch, (views, patch * patch, 3), NaN where a patch is missing."""
    members = local.members.reshape(-1, CONFIG.patch**2)
    kept = local.rays.gather(members.clamp(min=0).flatten())
    total = torch.zeros(kept.rays, 3).index_add(0, kept.ray_index, kept.weights[:, None] * kept.p_world)
    total = total / torch.zeros(kept.rays).index_add(0, kept.ray_index, kept.weights)[:, None]
    return total.reshape(*members.shape, 3).masked_fill((members < 0)[..., None], math.nan)


def test_error_maps_are_the_errors_of_all_rays(bank):
    """The field says object where x > 0, surely: right on that half of the ball, wrong beside it."""
    error = error_maps(Halves(), bank, sharpness=10.0)
    assert error.shape == (len(bank),)
    probability = identity_probabilities(Halves(), bank, torch.arange(len(bank)))
    sure = (probability.amax(dim=1) > 0.99) & (bank.accumulation > 0.99)
    masked = torch.arange(len(bank)) < bank.lattices[8].first_ray
    right = bank.possible[:, 1] == (probability[:, 1] > 0.5)
    for rays, low, high in ((sure & masked & right, 0, 1e-4), (sure & masked & ~right, 0.9, 1.0)):
        assert int(rays.sum()) > 50
        assert low <= float(error[rays].min()) and float(error[rays].max()) <= high
    # The last view has no mask: nothing there is wrong.
    assert float(error[~masked].max()) < 1e-4


def test_patches_lie_around_the_point_in_the_views_that_see_it(bank, cameras):
    """The ball's middle is seen by all three; every patch's pixel at the point shows that place."""
    local = local_at(bank, cameras, 2, 15, 15)
    assert local.members.shape == (1, 3 * 36) and bool((local.members >= 0).all())
    (target,) = patches(local_at(bank, cameras, 2, 15, 15, config=replace(CONFIG, views=1)))
    middle = target[3 * 6 + 3]
    for patch in patches(local):
        nearest = (patch - middle).norm(dim=1).nan_to_num(9.0).min()
        # A pixel is 1.2 / 30 wide there or less.
        assert float(nearest) < 0.04
        assert float((patch.nanmean(dim=0) - middle).norm()) < 0.1


def test_views_from_which_the_point_is_hidden_are_left_out(bank, cameras):
    """The wall behind the ball, as the third view sees it."""
    xy, _ = project(cameras[8], torch.tensor([[0.0, 0.0, 0.8]]))
    column, row = xy[0].long().tolist()
    local = local_at(bank, cameras, 8, column, row)
    seen = (local.members.reshape(3, 36) >= 0).all(dim=1)
    assert seen.tolist() == [True, False, False]
    assert float(patches(local)[0][3 * 6 + 3, 2]) > 0.75
    assert len(local.rays) == 36


def test_a_patch_at_the_border_is_moved_onto_the_picture(bank, cameras):
    local = local_at(bank, cameras, 2, 0, 29, config=replace(CONFIG, views=1))
    xy, _ = project(cameras[2], patches(local)[0])
    expected = torch.stack(torch.meshgrid(torch.arange(6.0), torch.arange(24.0, 30.0), indexing="xy"), dim=-1) + 0.5
    torch.testing.assert_close(xy, expected.reshape(-1, 2), rtol=0, atol=0.05)


def test_colours_and_masks_are_those_of_the_patches_own_pixels(bank, cameras):
    """At the ball's left edge in the first view: red inside, blue outside, and the mask says the same."""
    column = int((cast(cameras[2])[1].reshape(SIZE, SIZE)[15]).nonzero()[0])
    local = local_at(bank, cameras, 2, column, 15)
    own, other, unmasked = local.members.reshape(3, 36)[[0, 1, 2]]
    masked = [rays for rays in (own, other, unmasked) if not bool(local.rays.possible[rays].all())]
    assert len(masked) == 2, "the third view has no mask, and may be anything"
    inside = local.rays.possible[masked[0], 1]
    assert 0 < int(inside.sum()) < 36
    truth = torch.where(inside[:, None], torch.tensor(RED), torch.tensor(BLUE))
    # A ray at the very edge passes both.
    assert float(((local.rgb[masked[0]] - truth).abs().amax(dim=1) < 0.05).float().mean()) > 0.9
    photos = local_at(
        bank, cameras, 2, column, 15,
        config=replace(CONFIG, photo_colours=True), photo=lambda view: picture(cameras[view])[0],
    )  # fmt: skip
    torch.testing.assert_close(photos.rgb[masked[0]], truth, rtol=0, atol=0.003)


def test_places_tell_apart_what_lies_on_either_side_of_an_edge(bank, cameras):
    """At the ball's edge: rays of the ball end near each other, those of the wall a fifth of the way farther off."""
    column = int((cast(cameras[2])[1].reshape(SIZE, SIZE)[15]).nonzero()[0])
    local = local_at(bank, cameras, 2, column, 15, config=replace(CONFIG, views=1))
    own = local.members[0]
    distance = (local.p_world[own] - cameras[2].centre.float()).norm(dim=1)
    # Six pixels of focal length SIZE at that distance.
    torch.testing.assert_close(local.width[own], 6 / cameras[2].fx * distance, rtol=1e-4, atol=0)
    inside = local.rays.possible[own, 1]
    # The places of one of the ball and of all others, in widths of a patch.
    looks = local.appearance(local.members, place=1.0)[0]
    torch.testing.assert_close(looks[:, :3], local.rgb[own])
    middle = looks[inside, 3:].median(dim=0).values
    of_ball, of_wall = ((looks[mask, 3:] - middle).norm(dim=1) for mask in (inside, ~inside))
    assert float(of_ball.median()) < 1.0 < 2.0 < float(of_wall.median())
    nowhere = local.appearance(local.members, place=0.0)[0]
    assert bool((nowhere[:, 3:] == 0).all()), "an infinite reach looks at colours alone"


def test_points_are_drawn_by_their_error_and_never_on_nothing(bank, cameras):
    """Of two wrong pixels one errs nine times as much; a third lies where no ray hits anything."""
    first = bank.lattices[2].first_ray
    error = torch.zeros(len(bank))
    error[first + 15 * SIZE + 15], error[first + 2 * SIZE + 2] = 0.9, 0.1
    empty = (bank.accumulation < 0.5).nonzero()[:, 0]
    error[empty] = 1.0
    config = replace(CONFIG, views=1)
    drawn = []
    for seed in range(60):
        local = build_local_rays(bank, error, around(cameras), config, torch.Generator().manual_seed(seed))
        assert local is not None and len(local.members) == 1
        drawn.append(bool((local.rgb.mean(dim=0) - torch.tensor(RED)).abs().max() < 0.2))
    # Binomial with 60 draws of 0.9: three standard deviations.
    assert 47 <= sum(drawn) < 60
    assert build_local_rays(bank, torch.zeros(len(bank)), around(cameras), config, torch.Generator()) is None


def test_the_term_draws_wrong_rays_to_their_like(bank, cameras):
    """A field whose border is wrong in one patch: descent on the term alone makes like-coloured rays agree."""
    column = int((cast(cameras[2])[1].reshape(SIZE, SIZE)[15]).nonzero()[0])
    config = replace(CONFIG, points=2, trusted_error=0.5)
    local = local_at(bank, cameras, 2, column, 15, config=config)
    field = Halves(border=-0.3)
    loss = ray_pair_term(field, local, config, torch.Generator().manual_seed(1))
    loss.backward()
    value = float(loss.detach())
    assert math.isfinite(value) and 0 < value <= 1
    assert field.scale.grad is not None and bool(field.scale.grad.isfinite())
    # Where all rays are one identity there is nothing to draw: exp(-w) at most.
    everywhere = ray_pair_term(Halves(border=-9.0), local, config, torch.Generator())
    assert float(everywhere.detach()) < 1e-3


def test_identity_probabilities_are_eq_7(bank):
    rays = torch.tensor([5, 450, 5])
    found = identity_probabilities(Halves(), bank, rays)
    for ray, probability in zip(rays.tolist(), found, strict=True):
        samples = slice(int(bank.first_sample[ray]), int(bank.first_sample[ray + 1]))
        logits = (bank.weights[samples, None] * Halves()(bank.p_world[samples])).sum(0)
        logits[0] += 5.0 * max(0.0, 1 - float(bank.accumulation[ray]))
        torch.testing.assert_close(probability, torch.softmax(logits, dim=0))
