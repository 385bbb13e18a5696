"""Training on a stage of two flat colours: it learns, it resumes bit for bit, and it refuses what it cannot read."""

import signal
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from analytic_scene import PLAN, camera_at, cast, picture
from sanerf.data.pixels import Picture, PixelBank, pixel_bank
from sanerf.errors import UserError
from sanerf.fields.radiance import RadianceConfig
from sanerf.geometry.cameras import Camera
from sanerf.kernels.backend import kernels_for
from sanerf.render.images import Renderer, render_image
from sanerf.render.renderer import RaySamples
from sanerf.run import training
from sanerf.run.config import RunConfig, SamplingConfig, TrainingConfig
from sanerf.run.training import (
    TrainingState,
    _scale_gradients,
    learning_rate,
    load_checkpoint,
    rendering_plan,
    sampling_plan,
    save_checkpoint,
    start_state,
    train,
    uniform_share,
)

CPU = torch.device("cpu")
STEPS = 250
CONFIG = RunConfig(
    radiance=RadianceConfig(levels=4, entries_log2=12, channels=2, coarsest=8, finest=32, hidden=16, geometry=7),
    sampling=SamplingConfig(bins=64, samples=32, grid_side=32, opacity_cap=0.2, uniform=0.2),
    training=TrainingConfig(steps=STEPS, rays=256, learning_rate=3e-2, distortion_weight=1e-3, distortion_steps=1),
)
VIEWS = [(0.0, 0.0), (-0.5, 0.0), (0.5, 0.0), (0.0, -0.5), (0.0, 0.5), (-0.4, 0.4), (0.4, -0.4), (0.45, 0.4)]


def stage_cameras() -> list[Camera]:
    return [camera_at(x, y, towards=(0.0, 0.0, 0.2)) for x, y in VIEWS]


def stage_bank(with_alpha: bool) -> PixelBank:
    pictures = [picture(camera) for camera in stage_cameras()]
    return pixel_bank(stage_cameras(), [Picture(rgb, alpha if with_alpha else None) for rgb, alpha in pictures])


def fresh(config: RunConfig = CONFIG, backend="numba") -> TrainingState:
    return start_state(config, kernels_for(backend, CPU), views=len(VIEWS))


def plan_of(config: RunConfig):
    return sampling_plan(config, PLAN.near, PLAN.far, unbounded=False)


def test_two_flat_colours_are_learnt(tmp_path):
    """A thirtieth of the best constant colour's error, and the ball to a cell of the finest level (4 / 32).

    Seeds 0, 1, 2 give 0.07, 0.12 and 0.04: inside a ball of one colour nothing but its outline says where it is.
    """
    bank = stage_bank(with_alpha=True)
    colours = bank.colours(torch.arange(len(bank)))
    constant_error = float(colours.var(dim=0, unbiased=False).mean())
    errors: list[float] = []
    state = fresh()
    plan = plan_of(CONFIG)
    train(
        state, bank, plan, CONFIG.training, tmp_path / "c", on_step=lambda s, n, error, t: errors.append(float(error))
    )
    assert state.step == len(errors) == STEPS
    assert sum(errors[-20:]) / 20 < constant_error / 30

    rendering = rendering_plan(CONFIG, PLAN.near, PLAN.far, unbounded=False)
    renderer = Renderer(state.field, state.density_grid, rendering, state.field.grid.kernels)
    held_out = camera_at(0.2, 0.15, towards=(0.0, 0.0, 0.2))
    image = render_image(renderer, held_out)
    distance, ball = cast(held_out)
    truth = picture(held_out)[0].float() / 255
    assert float((image.rgb - truth).square().mean()) < constant_error / 10
    off = (image.distance.reshape(-1).double() - distance).abs()
    assert float(off[ball].median()) < 4 / 32
    assert float(image.accumulation.reshape(-1)[~distance.isfinite()].mean()) < 0.1


