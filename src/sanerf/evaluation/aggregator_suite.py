"""The whole benchmark of the mask aggregator: its jobs, and what is written of them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sanerf.evaluation.aggregator_arms import Arm
from sanerf.evaluation.aggregator_bench import PROTOCOL_VERSION, aggregator_version, bench_aggregator
from sanerf.evaluation.aggregator_cases import Case, Noise
from sanerf.evaluation.aggregator_report import write_aggregator_report
from sanerf.evaluation.aggregator_tables import cells, comma_separated, figures_to_json, header, latex, markdown, rows
from sanerf.evaluation.kept_lines import KeptLines
from sanerf.evaluation.written_tables import aligned_lines, write_table
from sanerf.files import open_own_folder
from sanerf.locks import file_lock
from sanerf.progress import Progress

REPORT, TABLE, JOBS = "report.html", "ablation", "jobs.jsonl"
WRITER = "bench aggregator"


def run_aggregator_suite(
    cases: Sequence[Case],
    *,
    arms: dict[str, Arm],
    noises: Sequence[Noise],
    seeds: Sequence[int],
    out: Path,
    progress: Progress,
) -> tuple[dict[str, Any], list[str]]:
    """The figures of `sanerf bench aggregator --json` and, as lines, its table (docs/bench.md).

    In the folder `out` they are written, with a report and every finished job, from which an interrupted call goes on.
    Raises UserError where `out` is a file or holds what no such benchmark wrote, where another process writes into it,
    and for pictures and masks that cannot be read.
    """
    open_own_folder(out, WRITER)
    with file_lock(out / ".bench.lock", f"writing into {out}"):
        kept = KeptLines(out / JOBS)
        results = bench_aggregator(cases, arms=arms, noises=noises, seeds=seeds, out=out, kept=kept, progress=progress)
        lines = rows(results)
        write_table(out / TABLE, markdown=markdown(lines), latex=latex(lines), comma_separated=comma_separated(lines))
        devices = ", ".join(sorted({case.renderer.density_grid.device.type for case in cases}))
        footer = (
            f"seeds {', '.join(map(str, seeds))}; aggregator {aggregator_version()[:12]}, protocol {PROTOCOL_VERSION}, "
            f"{devices}"
        )
        write_aggregator_report(out / REPORT, lines, results=results, cases=cases, footer=footer)
    return {"runs": figures_to_json(results), "jobs": len(results)}, aligned_lines([header(lines), *map(cells, lines)])
