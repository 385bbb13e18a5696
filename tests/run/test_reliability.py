"""Weights of blurred views and of what contradicts the others: closed forms, and a passer-by on the stage."""

from dataclasses import replace

import pytest
import torch

from analytic_scene import PLAN, camera_at, picture
from sanerf.data.pixels import Picture, PixelBank, pixel_bank
from sanerf.fields.radiance import RadianceConfig
from sanerf.geometry.cameras import Camera, resized
from sanerf.kernels.backend import kernels_for
from sanerf.run import reliability
from sanerf.run.config import RunConfig, SamplingConfig, TrainingConfig
from sanerf.run.parallel import Ranks
from sanerf.run.reliability import Reliability, blur_weights, cell_weights
from sanerf.run.training import TrainingState, load_checkpoint, sampling_plan, start_state, train, training_step

CPU = torch.device("cpu")
RAYS = 1000.0  # Rays in each cell, so many that the prior of four does not count.
CONFIG = RunConfig(
    radiance=RadianceConfig(levels=4, entries_log2=12, channels=2, coarsest=8, finest=32, hidden=16, geometry=7),
    sampling=SamplingConfig(bins=64, samples=32, grid_side=32, opacity_cap=0.2),
    training=TrainingConfig(
        steps=300, rays=256, learning_rate=3e-2, distortion_weight=1e-3, distortion_steps=1, transient_delay=100
    ),
)
VIEWS = [(0.0, 0.0), (-0.5, 0.0), (0.5, 0.0), (0.0, -0.5), (0.0, 0.5), (-0.4, 0.4), (0.4, -0.4), (0.45, 0.4)]


def weights(mean_errors: torch.Tensor, usual_times: float = 2.0) -> torch.Tensor:
    return cell_weights(mean_errors * RAYS, torch.full_like(mean_errors, RAYS), usual_times)


def bank_of(cameras: list[Camera], kept: list[torch.Tensor | None] | None = None) -> PixelBank:
    masks = kept or [None] * len(cameras)
    rgb = [torch.zeros(camera.height, camera.width, 3, dtype=torch.uint8) for camera in cameras]
    return pixel_bank(cameras, [Picture(of, None, mask) for of, mask in zip(rgb, masks, strict=True)])


def test_a_blurred_view_counts_with_the_square_of_its_share_of_sharpness():
    sharp = torch.tensor([2.0, 1.0, 0.35, 0.175, 0.01])
    assert blur_weights(sharp, 0.1).tolist() == pytest.approx([1, 1, 1, 0.25, 0.1])
    assert blur_weights(sharp, 1.0).tolist() == [1] * 5


def test_cells_that_stand_out_count_with_the_eighth_power():
    """Errors of 0.05, but 0.15 in three by three cells of one view: three times the usual, and two are allowed."""
    errors = torch.full((4, 9, 9), 0.05)
    errors[2, 3:6, 3:6] = 0.15
    found = weights(errors)
    assert float(found[2, 4, 4]) == pytest.approx((2 / 3) ** 8, rel=0.05)
    touched = torch.zeros(4, 9, 9, dtype=torch.bool)
    touched[2, 2:7, 2:7] = True
    assert found[~touched].min() == 1


def test_one_cell_alone_has_its_neighbours_to_stand_by_it():
    """Nine times the usual in one cell of nine: (9 + 8) / 9 = 1.9 times on average."""
    errors = torch.full((2, 5, 5), 0.1)
    errors[0, 2, 2] = 0.9
    assert weights(errors).min() == 1


def test_sharp_texture_keeps_its_weight_and_empty_background_sets_no_standard():
    generator = torch.Generator().manual_seed(0)
    half = torch.full((6, 10, 10), 0.02)
    half[:, :, 5:] = 0.08
    assert weights(half).min() == 1
    object_alone = torch.zeros(6, 10, 10)
    object_alone[:, 4:6, 4:6] = 0.1 * (1 + 0.2 * torch.rand(6, 2, 2, generator=generator))
    assert weights(object_alone).min() == 1


