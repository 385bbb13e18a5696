"""The training of a scene, stopped where steps are to be timed, and what such a step asks of encoding and networks."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from matrix_peak import Pass, recorded_passes
from torch import nn

from sanerf.data.pixels import PixelBank
from sanerf.data.scene import Scene
from sanerf.kernels.backend import Kernels
from sanerf.kernels.reference import SamplingPlan
from sanerf.run.config import RunConfig
from sanerf.run.reliability import Reliability
from sanerf.run.training import (
    TrainingState,
    learning_rate,
    load_checkpoint,
    sampling_plan,
    start_state,
    train,
    training_step,
    uniform_share,
)


@dataclass(frozen=True)
class Stage:
    """The scene that is learnt, and all that training it takes."""

    scene: Scene
    config: RunConfig
    bank: PixelBank
    device: torch.device

    @property
    def plan(self) -> SamplingPlan:
        return sampling_plan(self.config, self.scene.near, self.scene.far, math.isinf(self.scene.far))

    def fresh_state(self, kernels: Kernels) -> TrainingState:
        """As `sanerf train` starts, its weights of what is believed included."""
        reliability = Reliability(self.bank, self.config.training)
        return start_state(self.config, kernels, views=len(self.scene.train), reliability=reliability)

    def train_to(self, step: int, state: TrainingState, checkpoint: Path) -> None:
        """Train as `sanerf train` does, and stop after so many steps, with a checkpoint, as at Control-C."""
        if state.step == step:
            return

        def stop(done: int, *_: object) -> None:
            if done >= step:
                raise KeyboardInterrupt

        try:
            train(state, self.bank, self.plan, self.config.training, checkpoint, on_step=stop)
        except KeyboardInterrupt:
            assert state.step == step, (state.step, step)


def warm_state(stage: Stage, checkpoint: Path, kernels: Kernels) -> tuple[TrainingState, SamplingPlan]:
    """The checkpoint's state with a backend of its own, and the sampling that training uses there."""
    state, config, plan = stage.fresh_state(kernels), stage.config.training, stage.plan
    load_checkpoint(checkpoint, state)
    assert config.steps is not None, "the default configuration bounds the steps"
    progress = state.step / config.steps
    of_field, of_exposure = state.optimizer.param_groups
    of_field["lr"] = learning_rate(config, config.learning_rate, progress)
    start = config.exposure_learning_rate if state.step >= config.exposure_delay else 0.0
    of_exposure["lr"] = learning_rate(config, start, progress)
    return state, replace(plan, uniform=uniform_share(plan.uniform, config.final_uniform, progress))


def steps_from(stage: Stage, checkpoint: Path, kernels: Kernels) -> Callable[[], None]:
    """One step more of the checkpoint's training with each call, with one backend."""
    state, plan = warm_state(stage, checkpoint, kernels)

    def step() -> None:
        training_step(state, stage.bank, plan, stage.config.training)
        state.step += 1

    return step


def passes_of_a_step(stage: Stage, checkpoint: Path, kernels: Kernels) -> tuple[TrainingState, list[Pass]]:
    """What a step from the checkpoint asks of the encoding and of the networks: points, and where gradients go."""
    state, plan = warm_state(stage, checkpoint, kernels)
    with recorded_passes({**networks_of(state), "encoding": state.field.grid}) as passes:
        training_step(state, stage.bank, plan, stage.config.training)
    return state, passes


def networks_of(state: TrainingState) -> dict[str, nn.Module]:
    return {"density head": state.field.density_head, "colour head": state.field.colour_head}


def encode(state: TrainingState, kernels: Kernels, passes: Sequence[Pass]) -> None:
    """The encoding's passes of a step with some backend, forward and, where they have one, backward."""
    grid = state.field.grid
    for of in passes:
        with torch.set_grad_enabled(of.backward):
            out = kernels.hash_encode(of.inputs, grid.table, grid.levels)
        if of.backward:
            torch.autograd.grad(out, grid.table, torch.ones_like(out))