@pytest.mark.parametrize(("backend", "with_alpha"), [("numba", True), ("numba", False), ("torch", True)])
def test_an_interrupted_run_ends_bit_for_bit_like_another(tmp_path, backend, with_alpha):
    config = replace(CONFIG, training=replace(CONFIG.training, steps=12, rays=64))
    bank, plan, file = stage_bank(with_alpha), plan_of(config), tmp_path / "checkpoint.safetensors"
    whole, errors = fresh(config, backend), []
    train(whole, bank, plan, config.training, file, on_step=lambda s, n, error, t: errors.append(float(error)))
    assert not file.exists()

    def interrupt(step: int, steps: int, error: float, seconds: float) -> None:
        resumed_errors.append(float(error))
        if step == 5:
            raise KeyboardInterrupt

    resumed_errors: list[float] = []
    first = fresh(config, backend)
    with pytest.raises(KeyboardInterrupt):
        train(first, bank, plan, config.training, file, on_step=interrupt)
    # The state to resume in starts from another seed: nothing of it may remain.
    resumed = fresh(replace(config, seed=99), backend)
    load_checkpoint(file, resumed)
    assert (resumed.step, resumed.seconds) == (5, first.seconds)
    train(
        resumed, bank, plan, config.training, file, on_step=lambda s, n, error, t: resumed_errors.append(float(error))
    )
    assert resumed_errors == errors
    assert torch.equal(resumed.density_grid, whole.density_grid)
    assert torch.equal(resumed.generator.get_state(), whole.generator.get_state())
    for name, value in whole.field.state_dict().items():
        assert torch.equal(resumed.field.state_dict()[name], value), name
    assert resumed.seconds > first.seconds


def test_control_c_in_the_middle_of_a_step_waits_for_its_end(tmp_path, monkeypatch):
    """A signal right after the field has learnt a step, before the step is counted."""
    config = replace(CONFIG, training=replace(CONFIG.training, steps=4, rays=64))
    bank, plan = stage_bank(True), plan_of(config)
    whole = fresh(config)
    train(whole, bank, plan, config.training, tmp_path / "none")

    real_step = training.training_step

    def interrupted_step(state, *arguments):
        error = real_step(state, *arguments)
        if state.step == 1:
            signal.raise_signal(signal.SIGINT)
        return error

    state, handler = fresh(config), signal.getsignal(signal.SIGINT)
    with monkeypatch.context() as patch:
        patch.setattr(training, "training_step", interrupted_step)
        with pytest.raises(KeyboardInterrupt):
            train(state, bank, plan, config.training, tmp_path / "checkpoint.safetensors")
    assert signal.getsignal(signal.SIGINT) is handler
    resumed = fresh(config)
    load_checkpoint(tmp_path / "checkpoint.safetensors", resumed)
    assert resumed.step == 2
    train(resumed, bank, plan, config.training, tmp_path / "checkpoint.safetensors")
    assert torch.equal(resumed.field.state_dict()["grid.table"], whole.field.state_dict()["grid.table"])


def test_checkpoints_are_written_on_the_way(tmp_path):
    config = replace(CONFIG, training=replace(CONFIG.training, steps=3, rays=16, checkpoint_seconds=0.0))
    file = tmp_path / "checkpoint.safetensors"
    train(fresh(config), stage_bank(True), plan_of(config), config.training, file)
    with safe_open(file, framework="pt") as opened:
        assert opened.metadata()["step"] == "3"
    assert [path.name for path in tmp_path.iterdir()] == [file.name]


@pytest.mark.parametrize("steps", [100_000, None])
def test_minutes_end_training_before_its_steps(tmp_path, steps):
    config = replace(CONFIG, training=replace(CONFIG.training, steps=steps, rays=16))
    state = fresh(config)
    train(state, stage_bank(True), plan_of(config), config.training, tmp_path / "c", minutes=0.3 / 60)
    assert 0 < state.step < 100_000
    assert state.seconds >= 0.3


@pytest.fixture
def checkpoint(tmp_path) -> Path:
    state = fresh()
    save_checkpoint(tmp_path / "checkpoint.safetensors", state)
    return tmp_path / "checkpoint.safetensors"


