"""The bank of rays: which pixels have one, what a pixel may be, and packed samples against a loop."""

from dataclasses import replace

import pytest
import torch

from analytic_scene import camera_at, cast, stage_renderer
from sanerf.aggregate.ray_bank import (
    PixelLattice,
    RayBank,
    build_ray_bank,
    possible_identities,
    thinned_bank,
    with_masks,
)
from sanerf.aggregate.view_masks import ViewMask
from sanerf.geometry.cameras import Camera, camera_rays, image_rays, resized
from sanerf.render.renderer import keep_samples, median_distance


def mask(*probabilities: float) -> ViewMask:
    return ViewMask(torch.tensor([probabilities]), 1.0)


def whole(rows: int, columns: int) -> PixelLattice:
    """Every pixel of a picture."""
    return PixelLattice(0, rows, columns, 0, 0, 1)


def table(rows: torch.Tensor) -> list[str]:
    return ["".join("1" if value else "0" for value in row) for row in rows.tolist()]


def test_possible_identities_where_every_object_has_a_mask():
    masks = {"a": mask(0.9, 0.1, 0.6, 0.5, 0.51), "b": mask(0.2, 0.8, 0.7, 0.5, 0.1)}
    # The more probable mask above one half; exactly one half is background.
    assert table(possible_identities(masks, ["a", "b"], whole(1, 5).pick)) == ["010", "001", "001", "100", "010"]


def test_an_object_without_a_mask_in_the_view_stays_possible_in_its_background():
    masks = {"b": mask(0.9, 0.2)}
    assert table(possible_identities(masks, ["a", "b", "c"], whole(1, 2).pick)) == ["0010", "1101"]


def test_a_pixel_in_no_mask_counts_as_the_least_of_its_views_masks_says():
    """View 4: pixels of a, of b, and in neither; one of an object that nobody asks about; view 5: no
    mask at all."""
    lattices = {view: PixelLattice(3 * k, 1, 3, 0, 0, 1) for k, view in enumerate((4, 5))}
    bank = replace(made_up_bank([1] * 6), lattices=lattices)
    masks = {
        4: {
            "a": replace(mask(0.9, 0.1, 0.1), left_out=0.5),
            "b": replace(mask(0.1, 0.9, 0.1), left_out=0.25),
            "c": replace(mask(0.9, 0.1, 0.1), left_out=0.0),
        },
    }
    trust = with_masks(bank, masks, ["a", "b"]).trust
    assert trust is not None and trust.tolist() == [1.0, 1.0, 0.25, 1.0, 1.0, 1.0]


def test_pixels_are_row_major():
    probability = torch.zeros(2, 3)
    probability[1, 0] = 1.0
    found = possible_identities({"a": ViewMask(probability, 1.0)}, ["a"], whole(2, 3).pick)
    assert table(found) == ["10", "10", "10", "01", "10", "10"]


def test_a_lattice_is_every_stride_th_pixel_from_its_first():
    """Of 5 x 7 pixels, from row 1 and column 2 on every third: rows 1, 4 and columns 2, 5."""
    lattice = PixelLattice(10, 2, 2, 1, 2, 3)
    assert lattice.xy().tolist() == [[2.5, 1.5], [5.5, 1.5], [2.5, 4.5], [5.5, 4.5]]
    assert lattice.rays == slice(10, 14)
    numbers = torch.arange(35.0).reshape(5, 7)
    assert lattice.pick(numbers).tolist() == [[9.0, 12.0], [30.0, 33.0]]
    column, row = lattice.xy().long().unbind(-1)
    assert torch.equal(numbers[row, column], lattice.pick(numbers).reshape(-1))
    # Masks are read at the lattice's own pixels.
    found = possible_identities({"a": ViewMask((numbers == 30).float(), 1.0)}, ["a"], lattice.pick)
    assert table(found) == ["10", "10", "01", "10"]


