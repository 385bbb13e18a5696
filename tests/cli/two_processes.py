"""What both processes of torchrun do in `test_torchrun.py`: `torchrun ... two_processes.py SCENE OUT`.

Each leaves what it found in OUT/RANK.safetensors; the test compares. The run folders OUT/run and OUT/whole are trained,
and OUT/killed, which a command began, goes on to its end by the same command.
"""

import itertools
import signal
import sys
from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

import torch
from command_stage import CONFIG
from safetensors.torch import save_file

from sanerf.cli.main import main as sanerf
from sanerf.data.load import load_scene
from sanerf.data.pixels import PixelBank, load_bank
from sanerf.kernels.backend import kernels_for
from sanerf.run import reliability, training
from sanerf.run.config import RunConfig, TrainingConfig
from sanerf.run.parallel import Ranks, joined
from sanerf.run.reliability import Reliability
from sanerf.run.train_run import train_run
from sanerf.run.training import TrainingState, load_checkpoint, sampling_plan, start_state, train

CPU = torch.device("cpu")
SHORT = replace(
    CONFIG,
    training=replace(
        CONFIG.training, steps=8, rays=64, exposure_delay=2, transient_delay=0, transient_error=0.5, blurred_weight=0.3
    ),
)
STEPS_BETWEEN_WEIGHTS = 2
INTERRUPTED_AFTER = 3
WHOLE = RunConfig(seed=3, downscale=2, training=TrainingConfig(steps=3))
VIEWS = 8


def fresh(config: RunConfig, ranks: Ranks, bank: PixelBank) -> TrainingState:
    known = Reliability(bank, config.training)
    return start_state(config, kernels_for("numba", CPU), views=VIEWS, reliability=known, ranks=ranks)


def tensors_of(state: TrainingState) -> dict[str, torch.Tensor]:
    """All that is to be equal in the processes, as copies."""
    out = {f"field.{name}": value for name, value in state.field.state_dict().items()}
    out |= {"exposure": state.exposure.log_gain.detach(), "density_grid": state.density_grid}
    assert state.reliability is not None
    out |= {f"reliability.{name}": value for name, value in state.reliability.state_dict().items()}
    for number, moments in state.optimizer.state_dict()["state"].items():
        out |= {f"optimizer.{number}.{name}": value for name, value in moments.items()}
    return {name: value.clone() for name, value in out.items()}


def collectives(ranks: Ranks) -> dict[str, torch.Tensor]:
    """What comes out of unequal lengths, and of gradients that are large, small, turned and missing in one process."""
    own = torch.arange(3.0 * (ranks.rank + 1)).reshape(-1, 3) + 100 * ranks.rank
    large, small, turned, missing = (torch.zeros(size, requires_grad=True) for size in ((2**16, 2), (3,), (4, 5), (2,)))
    large.grad = torch.arange(2.0**17).reshape(2**16, 2) * (1 + 2 * ranks.rank)
    small.grad = torch.tensor([1.0, 2.0, 3.0]) if ranks.first else torch.tensor([5.0, 0.0, -3.0])
    turned.grad = (torch.arange(20.0) * ranks.rank).reshape(5, 4).T
    if not ranks.first:
        missing.grad = torch.tensor([2.0, -4.0])
    ranks.average_gradients([large, small, turned, missing])
    means = {"large": large.grad, "small": small.grad, "turned": turned.grad, "missing": missing.grad}
    found = {"gathered": ranks.gather(own), "share": torch.tensor(ranks.share(7)), **means}
    return {name: value.contiguous() for name, value in found.items() if value is not None}


def one_step(bank: PixelBank, ranks: Ranks, pixels: torch.Tensor) -> dict[str, torch.Tensor]:
    """Gradients and density grid of one step on given pixels, with samples at rest."""
    state = fresh(SHORT, ranks, bank)
    plan = sampling_plan(SHORT, 0.05, 3.0, unbounded=False)
    sample_rays = training.sample_rays
    at_rest = replace(bank, alpha=None)
    object.__setattr__(at_rest, "draw", lambda count, generator: pixels)
    training.sample_rays = lambda *arguments: sample_rays(*arguments[:-1])
    training.training_step(state, at_rest, plan, SHORT.training)
    training.sample_rays = sample_rays
    gradients = {f"gradient.{name}": parameter.grad for name, parameter in state.field.named_parameters()}
    return {**gradients, "gradient.exposure": state.exposure.log_gain.grad, "density_grid": state.density_grid}  # pyright: ignore[reportReturnType]