@pytest.mark.parametrize(
    "other",
    [
        replace(CONFIG, radiance=replace(CONFIG.radiance, hidden=8)),
        replace(CONFIG, radiance=replace(CONFIG.radiance, levels=3)),
        replace(CONFIG, sampling=replace(CONFIG.sampling, grid_side=16)),
    ],
    ids=["hidden", "levels", "grid_side"],
)
def test_a_checkpoint_of_another_configuration_is_refused_and_changes_nothing(checkpoint, other):
    state = fresh(other)
    before = {name: value.clone() for name, value in state.field.state_dict().items()}
    with pytest.raises(UserError, match="belongs to another configuration; delete it"):
        load_checkpoint(checkpoint, state)
    assert all(torch.equal(value, before[name]) for name, value in state.field.state_dict().items())


def test_a_run_folder_that_is_gone_is_not_made_again_for_a_checkpoint(tmp_path):
    with pytest.raises(UserError, match="is gone"):
        save_checkpoint(tmp_path / "gone" / "checkpoint.safetensors", fresh())
    assert not list(tmp_path.iterdir())


def test_a_checkpoint_of_another_version_or_a_broken_one_is_refused(checkpoint):
    with safe_open(checkpoint, framework="pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - safe_open has no iterator
        metadata = file.metadata()
    save_file(tensors, checkpoint, {**metadata, "version": "0"})
    with pytest.raises(UserError, match="is of another version of sanerf; delete it"):
        load_checkpoint(checkpoint, fresh())
    save_file(tensors, checkpoint)
    with pytest.raises(UserError, match="is of another version of sanerf"):
        load_checkpoint(checkpoint, fresh())
    checkpoint.write_bytes(checkpoint.read_bytes()[:1000])
    with pytest.raises(UserError, match="cannot be read"):
        load_checkpoint(checkpoint, fresh())


def test_the_learning_rate_warms_up_and_falls_exponentially():
    config = TrainingConfig(learning_rate=1e-2, final_learning_rate=1e-4)
    assert learning_rate(config, 1e-2, 0.0) == pytest.approx(1e-4)
    assert learning_rate(config, 1e-2, 0.005) == pytest.approx(1e-2 * 0.01**0.005 * 0.51)
    assert learning_rate(config, 1e-2, 0.5) == pytest.approx(1e-3)
    assert learning_rate(config, 1e-2, 1.0) == pytest.approx(1e-4)
    assert learning_rate(config, 1e-2, 1.7) == pytest.approx(1e-4)


def test_what_lies_near_a_camera_learns_with_its_distance_squared():
    edges = torch.tensor([[0.0, 0.2, 0.8, 1.4, 4.0]])
    scale = torch.tensor([[0.01, 0.25, 1.0, 1.0]])  # of the middles 0.1, 0.5, 1.1 and 2.7
    density = torch.ones(1, 4, requires_grad=True)
    geometry = torch.ones(1, 4, 2, requires_grad=True)
    samples = RaySamples(edges, torch.zeros(1, 4, 3), density * 1, density * 3, geometry * 5)
    _scale_gradients(samples)
    (samples.density.sum() + samples.geometry.sum()).backward()
    torch.testing.assert_close(density.grad, 3 * scale)
    torch.testing.assert_close(geometry.grad, 5 * scale[..., None].expand(1, 4, 2))


def test_a_fresh_state_is_a_function_of_its_seed():
    first, same, other = fresh(), fresh(), fresh(replace(CONFIG, seed=1))
    table = "grid.table"
    assert torch.equal(first.field.state_dict()[table], same.field.state_dict()[table])
    assert not torch.equal(first.field.state_dict()[table], other.field.state_dict()[table])
    assert bool((first.density_grid == 1).all()) and first.density_grid.shape == (32, 32, 32)


def test_a_trained_field_is_rendered_with_more_intervals_and_the_last_share_spread_evenly():
    training, rendering = plan_of(CONFIG), rendering_plan(CONFIG, PLAN.near, PLAN.far, unbounded=False)
    assert (rendering.samples, rendering.refined) == (54, 15)
    assert rendering.uniform == CONFIG.training.final_uniform < training.uniform
    same = replace(rendering, samples=training.samples, refined=training.refined, uniform=training.uniform)
    assert same == training


def test_the_evenly_spread_share_falls_exponentially():
    assert [uniform_share(0.2, 0.05, progress) for progress in (0.0, 0.5, 1.0, 2.0)] == pytest.approx(
        [0.2, 0.1, 0.05, 0.05]
    )
    assert uniform_share(0.0, 0.05, 0.5) == 0.0


def test_the_exposure_of_each_view_is_found_and_the_field_keeps_the_mean(tmp_path):
    """Pictures of the stage, each darkened by a factor of its own: the gains come out within 5 %."""
    gains = torch.linspace(0.6, 1.0, len(VIEWS)).roll(3)[:, None] * torch.tensor([[1.0, 0.95, 0.9]])
    gains[::2] *= torch.tensor([0.9, 0.95, 1.0])
    pictures = [picture(camera) for camera in stage_cameras()]
    dark = [(rgb * gain).round().to(torch.uint8) for (rgb, _), gain in zip(pictures, gains, strict=True)]
    bank = pixel_bank(stage_cameras(), [Picture(rgb, of[1]) for rgb, of in zip(dark, pictures, strict=True)])
    state = fresh()
    config = replace(CONFIG.training, exposure_delay=50)
    train(state, bank, plan_of(CONFIG), config, tmp_path / "c")
    found = state.exposure(torch.arange(len(VIEWS))).detach()
    expected = gains / gains.log().mean(dim=0).exp()
    assert float((found / expected - 1).abs().max()) < 0.05
    torch.testing.assert_close(found.log().mean(dim=0), torch.zeros(3), atol=1e-6, rtol=0)


def test_exposures_are_one_without_a_learning_rate_and_before_their_time(tmp_path):
    for options in ({"exposure_learning_rate": 0.0, "exposure_delay": 0}, {"exposure_delay": 3}):
        config = replace(CONFIG, training=replace(CONFIG.training, steps=3, **options))
        state = fresh(config)
        train(state, stage_bank(False), plan_of(config), config.training, tmp_path / "c")
        assert bool((state.exposure(torch.arange(len(VIEWS))) == 1).all())


def test_a_step_looks_up_the_views_of_its_rays_once_and_waits_for_no_number(monkeypatch):
    bank, state, looked_up = stage_bank(False), fresh(), []
    view_of = PixelBank.view_of
    monkeypatch.setattr(PixelBank, "view_of", lambda *of: looked_up.append(of) or view_of(*of))
    with monkeypatch.context() as within:

        def fetched(tensor: torch.Tensor):
            raise AssertionError("a number is fetched from the device")

        within.setattr(torch.Tensor, "item", fetched)
        error = training.training_step(state, bank, plan_of(CONFIG), CONFIG.training)
    assert len(looked_up) == 1
    assert error.shape == () and not error.requires_grad and 0 < float(error) < 1


def test_what_masks_exclude_has_no_part_in_training():
    cameras = stage_cameras()[:2]
    kept = [torch.ones(camera.height, camera.width, dtype=torch.bool) for camera in cameras]
    kept[0][:, ::2] = False
    fields = []
    for excluded_colour in (0, 255):
        pictures = [picture(camera)[0].clone() for camera in cameras]
        pictures[0][:, ::2] = excluded_colour
        state = fresh()
        bank = pixel_bank(cameras, [Picture(rgb, None, mask) for rgb, mask in zip(pictures, kept, strict=True)])
        for _ in range(3):
            training.training_step(state, bank, plan_of(CONFIG), CONFIG.training)
        fields.append(state.field.state_dict())
    assert all(torch.equal(fields[0][name], fields[1][name]) for name in fields[0])
