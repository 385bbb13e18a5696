"""`sanerf train SCENE --out RUN`."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Literal

import tyro

from sanerf.cli.console import CommonOptions, open_device, optional, progress_bars
from sanerf.cli.opened import open_scene, print_run
from sanerf.errors import UserError


@dataclass(frozen=True)
class Train(CommonOptions):
    """Train the radiance field of a scene. Goes on where an interrupted call stopped."""

    goes_on = True
    in_parallel = True
    needs_less = "smaller pictures (a larger --downscale) need less"

    scene: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="SCENE")] = field(kw_only=True)
    """folder of the scene, with transforms.json, poses_bounds.npy or what else docs/layouts.md lists in it"""
    out: Annotated[Path, tyro.conf.arg(metavar="RUN")] = field(kw_only=True)
    """run folder to make or to go on with"""
    steps: Annotated[int | None, optional("N")] = None
    """optimisation steps; by default 3000, or as many as --minutes allows"""
    minutes: Annotated[float | None, optional("M")] = None
    """stop after this many minutes, if that comes first; more of them make a sharper field"""
    downscale: int = 1
    """use pictures at 1/D of their size"""
    holdout: Annotated[str | None, optional("every:8|none|FILE")] = None
    """views kept for testing: every:8, none, or a file of names; by default the scene's own, else every:8"""
    blurred: float = 1.0
    """least weight of a photograph that is blurred next to its neighbours; 1 takes all alike"""
    transients: Literal["on", "off"] = "on"
    """let parts of views that contradict the others (people who walk by) count less"""
    backend: Literal["auto", "torch", "numba", "triton"] = "auto"
    """the kernels' implementation"""

    def run(self) -> None:
        if self.steps is not None and self.steps < 1:
            raise UserError(f"--steps should be at least 1, not {self.steps}")
        if self.minutes is not None and not self.minutes > 0:
            raise UserError(f"--minutes should be more than 0, not {self.minutes}")
        if self.downscale < 1:
            raise UserError(f"--downscale should be at least 1, not {self.downscale}")
        if not 0 <= self.blurred <= 1:
            raise UserError(f"--blurred should be from 0 to 1, not {self.blurred}")
        from sanerf.kernels.backend import kernels_for
        from sanerf.run.config import RunConfig
        from sanerf.run.parallel import joined, own_device
        from sanerf.run.train_run import train_run

        device = own_device(open_device(self))
        config = RunConfig(seed=self.seed, downscale=self.downscale)
        training = replace(config.training, blurred_weight=self.blurred, transients=self.transients == "on")
        if self.steps is not None or self.minutes is not None:
            training = replace(training, steps=self.steps)
        config = replace(config, training=training)
        with joined(device) as ranks, progress_bars() as progress:
            scene = open_scene(self.scene, holdout=self.holdout, downscale=self.downscale)
            kernels = kernels_for(self.backend, device)

            def on_step(step: int, steps: int, psnr: float, seconds: float) -> None:
                progress("train", step, steps, f"PSNR {psnr:.1f} dB, {seconds:.0f} s")

            progress("train", 0, config.training.steps or 1)
            run = train_run(
                scene, config, self.out, kernels=kernels, minutes=self.minutes, on_step=on_step, ranks=ranks
            )
        print_run(self, run, "trained")
