"""`train`: a scene to a trained run folder, resuming where an earlier call stopped."""

import json
import logging
import math
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import torch
from torch import Tensor

from sanerf.data.pixels import load_bank
from sanerf.data.scene import Scene
from sanerf.errors import UserError
from sanerf.files import write_text
from sanerf.kernels.backend import Kernels, compiles_first
from sanerf.run.config import RunConfig
from sanerf.run.folder import Run, create_run, save_radiance
from sanerf.run.lock import run_lock
from sanerf.run.parallel import ALONE, Ranks
from sanerf.run.reliability import Reliability
from sanerf.run.training import load_checkpoint, sampling_plan, start_state, train

LEAST_SIDE = 11
"""Pixels a side that a downscaled picture must have: the window of SSIM."""

CURVE_EVERY = 50
"""Steps whose errors are averaged into one line of the training curve."""
FETCH_EVERY = 10
"""Steps after which their errors are fetched from the device, which is waited for; it divides `CURVE_EVERY`."""

_log = logging.getLogger("sanerf")


def train_run(
    scene: Scene,
    config: RunConfig,
    out: Path,
    *,
    kernels: Kernels,
    minutes: float | None = None,
    on_step: Callable[[int, int, float, float], None] | None = None,
    ranks: Ranks = ALONE,
) -> Run:
    """Train a radiance field of `scene` into the run folder `out`, on the kernels' device; nothing is done if that has
    been done.

    `on_step(step, steps, psnr, seconds)` gets the running PSNR of the training rays, anew every ten steps. All `ranks`
    call this; the first calls `on_step` and writes the folder, which all of them must see. Raises UserError for
    pictures that cannot be read and for a folder that holds another run or that another process works on.
    """
    for view in scene.train:
        camera = scene.views[view].camera
        if min(camera.width, camera.height) < LEAST_SIDE * config.downscale:
            size = f"{camera.width} x {camera.height}"
            raise UserError(
                f"--downscale {config.downscale} leaves too little of pictures of {size} pixels; "
                f"at least {LEAST_SIDE} a side are needed"
            )
    with run_lock(out) if ranks.first else nullcontext():
        run = create_run(out, scene, config) if ranks.first else Run(out, scene, config)
        ranks.wait_for_all()
        if not run.trained:
            _train(run, kernels, minutes=minutes, on_step=on_step, ranks=ranks)
    return run


def _train(
    run: Run,
    kernels: Kernels,
    *,
    minutes: float | None,
    on_step: Callable[[int, int, float, float], None] | None,
    ranks: Ranks,
) -> None:
    """Train from the run's checkpoint, if it has one, to the end."""
    scene, config = run.scene, run.config
    bank = load_bank(scene, scene.train, config.downscale, seed=config.seed).to(kernels.device)
    reliability = Reliability(bank, config.training)
    state = start_state(config, kernels, views=len(scene.train), reliability=reliability, ranks=ranks)
    if run.checkpoint.exists():
        load_checkpoint(run.checkpoint, state)
    if compiles_first(kernels):
        _log.info("compiling the kernels, which are kept for the next time")
    curve = _read_curve(run.curve, state.step)
    recent: list[float] = []
    on_device: list[Tensor] = []
    psnr: float | None = None

    def each_step(step: int, steps: int, error: Tensor, seconds: float) -> None:
        nonlocal psnr
        on_device.append(error)
        if psnr is None or step % FETCH_EVERY == 0 or step == steps:
            recent.extend(torch.stack(on_device).tolist())
            on_device.clear()
            psnr = -10 * math.log10(max(sum(recent) / len(recent), 1e-10))
        if step % CURVE_EVERY == 0 or step == steps:
            curve.append({"step": step, "psnr": round(psnr, 3), "seconds": round(seconds, 2)})
            recent.clear()
            write_text(run.curve, "".join(json.dumps(line) + "\n" for line in curve))
        if on_step is not None:
            on_step(step, steps, psnr, seconds)

    plan = sampling_plan(config, scene.near, scene.far, math.isinf(scene.far))
    train(state, bank, plan, config.training, run.checkpoint, minutes=minutes, on_step=each_step)
    if ranks.first:
        save_radiance(run, state)
        run.checkpoint.unlink(missing_ok=True)
    ranks.wait_for_all()


def _read_curve(path: Path, until: int) -> list[dict[str, int | float]]:
    """The curve's lines of steps that a checkpoint has behind it; empty where there is none to read."""
    try:
        lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        return [line for line in lines if line["step"] <= until]
    except (OSError, ValueError, KeyError, TypeError):
        return []
