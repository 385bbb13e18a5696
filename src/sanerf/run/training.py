"""Training of the radiance field: draws rays, renders them, compares; checkpoints and resumes bit for bit."""

import json
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from sanerf.data.pixels import PixelBank
from sanerf.errors import UserError
from sanerf.fields.radiance import RadianceField
from sanerf.files import read_tensors, write_tensors
from sanerf.kernels.backend import Kernels
from sanerf.kernels.reference import SamplingPlan
from sanerf.render.renderer import RaySamples, composite_colour, sample_rays
from sanerf.run.config import RunConfig, TrainingConfig
from sanerf.run.exposure import Exposure
from sanerf.run.losses import distortion_loss
from sanerf.run.parallel import ALONE, Ranks, derived_seed
from sanerf.run.reliability import Reliability
from sanerf.shapes import Float

CHECKPOINT_VERSION = "3"


@dataclass
class TrainingState:
    """What changes while training, and what a checkpoint holds; and the processes that share the work.

    All of it is equal in all processes, save the generator: each draws rays of its own. (On CUDA the errors that
    `reliability` remembers differ in their last bits until weights are made of them, and those are the first one's.)
    Without `reliability` all pixels count alike.
    """

    field: RadianceField
    exposure: Exposure
    optimizer: torch.optim.Adam
    density_grid: Float[Tensor, "side side side"]
    generator: torch.Generator
    step: int
    seconds: float
    reliability: Reliability | None = None
    ranks: Ranks = ALONE


def start_state(
    config: RunConfig,
    kernels: Kernels,
    *,
    views: int,
    reliability: Reliability | None = None,
    ranks: Ranks = ALONE,
) -> TrainingState:
    """A fresh field, from the run's seed alone, and the exposures of `views` training views, on the kernels' device."""
    device = kernels.device
    generator = torch.Generator().manual_seed(config.seed)
    field = RadianceField(config.radiance, kernels, generator).to(device)
    exposure = Exposure(views).to(device)
    groups = [{"params": list(field.parameters())}, {"params": list(exposure.parameters())}]
    optimizer = torch.optim.Adam(groups, lr=config.training.learning_rate, betas=(0.9, 0.99), eps=1e-15, fused=True)
    side = config.sampling.grid_side
    # A little density everywhere: every ray starts by looking everywhere.
    density_grid = torch.full((side, side, side), 1.0, device=device)
    reliability = None if reliability is None else reliability.to(device)
    draws = ranks.own_draws(generator)
    return TrainingState(
        field, exposure, optimizer, density_grid, draws, step=0, seconds=0.0, reliability=reliability, ranks=ranks
    )


def sampling_plan(config: RunConfig, near: float, far: float, unbounded: bool) -> SamplingPlan:
    """The run's sampling over a scene's range of distances, as training begins."""
    s = config.sampling
    return SamplingPlan(near, far, unbounded, s.bins, s.samples, s.opacity_cap, s.uniform, s.refined)


def rendering_plan(config: RunConfig, near: float, far: float, unbounded: bool) -> SamplingPlan:
    """The same for a trained field: more intervals, fewer of them spread evenly."""
    s = config.sampling
    samples, refined = round(s.samples * s.render_factor), round(s.refined * s.render_refined_factor)
    plan = sampling_plan(config, near, far, unbounded)
    return replace(plan, samples=samples, refined=refined, uniform=config.training.final_uniform)


def learning_rate(config: TrainingConfig, start: float, progress: float) -> float:
    """Exponential from `start` over progress 0..1, falling as far as the field's does, after a warm-up over the first
    hundredth."""
    ratio = config.final_learning_rate / config.learning_rate
    return start * ratio ** min(progress, 1.0) * min(1.0, 0.01 + progress / 0.01)


def uniform_share(start: float, end: float, progress: float) -> float:
    """The share of intervals spread evenly, exponential from start to end over progress 0..1.

    A field that knows nothing must look everywhere; later that only costs samples where the surfaces are (0.3 dB).
    """
    return start * (end / start) ** min(progress, 1.0) if start > 0 else 0.0


