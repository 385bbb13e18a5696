"""The whole benchmark of clicks in 3D: its games, and what is written of them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sanerf.evaluation.aggregator_cases import Case
from sanerf.evaluation.clicks_bench import PROTOCOL_VERSION, bench_clicks, clicks_version
from sanerf.evaluation.clicks_report import write_clicks_report
from sanerf.evaluation.clicks_tables import cells, comma_separated, fewer_clicks, figures_to_json, header, rows
from sanerf.evaluation.kept_lines import KeptLines
from sanerf.evaluation.written_tables import aligned_lines, latex_table, markdown_table, write_table
from sanerf.files import open_own_folder
from sanerf.locks import file_lock
from sanerf.progress import Progress
from sanerf.segmenter.protocol import Segmenter

REPORT, TABLE, GAMES, KEPT = "report.html", "clicks", "games.jsonl", "kept"
WRITER = "bench clicks"


def run_clicks_suite(
    cases: Sequence[Case],
    segmenter: Segmenter,
    *,
    clickers: Sequence[str],
    seeds: Sequence[int],
    every: int,
    out: Path,
    progress: Progress,
) -> tuple[dict[str, Any], list[str]]:
    """The figures of `sanerf bench clicks --json` and, as lines, its table (docs/bench.md).

    In the folder `out` they are written, with a report and every finished game, from which an interrupted call goes on.
    Raises UserError where `out` is a file or holds what no such benchmark wrote, where another process writes into it,
    and for pictures and masks that cannot be read.
    """
    open_own_folder(out, WRITER)
    with file_lock(out / ".bench.lock", f"writing into {out}"):
        results = bench_clicks(
            cases,
            segmenter,
            clickers=clickers,
            seeds=seeds,
            every=every,
            folder=out / KEPT,
            kept=KeptLines(out / GAMES),
            progress=progress,
        )
        lines = rows(results)
        table = [header(lines), *map(cells, lines)]
        in_latex = latex_table(table, words=2, parts=1)
        write_table(out / TABLE, markdown=markdown_table(table), latex=in_latex, comma_separated=comma_separated(lines))
        devices = ", ".join(sorted({case.renderer.density_grid.device.type for case in cases}))
        footer = (
            f"{segmenter.fingerprint}; every {every}. training view; seeds {', '.join(map(str, seeds))}; sources "
            f"{clicks_version()[:12]}, protocol {PROTOCOL_VERSION}, {devices}"
        )
        write_clicks_report(out / REPORT, lines, results=results, cases=cases, footer=footer)
    fewer = fewer_clicks(results)
    figures = {
        "runs": figures_to_json(results),
        "games": len(results),
        "suggested_fewer_than_random": None if fewer is None else round(fewer, 4),
    }
    return figures, aligned_lines(table)
