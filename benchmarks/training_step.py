"""A whole training step beside its all-torch twin, the small networks beside the matrix peak, and one rendered view.

    python benchmarks/training_step.py [--device cpu|cuda] [--run RUN] [--repeats 30] [--seed 0] [--out FILE.md]

The bundled scene is trained with the default configuration for `--warm-up` steps, until the density grid is as in real
training. From that checkpoint every backend goes on by itself; their steps take turns, on the same rays. The encoding
is timed at the very points that such a step asks for. A time is the median of `--repeats` calls. The peak is the best
of `torch.mm` in float32 before and after, with the same threads.
"""

import sanerf.cli.main  # isort: skip - before torch: it says how waiting threads wait, as in the command

import argparse
import math
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch
from matrix_peak import (
    SIZES,
    Pass,
    Peak,
    matrix_peak,
    output_gradients,
    run_alone,
    step_multiply_adds,
)
from report_header import RESULTS, OtherPrograms, cores_text, facts_at_start, header, table
from step_stage import Stage, encode, networks_of, passes_of_a_step, steps_from
from timing import alternating_medians, median_seconds

from sanerf.cli.console import CommonOptions, open_device, say
from sanerf.data.load import load_scene
from sanerf.data.pixels import load_bank
from sanerf.data.scene import Scene
from sanerf.errors import UserError
from sanerf.files import write_text
from sanerf.geometry.cameras import Camera, resized
from sanerf.kernels.backend import BackendName, Kernels, kernels_for
from sanerf.render.images import Renderer, render_image
from sanerf.run.config import RunConfig
from sanerf.run.folder import load_renderer, open_run
from sanerf.run.training import TrainingState, rendering_plan

SCENE = Path(sanerf.cli.main.__file__).parents[1] / "assets" / "table_scene"
WIDTH, HEIGHT = 480, 360
RENDERING_BAR = 2.0
"""Seconds that a view of that size may take on two cores."""
SHARE_BAR = 0.5
"""Of the matrix peak, that the networks should come to."""


def backends(device: torch.device) -> list[Kernels]:
    """The fastest that this machine has for the device, and the all-torch twin."""
    own: BackendName = "triton" if device.type == "cuda" else "numba"
    return [kernels_for(own, device), kernels_for("torch", device)]


def time_against_torch(
    stage: Stage, checkpoint: Path, kernels: Sequence[Kernels], repeats: int
) -> tuple[dict[str, dict[str, float]], TrainingState, list[Pass]]:
    """Median seconds by what and by backend, and what one step asked for."""
    steps = {of.name: steps_from(stage, checkpoint, of) for of in kernels}
    seconds = {"a whole training step": alternating_medians(steps, stage.device, repeats)}
    state, passes = passes_of_a_step(stage, checkpoint, kernels[0])
    encodings = [of for of in passes if of.module == "encoding"]
    assert encodings, "the step did not call the field's encoding"
    for of in encodings:
        what = f"encoding of {of.points:,} points, {'forward and backward' if of.backward else 'forward'}"
        calls = {each.name: partial(encode, state, each, [of]) for each in kernels}
        seconds[what] = alternating_medians(calls, stage.device, repeats)
    parts = [times for what, times in seconds.items() if what.startswith("encoding")]
    seconds["encoding, all of a step's"] = {each.name: sum(times[each.name] for times in parts) for each in kernels}
    return seconds, state, [of for of in passes if of.module != "encoding"]


def against_torch(seconds: dict[str, dict[str, float]]) -> list[str]:
    own, twin = next(iter(seconds.values()))
    rows = [
        (what, f"{1e3 * times[own]:.2f}", f"{1e3 * times[twin]:.2f}", f"{times[twin] / times[own]:.2f}")
        for what, times in seconds.items()
    ]
    return table(("what", f"{own}, ms", f"{twin}, ms", "times as fast"), rows)


def against_peak(step: float, alone: float, peak: Peak, passes: Sequence[Pass], state: TrainingState) -> list[str]:
    """The table of what the networks take, beside what the matrix peak would allow."""
    count = step_multiply_adds(passes, networks_of(state))
    least = 2 * count / peak.flops
    asked = ", ".join(
        f"{of.module} {of.points:,} points {'forward and backward' if of.backward else 'forward'}" for of in passes
    )
    rows = [
        (f"matrix peak: float32 `torch.mm`, {peak.size} rows", f"{peak.flops / 1e9:.1f} GFLOP/s", ""),
        (f"multiply-adds of the networks in a step: {asked}", f"{count / 1e6:.1f} million", ""),
        ("(i) the time they take at that peak", f"{1e3 * least:.3f} ms", ""),
        ("a whole training step, as above", f"{1e3 * step:.3f} ms", ""),
        ("(ii) the share of a whole step that is", f"{least / step:.1%}", verdict(least / step, SHARE_BAR)),
        ("the networks' passes alone, forward and backward", f"{1e3 * alone:.3f} ms", ""),
        ("(iii) what they alone reach of the peak", f"{least / alone:.1%}", verdict(least / alone, SHARE_BAR)),
        ("their share of a whole step", f"{alone / step:.1%}", ""),
    ]
    return table(("what", "figure", f"bar: {SHARE_BAR:.0%}"), rows)


