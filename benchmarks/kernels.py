"""Times of every kernel in every backend that this machine has, beside the reference in the same run.

    python benchmarks/kernels.py [--device cpu|cuda] [--rays 2048] [--repeats 20] [--seed 0] [--out FILE.md]

The sizes are those of a training step with the default configuration: rays from a circle of cameras, looking at a ball
of constant density, sampled by the reference, so that samples crowd as they do on surfaces. A time is the median of
`repeats` calls after two to warm up, each synchronised with the device; backward passes are timed apart.
"""

import sanerf.cli.main  # isort: skip  # noqa: F401 - before torch: it says how waiting threads wait, as in the command

import argparse
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from report_header import RESULTS, OtherPrograms, cores_text, facts_at_start, header, table
from timing import median_seconds
from torch import Tensor

from sanerf.errors import UserError
from sanerf.fields.encodings import geometric_resolutions
from sanerf.files import write_text
from sanerf.geometry.contraction import spacing
from sanerf.kernels.backend import BackendName, Kernels, kernels_for
from sanerf.kernels.reference import GridLevels, SamplingPlan
from sanerf.run.config import RunConfig

COLUMNS = ("kernel", "backend", "ms", "times as fast as torch", "difference from torch")


@dataclass(frozen=True)
class Workload:
    """What the kernels of one training step are given."""

    origins: Tensor
    directions: Tensor
    jitter: Tensor
    density_grid: Tensor
    plan: SamplingPlan
    p_world: Tensor
    density: Tensor
    edges: Tensor
    deltas: Tensor
    weights: Tensor
    table: Tensor
    levels: GridLevels
    pull_features: Tensor
    pull_weights: Tensor


@dataclass(frozen=True)
class Timed:
    """The median time of a kernel's calls, and what it gives, to be compared."""

    kernel: str
    backend: str
    seconds: float
    result: Tensor


def make_workload(rays: int, seed: int, device: torch.device) -> Workload:
    """A training step of the default configuration in an unbounded scene with a ball of radius 0.5 at the origin."""
    config, generator = RunConfig(), torch.Generator().manual_seed(seed)
    sampling, radiance = config.sampling, config.radiance
    angle = 2 * math.pi * torch.rand(rays, generator=generator)
    origins = torch.stack([angle.cos(), angle.sin(), torch.full_like(angle, 0.3)], dim=1)
    aims = 1.2 * torch.rand(rays, 3, generator=generator) - 0.6
    directions = torch.nn.functional.normalize(aims - origins, dim=1)
    side = sampling.grid_side
    centres = (torch.arange(side) + 0.5) * (4 / side) - 2
    radius = (centres[:, None, None] ** 2 + centres[:, None] ** 2 + centres**2).sqrt()
    plan = SamplingPlan(
        0.05, math.inf, True, sampling.bins, sampling.samples, sampling.opacity_cap, sampling.uniform, sampling.refined
    )
    levels = GridLevels(
        geometric_resolutions(radiance.coarsest, radiance.finest, radiance.levels), 2**radiance.entries_log2
    )
    jitter, density_grid = torch.rand(rays, generator=generator), torch.where(radius < 0.5, 50.0, 0.0)
    table = torch.randn(radiance.levels, levels.entries, radiance.channels, generator=generator)
    moved = [value.to(device) for value in (origins, directions, jitter, density_grid)]
    edges = kernels_for("torch", device).place_samples(*moved, plan)
    middles = (edges[:, 1:] + edges[:, :-1]) / 2
    p_world = moved[0][:, None] + middles[..., None] * moved[1][:, None]
    points = rays * plan.samples
    density, deltas = torch.where(p_world.norm(dim=-1) < 0.5, 50.0, 0.0), edges.diff(dim=-1).contiguous()
    return Workload(
        *moved,
        plan,
        p_world.reshape(-1, 3),
        density,
        edges,
        deltas,
        kernels_for("torch", device).composite_weights(density, deltas),
        table.to(device),
        levels,
        torch.randn(points, radiance.levels * radiance.channels, generator=generator).to(device),
        torch.randn(rays, plan.samples, generator=generator).to(device),
    )