def test_a_view_that_is_worse_all_over_is_not_what_is_looked_for():
    errors = torch.full((8, 9, 9), 0.05)
    errors[3] = 0.2
    assert weights(errors).min() == 1
    errors[3, 3:6, 3:6] = 0.6
    assert float(weights(errors)[3, 4, 4]) == pytest.approx((2 / 3) ** 8, rel=0.05)


def test_what_nobody_looked_at_counts_fully():
    assert cell_weights(torch.zeros(2, 3, 3), torch.zeros(2, 3, 3), 2.0).eq(1).all()
    errors, rays = torch.full((2, 9, 9), 0.05 * RAYS), torch.full((2, 9, 9), RAYS)
    errors[0, :3], rays[0, :3] = 0, 0
    assert cell_weights(errors, rays, 2.0).eq(1).all()


def test_cells_are_squares_of_pixels_in_views_of_any_size():
    large, small = camera_at(0, 0, size=40), resized(camera_at(0.1, 0, size=40), 20, 9)
    bank = bank_of([large, small])
    found = Reliability(bank, CONFIG.training)
    assert (found.side, found.error.shape) == (8, (2, 5, 5))
    pixels = torch.tensor([0, 17 * 40 + 39, 1600, 1600 + 8 * 20 + 15, 1600 + 7 * 20 + 16])
    cells = found.cells(bank, pixels, bank.view_of(pixels))
    assert cells.tolist() == [0, 2 * 5 + 4, 25, 25 + 5 + 1, 25 + 2]