def made_up_bank(counts: list[int]) -> RayBank:
    generator = torch.Generator().manual_seed(0)
    total = sum(counts)
    return RayBank(
        torch.randn(total, 3, generator=generator),
        torch.rand(total, generator=generator),
        torch.tensor([0, *counts]).cumsum(0),
        torch.rand(len(counts), generator=generator),
        torch.rand(len(counts), generator=generator),
        torch.ones(len(counts), 2, dtype=torch.bool),
        {},
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


def stage_bank(cameras: dict[int, Camera], total_rays: int, seed: int = 0, **options) -> RayBank:
    return build_ray_bank(
        cameras, stage_renderer(),
        total_rays=total_rays, weight_threshold=0.01, generator=torch.Generator().manual_seed(seed), **options,
    )  # fmt: skip


def ball_masks(cameras: dict[int, Camera]) -> dict[int, dict[str, ViewMask]]:
    balls = {view: cast(camera)[1].reshape(camera.height, camera.width) for view, camera in cameras.items()}
    return {view: {"ball": ViewMask(ball.float(), 1.0)} for view, ball in balls.items()}


@pytest.fixture(scope="module")
def cameras() -> dict[int, Camera]:
    return {3: camera_at(0.0, 0.0, size=12), 7: resized(camera_at(0.3, 0.1, size=12), 12, 9)}


def test_a_bank_of_all_pixels_holds_the_renderers_samples(cameras):
    done = []
    bank = stage_bank(cameras, 10**6, on_progress=lambda view, views: done.append((view, views)))
    assert done == [(1, 2), (2, 2)]
    assert bank.lattices == {3: PixelLattice(0, 12, 12, 0, 0, 1), 7: PixelLattice(144, 9, 12, 0, 0, 1)}
    assert len(bank) == 144 + 108
    pictures = [stage_renderer().samples(image_rays(camera)) for camera in cameras.values()]
    kept = [keep_samples(samples, 0.01) for samples in pictures]
    assert int(bank.first_sample[-1]) == len(bank.p_world)
    torch.testing.assert_close(bank.p_world, torch.cat([part.p_world for part in kept]))
    torch.testing.assert_close(bank.weights, torch.cat([part.weights for part in kept]))
    torch.testing.assert_close(bank.accumulation, torch.cat([samples.weights.sum(-1) for samples in pictures]))
    torch.testing.assert_close(bank.distance, torch.cat([median_distance(samples) for samples in pictures]))
    counts = torch.cat([torch.bincount(part.ray_index, minlength=part.rays) for part in kept])
    assert torch.equal(bank.first_sample.diff(), counts)
    # Without masks it says nothing.
    assert bank.possible.shape == (252, 1) and bool(bank.possible.all())


def test_a_coarser_bank_holds_its_lattices_pixels_and_about_as_many_as_asked_for():
    cameras = {view: camera_at(0.1 * view, 0.0, size=40) for view in range(6)}
    # Every fifth pixel of every fifth row: 6 x 8 x 8 of 6 x 40 x 40.
    bank = stage_bank(cameras, 6 * 64)
    assert len(bank) == 6 * 64
    offsets = {(lattice.first_row, lattice.first_column) for lattice in bank.lattices.values()}
    assert len(offsets) > 1, "one lattice in all views would see the object only as finely as itself"
    for view, lattice in bank.lattices.items():
        assert lattice.stride == 5 and 0 <= lattice.first_row < 5 and 0 <= lattice.first_column < 5
        samples = stage_renderer().samples(camera_rays(cameras[view], lattice.xy()))
        torch.testing.assert_close(bank.accumulation[lattice.rays], samples.weights.sum(-1))
    first_rays = [lattice.first_ray for lattice in bank.lattices.values()]
    assert first_rays == [0, 64, 128, 192, 256, 320]


def test_the_pixels_of_rays_are_those_of_their_views_lattices():
    cameras = {view: camera_at(0.1 * view, 0.0, size=40 + view) for view in (2, 5, 9)}
    bank = stage_bank(cameras, 3 * 64)
    view, column, row = bank.pixels_of(torch.arange(len(bank)))
    for index, lattice in bank.lattices.items():
        assert bool((view[lattice.rays] == index).all())
        pixels = torch.stack([column, row], dim=1)[lattice.rays]
        assert torch.equal(pixels + 0.5, lattice.xy())
    some = torch.tensor([70, 3, 3, 130])
    assert torch.equal(torch.stack(bank.pixels_of(some)), torch.stack([view, column, row])[:, some])


def test_lattices_are_a_function_of_the_seed(cameras):
    first, same = stage_bank(cameras, 20, seed=1), stage_bank(cameras, 20, seed=1)
    assert first.lattices == same.lattices and torch.equal(first.p_world, same.p_world)
    assert any(stage_bank(cameras, 20, seed=seed).lattices != first.lattices for seed in range(2, 6))


def test_masks_are_set_view_by_view_and_the_rays_stay(cameras):
    bank = stage_bank(cameras, 10**6)
    masks = ball_masks(cameras)
    both = with_masks(bank, masks, ["ball"])
    assert both.possible.shape == (252, 2) and bool((both.possible.sum(dim=1) == 1).all())
    expected = torch.cat([of_view["ball"].probability.reshape(-1) for of_view in masks.values()])
    assert torch.equal(both.possible[:, 1], expected > 0.5)
    # A ray's samples are its own: those of ball pixels lie on the ball, and none of the others'.
    for rays, share in ((both.possible[:, 1], 1.0), (both.possible[:, 0], 0.0)):
        on_ball = both.gather(rays.nonzero()[:, 0]).p_world.norm(dim=-1) < 0.36
        assert abs(float(on_ball.float().mean()) - share) < 0.05
    # A view without masks may be anything; what was set before is gone.
    one = with_masks(both, {7: masks[7]}, ["ball"])
    assert bool(one.possible[:144].all())
    assert torch.equal(one.possible[144:], both.possible[144:])
    assert one.p_world is bank.p_world and one.weights is bank.weights and one.lattices is bank.lattices


def test_a_thinned_bank_has_the_rays_and_samples_of_every_nth_pixel():
    """Two views of 5 by 4 pixels, ray r with r mod 3 samples at (r, i, 0)."""
    lattices = {4: PixelLattice(0, 5, 4, 1, 0, 2), 7: PixelLattice(20, 5, 4, 0, 1, 2)}
    counts = torch.arange(40) % 3
    places = [(float(ray), float(i), 0.0) for ray in range(40) for i in range(ray % 3)]
    first = torch.cat([torch.zeros(1, dtype=torch.int64), counts.cumsum(0)])
    numbers = torch.arange(40.0)
    bank = RayBank(
        torch.tensor(places), torch.ones(len(places)), first, numbers, 2 * numbers, numbers[:, None] > 20, lattices
    )
    assert thinned_bank(bank, 40) is bank
    thin = thinned_bank(bank, 12)
    # Rows 0, 2, 4 and columns 0, 2 of each.
    kept = [view + 4 * row + column for view in (0, 20) for row in (0, 2, 4) for column in (0, 2)]
    assert thin.lattices == {4: PixelLattice(0, 3, 2, 1, 0, 4), 7: PixelLattice(6, 3, 2, 0, 1, 4)}
    assert thin.accumulation.tolist() == kept and thin.distance.tolist() == [2 * ray for ray in kept]
    assert thin.p_world[:, :2].tolist() == [[ray, i] for ray in kept for i in range(ray % 3)]
    assert thin.first_sample.diff().tolist() == [ray % 3 for ray in kept]
    assert thin.possible[:, 0].tolist() == [ray > 20 for ray in kept]