def time_kernels(kernels: Kernels, work: Workload, repeats: int) -> list[Timed]:
    """All kernels of a backend, forward and backward."""
    device = work.origins.device

    def timed(kernel: str, call: Callable[[], Tensor]) -> Timed:
        return Timed(kernel, kernels.name, median_seconds(call, device, repeats), call().detach())

    def forward_and_backward(kernel: str, forward: Callable[[Tensor], Tensor], leaf: Tensor, pull: Tensor):
        leaf = leaf.clone().requires_grad_()
        out = forward(leaf)
        yield timed(f"{kernel}, forward", lambda: forward(leaf))
        yield timed(f"{kernel}, backward", lambda: torch.autograd.grad(out, leaf, pull, retain_graph=True)[0])

    def place() -> Tensor:
        edges = kernels.place_samples(work.origins, work.directions, work.jitter, work.density_grid, work.plan)
        return spacing(edges, work.plan.unbounded)

    def resample() -> Tensor:
        # From the reference's edges and weights in every backend, so that the results can be compared.
        return spacing(kernels.resample(work.edges, work.weights, work.jitter, work.plan), work.plan.unbounded)

    grid = work.density_grid.clone()

    def update() -> Tensor:
        kernels.update_density_grid(grid, work.p_world, work.density.reshape(-1), 0.95, True)
        return grid

    return [
        *forward_and_backward(
            "hash_encode",
            lambda table: kernels.hash_encode(work.p_world, table, work.levels),
            work.table,
            work.pull_features,
        ),
        timed("place_samples", place),
        timed("resample", resample),
        *forward_and_backward(
            "composite_weights",
            lambda density: kernels.composite_weights(density, work.deltas),
            work.density,
            work.pull_weights,
        ),
        timed("update_density_grid", update),
    ]


def available(device: torch.device) -> list[Kernels]:
    """The reference first, then each other backend that serves the device here; says which do not, and why."""
    found = [kernels_for("torch", device)]
    names: tuple[BackendName, ...] = ("numba", "triton")
    for name in names:
        try:
            found.append(kernels_for(name, device))
        except UserError as error:
            print(f"without {name}: {error}")
    return found


def markdown(results: list[Timed], facts: dict[str, object]) -> str:
    """What was run where, and the table; differences are the largest, as a share of torch's largest value."""
    torch_results = {timed.kernel: timed for timed in results if timed.backend == "torch"}
    rows = []
    for timed in sorted(results, key=lambda timed: list(torch_results).index(timed.kernel)):
        twin = torch_results[timed.kernel]
        difference = float((timed.result - twin.result).abs().max() / twin.result.abs().max())
        speed = twin.seconds / timed.seconds
        cells = (timed.kernel, timed.backend, f"{1e3 * timed.seconds:.3f}", f"{speed:.1f}", f"{difference:.1e}")
        rows.append(cells)
    return "\n".join([*header("Kernels", facts), *table(COLUMNS, rows, words=2)]) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--rays", type=int, default=2048)
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=None, help="by default benchmarks/results/kernels_DEVICE.md")
    options = parser.parse_args()
    device = torch.device(options.device)
    facts, others = facts_at_start(device, options.seed), OtherPrograms()
    work = make_workload(options.rays, options.seed, device)
    facts |= {"rays": f"{options.rays}, {work.plan.samples} samples each", "repeats": options.repeats}
    results = [timed for kernels in available(device) for timed in time_kernels(kernels, work, options.repeats)]
    facts["others' work meanwhile"] = cores_text(others.cores())
    text = markdown(results, facts)
    print(text)
    write_text(options.out or RESULTS / f"kernels_{device.type}.md", text)


if __name__ == "__main__":
    main()