def training_step(state: TrainingState, bank: PixelBank, plan: SamplingPlan, config: TrainingConfig) -> Tensor:
    """One optimisation step; the mean squared colour error of this process's rays, a number on the field's device that
    nobody has waited for yet."""
    kernels = state.field.grid.kernels
    device = state.density_grid.device
    pixels = bank.draw(state.ranks.share(config.rays), state.generator)
    view = bank.view_of(pixels)
    rays = bank.rays(pixels, view)
    target, opacity = bank.colours(pixels), bank.opacities(pixels)

    samples = sample_rays(state.field, state.density_grid, rays, plan, kernels, state.generator)
    _scale_gradients(samples)
    rgb = composite_colour(state.field, samples, rays.directions, threshold=1e-4)
    rgb = rgb * state.exposure(view)
    if opacity is not None:
        # A background of random colour, so that empty space can only be explained by emptiness.
        background = torch.rand(len(rays), 3, generator=state.generator).to(device)
        target = target * opacity[:, None] + background * (1 - opacity[:, None])
        rgb = rgb + background * (1 - samples.weights.sum(-1, keepdim=True))
    errors = (rgb - target).square().mean(dim=-1)
    error = errors.detach().mean()
    if state.reliability is not None:
        cells = state.reliability.cells(bank, pixels, view)
        weights = state.reliability.weights(cells, view)
        state.reliability.remember_errors(cells, errors.detach(), step=state.step, ranks=state.ranks)
        errors = errors * weights
    distortion_weight = config.distortion_weight * min(1.0, state.step / config.distortion_steps)
    loss = errors.mean() + distortion_weight * distortion_loss(samples.edges, samples.weights, plan)
    state.optimizer.zero_grad(set_to_none=True)
    loss.backward()
    state.ranks.average_gradients([*state.field.parameters(), *state.exposure.parameters()])
    state.optimizer.step()
    with torch.no_grad():
        first = samples.first
        assert first is not None, "training needs the first look"
        p_world = torch.cat([first.p_world.reshape(-1, 3), samples.p_world.reshape(-1, 3)])
        density = torch.cat([first.density.reshape(-1), samples.density.reshape(-1)])
        # What all processes have seen, so that each cell fades once, as it would in one process.
        p_world, density = state.ranks.gather(p_world), state.ranks.gather(density)
        kernels.update_density_grid(state.density_grid, p_world, density, config.grid_decay, plan.unbounded)
    return error


def _scale_gradients(samples: RaySamples) -> None:
    """Scale what samples learn by min(1, distance^2) (Philip and Deschaintre 2023, "Floaters No More").

    Space near a camera is seen by many of its rays and no other camera's, and would be filled with what they see.
    """
    scale = samples.distances.square().clamp(max=1.0)
    samples.density.register_hook(lambda gradient: gradient * scale)
    samples.geometry.register_hook(lambda gradient: gradient * scale[..., None])


def train(
    state: TrainingState,
    bank: PixelBank,
    plan: SamplingPlan,
    config: TrainingConfig,
    checkpoint: Path,
    *,
    minutes: float | None = None,
    on_step: Callable[[int, int, Tensor, float], None] | None = None,
) -> None:
    """Train to `config.steps`, or for `minutes` if that is sooner, from where the state stands.

    `on_step(step, steps, error, seconds)` is called after each step with the steps that there will be (an estimate
    where time decides), the mean squared error and the training time so far, earlier sittings included. The error is a
    tensor of one number: who reads it on CUDA waits for the step. Control-C waits for the step to end, writes a
    checkpoint and then raises its KeyboardInterrupt. Of several processes the first one's clock counts; it alone writes
    and calls `on_step`, which then must not raise; Control-C in one stops all.
    """
    assert config.steps is not None or minutes is not None, "training without an end"
    began, saved = time.monotonic() - state.seconds, time.monotonic()
    with _interrupt_held_back() as interrupted:
        try:
            while (progress := _progress(state, config, minutes)) < 1:
                of_field, of_exposure = state.optimizer.param_groups
                of_field["lr"] = learning_rate(config, config.learning_rate, progress)
                start = config.exposure_learning_rate if state.step >= config.exposure_delay else 0.0
                of_exposure["lr"] = learning_rate(config, start, progress)
                uniform = uniform_share(plan.uniform, config.final_uniform, progress)
                error = training_step(state, bank, replace(plan, uniform=uniform), config)
                state.step += 1
                now = time.monotonic()
                told = [now - began, now - saved > config.checkpoint_seconds, interrupted()]
                clocks, checkpoints_due, interrupts = state.ranks.gather(torch.tensor([told], dtype=torch.float64)).T
                error, state.seconds = state.ranks.mean(error), clocks[0].item()
                if on_step is not None and state.ranks.first:
                    steps = max(state.step, round(state.step / _progress(state, config, minutes)))
                    on_step(state.step, steps, error, state.seconds)
                if checkpoints_due[0]:
                    save_checkpoint(checkpoint, state)
                    saved = time.monotonic()
                if interrupts.any():
                    raise KeyboardInterrupt
        except KeyboardInterrupt:
            save_checkpoint(checkpoint, state)
            raise