def test_thousands_of_views_have_a_bounded_number_of_cells():
    bank = bank_of([camera_at(0, 0, size=1)] * 2000)
    bank.sizes.fill_(1024)
    found = Reliability(bank, CONFIG.training)
    assert found.error.numel() <= reliability.MOST_CELLS
    assert 2000 * (-(-1024 // (found.side - 1))) ** 2 > reliability.MOST_CELLS


def test_more_views_than_cells_are_an_error_and_no_endless_search(monkeypatch):
    bank = bank_of([camera_at(0, 0, size=1)] * 5)
    monkeypatch.setattr(reliability, "MOST_CELLS", 5)
    assert Reliability(bank, CONFIG.training).error.numel() == 5
    monkeypatch.setattr(reliability, "MOST_CELLS", 4)
    with pytest.raises(AssertionError, match="5"):
        Reliability(bank, CONFIG.training)


def test_processes_exchange_nothing_where_transients_are_off():
    bank = bank_of([camera_at(0, 0, size=16)])
    off = Reliability(bank, replace(CONFIG.training, transients=False))
    # Without a group of processes torch would refuse to gather.
    off.remember_errors(torch.tensor([0]), torch.tensor([0.1]), step=99, ranks=Ranks(0, 2))
    assert off.error.eq(0).all()


def test_errors_are_remembered_and_weights_come_after_the_delay_only():
    cameras = [camera_at(0.1 * i, 0, size=72) for i in range(4)]
    bank = bank_of(cameras)
    pixels = torch.arange(len(bank))
    view = bank.view_of(pixels)
    config = replace(CONFIG.training, transient_delay=200)
    found, off = Reliability(bank, config), Reliability(bank, replace(config, transients=False))
    squared = torch.full((len(bank),), 0.01)
    place = bank.place_of(pixels, view)
    # Three by three cells of eight pixels, in the middle of the second view.
    walker = (view == 1) & (place // 72 // 8 - 4).abs().le(1) & (place % 72 // 8 - 4).abs().le(1)
    squared[walker] = 0.09
    for one, step in ((found, 99), (found, 199), (off, 99), (off, 199)):
        one.remember_errors(one.cells(bank, pixels, view), squared, step=step)
        if step == 99:
            assert one.weights(one.cells(bank, pixels, view), view).eq(1).all()
    assert found.rays.unique().tolist() == pytest.approx([64 * (0.8 + 0.64)])
    assert found.error[0, 0, 0] == pytest.approx(0.1 * 64 * 1.44)
    middle = int(found.cells(bank, torch.tensor([72 * 72 + 36 * 72 + 36]), torch.tensor([1])))
    assert float(found.cell_weight.view(-1)[middle]) == pytest.approx((2 / 3) ** 8, rel=0.2)
    assert found.weights(found.cells(bank, pixels, view), view)[view != 1].eq(1).all()
    assert off.rays.eq(0).all() and off.weights(off.cells(bank, pixels, view), view).eq(1).all()


def stage(size: int = 16) -> tuple[list[Camera], list[torch.Tensor]]:
    cameras = [camera_at(x, y, size=size, towards=(0.0, 0.0, 0.2)) for x, y in VIEWS]
    return cameras, [picture(camera)[0] for camera in cameras]


def fresh(bank: PixelBank, config: RunConfig) -> TrainingState:
    kernels, known = kernels_for("numba", CPU), Reliability(bank, config.training)
    return start_state(config, kernels, views=len(VIEWS), reliability=known)


def plan_of(config: RunConfig):
    return sampling_plan(config, PLAN.near, PLAN.far, unbounded=False)


def test_a_passer_by_on_the_stage_is_found_and_masked_pixels_are_never_noted(tmp_path):
    """A green board hangs in one of eight views, in three by four cells; a mask covers a row of cells of another."""
    cameras, pictures = stage(size=48)
    pictures[2][12:36, 16:40] = torch.tensor([20, 220, 40], dtype=torch.uint8)
    kept = torch.ones(48, 48, dtype=torch.bool)
    kept[:8] = False
    masks = [kept if view == 5 else None for view in range(len(VIEWS))]
    bank = pixel_bank(cameras, [Picture(rgb, None, mask) for rgb, mask in zip(pictures, masks, strict=True)])
    state = fresh(bank, CONFIG)
    train(state, bank, plan_of(CONFIG), CONFIG.training, tmp_path / "c")
    assert state.reliability is not None
    found = state.reliability.cell_weight
    assert found[2, 2:4, 3:4].max() < 0.25
    others = torch.cat([found[:2], found[3:]])
    assert float(others.mean()) > 0.98
    assert state.reliability.rays[5, 0].eq(0).all() and state.reliability.rays[5, 1:].min() > 0


def test_training_with_weights_goes_on_bit_for_bit_after_an_interruption(tmp_path, monkeypatch):
    monkeypatch.setattr(reliability, "STEPS_BETWEEN_WEIGHTS", 4)
    config = replace(
        CONFIG, training=replace(CONFIG.training, steps=12, rays=64, transient_delay=0, transient_error=0.5)
    )
    cameras, pictures = stage()
    bank = pixel_bank(cameras, [Picture(rgb) for rgb in pictures])
    file, plan = tmp_path / "checkpoint.safetensors", plan_of(config)
    whole = fresh(bank, config)
    train(whole, bank, plan, config.training, tmp_path / "none")

    def interrupt(step: int, steps: int, error: float, seconds: float) -> None:
        if step == 6:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(fresh(bank, config), bank, plan, config.training, file, on_step=interrupt)
    resumed = fresh(bank, replace(config, seed=99))
    load_checkpoint(file, resumed)
    assert resumed.reliability is not None and whole.reliability is not None
    assert resumed.reliability.cell_weight.min() < 1, "nothing that could be forgotten"
    train(resumed, bank, plan, config.training, file)
    for name, value in {**whole.field.state_dict(), **whole.reliability.state_dict()}.items():
        now = {**resumed.field.state_dict(), **resumed.reliability.state_dict()}
        assert torch.equal(now[name], value), name


def test_a_view_of_little_weight_teaches_with_that_weight(tmp_path):
    """One plain gradient step from a view of weight 0.1 is a tenth of the step from the same view of weight one."""
    cameras, pictures = stage()
    bank = pixel_bank(cameras[:1], [Picture(pictures[0])])
    config = replace(CONFIG, training=replace(CONFIG.training, distortion_weight=0.0))
    moved = []
    for weight in (1.0, 0.1):
        state = fresh(bank, config)
        state.optimizer = torch.optim.SGD(state.field.parameters(), lr=1.0)
        assert state.reliability is not None
        state.reliability.view_weight.fill_(weight)
        before = state.field.grid.table.detach().clone()
        training_step(state, bank, plan_of(config), config.training)
        moved.append(state.field.grid.table.detach() - before)
    assert moved[0].abs().max() > 0
    torch.testing.assert_close(moved[1], 0.1 * moved[0], rtol=1e-3, atol=1e-8)