def verdict(value: float, bar: float) -> str:
    return "held" if value >= bar else "missed"


def rendering_renderer(stage: Stage, state: TrainingState, steps: int, checkpoint: Path) -> Renderer:
    """The field after so many steps of training, frozen, rendered as a trained one."""
    stage.train_to(steps, state, checkpoint)
    unbounded = math.isinf(stage.scene.far)
    plan = rendering_plan(stage.config, stage.scene.near, stage.scene.far, unbounded)
    return Renderer(state.field.requires_grad_(False), state.density_grid, plan, state.field.grid.kernels)


def view_of(scene: Scene, width: int) -> Camera:
    """A held-out view, or a training view where there is none, so many pixels wide."""
    camera = scene.views[(scene.test or scene.train)[0]].camera
    return resized(camera, width, round(camera.height * width / camera.width))


def rendering(seconds: float, camera: Camera, learnt: str) -> list[str]:
    size = f"{camera.width} x {camera.height}"
    full = (camera.width, camera.height) == (WIDTH, HEIGHT)
    held = verdict(RENDERING_BAR, seconds) if full else "other size"
    row = (f"one view of {size}, {learnt}", f"{seconds:.2f} s", held)
    return table(("what", "figure", f"bar: {RENDERING_BAR:g} s on two cores at {WIDTH} x {HEIGHT}"), [row])


def arguments(given: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--run", type=Path, help="trained run to render; by default the scene, after --render-steps")
    parser.add_argument("--warm-up", type=int, default=300, help="steps of training before those that are timed")
    parser.add_argument("--render-steps", type=int, default=1000, help="steps of the field that is rendered")
    parser.add_argument("--rays", type=int, default=RunConfig().training.rays, help="rays a step")
    parser.add_argument("--repeats", type=int, default=30, help="calls whose median counts")
    parser.add_argument("--width", type=int, default=WIDTH, help="of the rendered view")
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES, help="rows of the matrices of the peak")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="by default benchmarks/results/training_step_DEVICE.md")
    return parser.parse_args(given)


def main(given: Sequence[str] | None = None) -> None:
    options = arguments(given)
    most = RunConfig().training.steps
    if not 1 <= options.warm_up <= options.render_steps < (most or math.inf):
        raise UserError(f"expected 1 <= --warm-up <= --render-steps < {most}")
    device = open_device(CommonOptions(device=options.device))
    facts, others = facts_at_start(device, options.seed), OtherPrograms()
    kernels = backends(device)
    config = RunConfig(seed=options.seed)
    config = replace(config, training=replace(config.training, rays=options.rays))
    scene = load_scene(SCENE)
    stage = Stage(scene, config, load_bank(scene, scene.train, 1, seed=config.seed).to(device), device)
    facts |= {
        "scene": f"the bundled one, {len(scene.train)} pictures to train",
        "steps before": options.warm_up,
        "rays": f"{config.training.rays:,}, {config.sampling.samples} samples looked up and "
        f"{config.sampling.refined} rendered of each",
        "repeats": options.repeats,
    }
    with tempfile.TemporaryDirectory() as folder:
        checkpoint, later = Path(folder) / "warm.safetensors", Path(folder) / "later.safetensors"
        say(f"training for {options.warm_up} steps with {kernels[0].name}")
        trained = stage.fresh_state(kernels[0])
        stage.train_to(options.warm_up, trained, checkpoint)
        say("steps and encoding, backends in turn")
        before = matrix_peak(device, options.sizes, repeats=10)
        seconds, state, passes = time_against_torch(stage, checkpoint, kernels, options.repeats)
        say("networks alone, matrix peak, rendering")
        networks = networks_of(state)
        pulls = output_gradients(passes, networks)
        alone = median_seconds(partial(run_alone, passes, networks, pulls), device, options.repeats)
        peak = max(before, matrix_peak(device, options.sizes, repeats=10), key=lambda peak: peak.flops)
        if options.run is not None:
            run = open_run(options.run)
            renderer, learnt = load_renderer(run, kernels[0], device), f"the field of {options.run.name}"
            camera = view_of(run.scene, options.width)
        else:
            renderer = rendering_renderer(stage, trained, options.render_steps, later)
            camera, learnt = view_of(scene, options.width), f"after {options.render_steps:,} steps"
        view = median_seconds(lambda: render_image(renderer, camera), device, min(options.repeats, 5))
    facts["others' work meanwhile"] = cores_text(others.cores())
    own = seconds["a whole training step"][kernels[0].name]
    text = "\n".join(
        [
            *header("A training step", facts),
            *against_torch(seconds),
            "",
            f"The networks beside the matrix peak, in the step of the {kernels[0].name} backend. The bar, half of what "
            "the peak",
            "allows for the networks, can be read of the whole step (ii) or of the networks' own passes (iii).",
            "",
            *against_peak(own, alone, peak, passes, state),
            "",
            *rendering(view, camera, learnt),
        ]
    )
    print(text)
    write_text(options.out or RESULTS / f"training_step_{device.type}.md", text + "\n")


if __name__ == "__main__":
    try:
        main()
    except UserError as error:
        raise SystemExit(f"training_step.py: {error}") from error
