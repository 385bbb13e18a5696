"""The whole benchmark of methods: its scenes, trained if need be, its jobs, and what is written of them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from sanerf.errors import UserError
from sanerf.evaluation.engines import Engine
from sanerf.evaluation.kept_lines import KeptLines
from sanerf.evaluation.methods import Method
from sanerf.evaluation.methods_bench import PROTOCOL_VERSION, bench_methods
from sanerf.evaluation.methods_jobs import BenchSetup
from sanerf.evaluation.methods_report import write_methods_report
from sanerf.evaluation.methods_scenes import BenchScene, FoundScene
from sanerf.evaluation.methods_tables import (
    figures_to_json,
    long_rows,
    objects_table,
    scenes_table,
    stages_table,
    table_1,
)
from sanerf.evaluation.protocols import protocols
from sanerf.evaluation.sources import sources_version
from sanerf.evaluation.written_tables import (
    aligned_lines,
    comma_separated_table,
    latex_table,
    markdown_table,
    write_table,
)
from sanerf.kernels.backend import kernels_for
from sanerf.locks import file_lock
from sanerf.progress import Progress
from sanerf.run.config import RunConfig
from sanerf.run.folder import Run
from sanerf.run.train_run import train_run

REPORT, JOBS, RUNS = "report.html", "jobs.jsonl", "runs"
WRITER = "bench methods"


@dataclass(frozen=True)
class TrainScene:
    """Trains the field of a scene that was found, into `out`/runs/SCENE; what is trained is left as it is, what was
    interrupted goes on."""

    out: Path
    steps: int
    seed: int
    device: str

    def __call__(self, found: FoundScene, progress: Progress) -> Run:
        config = RunConfig(seed=self.seed)
        config = replace(config, training=replace(config.training, steps=self.steps))

        def on_step(step: int, steps: int, psnr: float, seconds: float) -> None:
            progress(f"train {found.label}", step, steps)

        kernels = kernels_for("auto", torch.device(self.device))
        return train_run(found.scene, config, self.out / RUNS / found.label, kernels=kernels, on_step=on_step)


def train_scenes(
    found: Sequence[FoundScene], train: TrainScene, engine: Engine, progress: Progress
) -> list[BenchScene]:
    """The scenes with their fields, in their order. UserError where one cannot be trained."""
    runs = {}
    for scene, run in engine(train, found, progress):
        runs[scene.label] = run
        progress("scenes", len(runs), len(found))
    return [BenchScene.of(scene, runs[scene.label]) for scene in found]


def run_methods_suite(
    scenes: Sequence[BenchScene],
    *,
    methods: dict[str, Method],
    seeds: Sequence[int],
    bench: BenchSetup,
    engine: Engine,
    progress: Progress,
) -> tuple[dict[str, Any], list[str]]:
    """The figures of `sanerf bench methods --json` and, as lines, its tables (docs/methods.md).

    In the folder `bench.out`, which is the benchmark's own already, they are written, with a report, all masks, and
    every finished job, from which an interrupted call goes on. Raises UserError where another process writes into it,
    where no job could be done, and for pictures and masks that cannot be read.
    """
    out = bench.out
    with file_lock(out / ".bench.lock", f"writing into {out}"):
        outcome = bench_methods(
            scenes,
            methods=methods,
            seeds=seeds,
            bench=bench,
            kept=KeptLines(out / JOBS),
            engine=engine,
            progress=progress,
        )
        if not outcome.results:
            raise UserError(outcome.failures[0].why)
        titles = {name: card.title for name, card in protocols().items()}
        tables = {
            "table1": table_1(outcome, titles),
            "scenes": scenes_table(outcome),
            "stages": stages_table(outcome),
            "objects": objects_table(outcome),
        }
        for name, rows in tables.items():
            words = 1 if name == "table1" else 2
            write_table(
                out / name,
                markdown=markdown_table(rows),
                latex=latex_table(rows, words=words, parts=words - 1),
                comma_separated=comma_separated_table(long_rows(outcome.results) if name == "objects" else rows),
            )
        versions = "; ".join(f"{name} {sources_version(method.rooms)[:12]}" for name, method in methods.items())
        footer = (
            f"segmenter {bench.segmenter}; seeds {', '.join(map(str, seeds))}; sources {versions}; protocol "
            f"{PROTOCOL_VERSION}, {bench.device}"
        )
        write_methods_report(out / REPORT, tables, outcome=outcome, scenes=scenes, methods=methods, footer=footer)
    figures = {
        **figures_to_json(outcome),
        "jobs": len(outcome.results),
        "failed": [vars(failure) for failure in outcome.failures],
        "once_seconds": {
            scene: {stage: round(value, 2) for stage, value in seconds.items()}
            for scene, seconds in outcome.once.items()
        },
    }
    lines = [*aligned_lines(tables["table1"]), "", *aligned_lines(tables["scenes"])]
    lines += [f"failed: {one.method} in {one.scene}, seed {one.seed}: {one.why}" for one in outcome.failures]
    return figures, lines
