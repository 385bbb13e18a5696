"""The bank of rays: what a pixel may be, which pixels are drawn, and packed samples against a loop."""

import torch

from analytic_scene import camera_at, cast, stage_renderer
from sanerf.aggregate.ray_bank import RayBank, build_ray_bank, possible_identities
from sanerf.aggregate.view_masks import ViewMask
from sanerf.geometry.cameras import image_rays
from sanerf.render.renderer import keep_samples


def mask(*probabilities: float) -> ViewMask:
    return ViewMask(torch.tensor([probabilities]), 1.0)


def table(rows: torch.Tensor) -> list[str]:
    return ["".join("1" if value else "0" for value in row) for row in rows.tolist()]


def test_possible_identities_where_every_object_has_a_mask():
    masks = {"a": mask(0.9, 0.1, 0.6, 0.5, 0.51), "b": mask(0.2, 0.8, 0.7, 0.5, 0.1)}
    # The more probable mask above one half; exactly one half is background.
    assert table(possible_identities(masks, ["a", "b"])) == ["010", "001", "001", "100", "010"]


def test_an_object_without_a_mask_in_the_view_stays_possible_in_its_background():
    masks = {"b": mask(0.9, 0.2)}
    assert table(possible_identities(masks, ["a", "b", "c"])) == ["0010", "1101"]


def test_pixels_are_row_major():
    probability = torch.zeros(2, 3)
    probability[1, 0] = 1.0
    found = possible_identities({"a": ViewMask(probability, 1.0)}, ["a"])
    assert table(found) == ["10", "10", "10", "01", "10", "10"]


def made_up_bank(counts: list[int]) -> RayBank:
    generator = torch.Generator().manual_seed(0)
    total = sum(counts)
    return RayBank(
        torch.randn(total, 3, generator=generator),
        torch.rand(total, generator=generator),
        torch.tensor([0, *counts]).cumsum(0),
        torch.rand(len(counts), generator=generator),
        torch.ones(len(counts), 2, dtype=torch.bool),
    )


def test_gather_is_the_loop_also_over_rays_without_samples():
    bank = made_up_bank([2, 0, 3, 1, 0])
    for rays in ([0, 1, 2, 3, 4], [4, 2, 2, 0], [1], [1, 4], [3, 1, 3]):
        kept = bank.gather(torch.tensor(rays))
        samples = [
            (index, sample)
            for index, ray in enumerate(rays)
            for sample in range(int(bank.first_sample[ray]), int(bank.first_sample[ray + 1]))
        ]
        assert kept.ray_index.tolist() == [index for index, _ in samples]
        chosen = torch.tensor([sample for _, sample in samples], dtype=torch.int64)
        assert torch.equal(kept.p_world, bank.p_world[chosen])
        assert torch.equal(kept.weights, bank.weights[chosen])
        assert kept.rays == len(rays)


def stage_masks(size: int, views: dict[int, tuple[float, float]]):
    cameras = {view: camera_at(*xy, size=size) for view, xy in views.items()}
    balls = {view: cast(camera)[1].reshape(size, size).float() for view, camera in cameras.items()}
    return cameras, {view: {"ball": ViewMask(ball, 1.0)} for view, ball in balls.items()}


def test_a_bank_of_all_pixels_holds_the_renderers_samples():
    cameras, masks = stage_masks(12, {3: (0.0, 0.0), 7: (0.3, 0.1)})
    renderer = stage_renderer()
    done = []
    bank = build_ray_bank(
        masks, ["ball"], cameras, renderer,
        total_rays=2 * 144 * 4, weight_threshold=0.01, generator=torch.Generator().manual_seed(0),
        on_progress=lambda view, views: done.append((view, views)),
    )  # fmt: skip
    assert len(bank) == 2 * 144 and done == [(1, 2), (2, 2)]
    # Every pixel once: together the rays hold what the two pictures hold, in another order.
    whole = [renderer.samples(image_rays(camera)) for camera in cameras.values()]
    kept = [keep_samples(samples, 0.01) for samples in whole]
    assert bank.p_world.shape[0] == int(bank.first_sample[-1]) == sum(len(part.weights) for part in kept)
    for found, expected in (
        (bank.weights, torch.cat([part.weights for part in kept])),
        (bank.accumulation, torch.cat([samples.weights.sum(-1) for samples in whole])),
    ):
        torch.testing.assert_close(found.sort().values, expected.sort().values, rtol=0, atol=1e-5)
    assert int(bank.possible[:, 1].sum()) == sum(int(m["ball"].probability.sum()) for m in masks.values())
    # A ray's samples are its own: those of ball pixels lie on the ball.
    ball_rays = bank.possible[:, 1].nonzero()[:, 0]
    samples = bank.gather(ball_rays)
    on_ball = samples.p_world.norm(dim=-1) < 0.36
    assert float(on_ball.float().mean()) > 0.95


def test_three_quarters_of_the_rays_are_drawn_near_the_mask_and_none_twice():
    cameras, masks = stage_masks(40, {0: (0.0, 0.0)})
    bank = build_ray_bank(
        masks, ["ball"], cameras, stage_renderer(),
        total_rays=400, weight_threshold=0.01, generator=torch.Generator().manual_seed(0),
    )  # fmt: skip
    assert len(bank) == 400
    ball = masks[0]["ball"].probability
    rows, columns = torch.meshgrid(torch.arange(40), torch.arange(40), indexing="ij")
    on_ball = ball.nonzero()
    reach = torch.stack([(rows - r).abs().maximum((columns - c).abs()) for r, c in on_ball.tolist()]).amin(0)
    near = int((reach <= 2).sum())  # a twentieth of 40
    # All of the near pixels if they are fewer than 300; of those, all of the ball's.
    assert int(ball.sum()) < near
    expected = int(ball.sum()) * min(1.0, 300 / near)
    assert abs(int(bank.possible[:, 1].sum()) - expected) <= 3 * expected**0.5 * (1 - min(1.0, 300 / near)) ** 0.5