def _progress(state: TrainingState, config: TrainingConfig, minutes: float | None) -> float:
    """The share of training that is done, by steps or by time, whichever is further."""
    by_steps = 0.0 if config.steps is None else state.step / config.steps
    by_time = 0.0 if minutes is None else state.seconds / (60 * minutes)
    return max(by_steps, by_time)


@contextmanager
def _interrupt_held_back() -> Iterator[Callable[[], bool]]:
    """Within, Control-C only makes the given function true.

    A KeyboardInterrupt in the middle of a step would leave a field that has learnt it and a count that has not, and
    training would not go on from there as if nothing had happened.
    """
    came = False
    if threading.current_thread() is not threading.main_thread():
        yield lambda: came  # Control-C never comes to another thread.
        return

    def note(signal_number: int, frame: object) -> None:
        nonlocal came
        came = True

    before = signal.signal(signal.SIGINT, note)
    try:
        yield lambda: came
    finally:
        signal.signal(signal.SIGINT, before if before is not None else signal.SIG_DFL)


def save_checkpoint(path: Path, state: TrainingState) -> None:
    """Write everything that training needs to go on, whole or not at all. All processes call it, the first writes.

    UserError where the folder is gone: made anew, it would hold a checkpoint of no run.
    """
    generators = state.ranks.gather(state.generator.get_state()[None])
    if not state.ranks.first:
        return
    if not path.parent.is_dir():
        raise UserError(f"the run folder {path.parent} is gone; what was trained in it is lost")
    tensors = {f"field.{name}": value for name, value in state.field.state_dict().items()}
    tensors["exposure"] = state.exposure.log_gain.detach()
    for index, entries in state.optimizer.state_dict()["state"].items():
        for name, value in entries.items():
            tensors[f"optimizer.{index}.{name}"] = value
    if state.reliability is not None:
        tensors |= {f"reliability.{name}": value for name, value in state.reliability.state_dict().items()}
    tensors["density_grid"] = state.density_grid
    for rank, generator in enumerate(generators):
        tensors[_generator_name(rank)] = generator
    metadata = {"version": CHECKPOINT_VERSION, "step": str(state.step), "seconds": repr(state.seconds)}
    write_tensors(path, tensors, metadata)


def load_checkpoint(path: Path, state: TrainingState) -> None:
    """Take `state` to where the checkpoint stands. UserError if it cannot be read or is of another version.

    As many processes as wrote it go on with their own random numbers, others with new ones.
    """
    tensors, metadata = read_tensors(path, "delete it to train from the start")
    if metadata.get("version") != CHECKPOINT_VERSION:
        raise UserError(f"the checkpoint {path} is of another version of sanerf; delete it to train from the start")
    own = state.field.state_dict()
    field = {name.removeprefix("field."): value for name, value in tensors.items() if name.startswith("field.")}
    same_field = {k: v.shape for k, v in own.items()} == {k: v.shape for k, v in field.items()}
    known = {} if state.reliability is None else state.reliability.state_dict()
    prefix = "reliability."
    reliability = {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
    same_scene = tensors["exposure"].shape == state.exposure.log_gain.shape
    same_scene &= {k: v.shape for k, v in known.items()} == {k: v.shape for k, v in reliability.items()}
    if not same_field or not same_scene or tensors["density_grid"].shape != state.density_grid.shape:
        raise UserError(f"the checkpoint {path} belongs to another configuration; delete it to train from the start")
    state.field.load_state_dict(field)
    state.exposure.load_state_dict({"log_gain": tensors["exposure"]})
    if state.reliability is not None:
        state.reliability.load_state_dict(reliability)
    moments: dict[int, dict[str, Tensor]] = {}
    for name, value in tensors.items():
        if name.startswith("optimizer."):
            _, index, entry = name.split(".")
            moments.setdefault(int(index), {})[entry] = value
    groups = state.optimizer.state_dict()["param_groups"]
    state.optimizer.load_state_dict({"state": moments, "param_groups": groups})
    state.density_grid.copy_(tensors["density_grid"])
    state.step, state.seconds = int(metadata["step"]), json.loads(metadata["seconds"])
    if sum(name.split(".")[0] == "generator" for name in tensors) == state.ranks.size:
        state.generator.set_state(tensors[_generator_name(state.ranks.rank)])
    else:
        state.generator.manual_seed(derived_seed(state.generator.initial_seed(), state.step))


def _generator_name(rank: int) -> str:
    """Where a checkpoint has the random numbers of a process; the first one's are those of a single process."""
    return "generator" if rank == 0 else f"generator.{rank}"