def short_trainings(bank: PixelBank, ranks: Ranks, out: Path) -> dict[str, torch.Tensor]:
    """Whole and interrupted: the state after each step, and at the end of each."""
    plan, file = sampling_plan(SHORT, 0.05, 3.0, unbounded=False), out / "checkpoint.safetensors"
    found: dict[str, torch.Tensor] = {}
    real_step, counter = training.training_step, itertools.count(1)

    def noted_step(state: TrainingState, *arguments):
        error = real_step(state, *arguments)
        step = next(counter)
        found.update({f"step {step}.{name}": value for name, value in tensors_of(state).items()})
        return error

    def interrupted_step(state: TrainingState, *arguments):
        error = real_step(state, *arguments)
        if state.step + 1 == INTERRUPTED_AFTER and not ranks.first:
            signal.raise_signal(signal.SIGINT)
        return error

    training.training_step = noted_step
    train(fresh(SHORT, ranks, bank), bank, plan, SHORT.training, file)
    training.training_step = interrupted_step
    state = fresh(SHORT, ranks, bank)
    try:
        train(state, bank, plan, SHORT.training, file)
    except KeyboardInterrupt:
        found["interrupted after"] = torch.tensor(state.step)
    training.training_step = real_step
    ranks.wait_for_all()
    resumed = fresh(replace(SHORT, seed=99), ranks, bank)
    load_checkpoint(file, resumed)
    train(resumed, bank, plan, SHORT.training, file)
    found |= {f"resumed.{name}": value for name, value in tensors_of(resumed).items()}
    found["seconds"] = torch.tensor(resumed.seconds, dtype=torch.float64)
    return found


def drifted_errors(bank: PixelBank, ranks: Ranks) -> dict[str, torch.Tensor]:
    """What weights are made of errors that have drifted apart, as sums on CUDA do; the first process's stay as such."""
    known = Reliability(bank, SHORT.training)
    generator = torch.Generator().manual_seed(ranks.rank)
    known.error.copy_(torch.rand(known.error.shape, generator=generator))
    known.rays.fill_(1.0)
    alone = Reliability(bank, SHORT.training)
    alone.load_state_dict(known.state_dict())
    nothing = torch.zeros(0, dtype=torch.int64), torch.zeros(0)
    step = reliability.STEPS_BETWEEN_WEIGHTS - 1
    known.remember_errors(*nothing, step=step, ranks=ranks)
    alone.remember_errors(*nothing, step=step)
    return {**known.state_dict(), "weight of own errors": alone.cell_weight, "own errors": alone.error}


def command_of_whole(scene: Path, out: Path) -> list[str]:
    """The arguments that train like `WHOLE`."""
    numbers = {"--seed": WHOLE.seed, "--downscale": WHOLE.downscale, "--steps": WHOLE.training.steps}
    options = [word for name, number in numbers.items() for word in (name, str(number))]
    return ["train", str(scene), "--out", str(out), *options, "--json"]


def main() -> None:
    scene, out = load_scene(Path(sys.argv[1])), Path(sys.argv[2])
    bank = load_bank(scene, scene.train, 1, seed=0)
    pixels = torch.randint(len(bank), (64,), generator=torch.Generator().manual_seed(1))
    with joined(CPU) as ranks:
        sys.argv = ["sanerf", *command_of_whole(scene.root, out / "killed")]
        try:
            sanerf()
        except SystemExit as ended:
            assert ended.code == 0, ended.code
        found = {f"collectives.{name}": value for name, value in collectives(ranks).items()}
        halves = one_step(bank, ranks, pixels.chunk(2)[ranks.rank])
        found |= {f"halves.{name}": value for name, value in halves.items()}
        found |= {f"whole.{name}": value for name, value in one_step(bank, Ranks(), pixels).items()}
        with patch.object(reliability, "STEPS_BETWEEN_WEIGHTS", STEPS_BETWEEN_WEIGHTS):
            found |= short_trainings(bank, ranks, out)
        found |= {f"drifted.{name}": value for name, value in drifted_errors(bank, ranks).items()}
        train_run(scene, CONFIG, out / "run", kernels=kernels_for("numba", CPU), ranks=ranks)
        train_run(scene, WHOLE, out / "whole", kernels=kernels_for("numba", CPU), ranks=ranks)
        save_file({name: value.contiguous() for name, value in found.items()}, out / f"{ranks.rank}.safetensors")


if __name__ == "__main__":
    main()
