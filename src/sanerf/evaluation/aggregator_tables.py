"""The figures of the mask aggregator's benchmark as tables: in words, Markdown, CSV and LaTeX.

The shape is that of the paper's Table 3: a row a metric and arm, a column a scene. A cell is the mean over seeds of
the mean over objects, and the sample standard deviation over seeds where there are several.
"""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sanerf.evaluation.aggregator_bench import JobResult
from sanerf.evaluation.written_tables import comma_separated_table, latex_table, markdown_table

MEASURES = {"iou": "mean IoU", "boundary_iou": "Boundary IoU", "acc": "Acc", "seconds": "seconds"}
GIVEN = {"given": "masks given, all", "given_own": "masks given, of the object itself"}
NOISES = {"none": "exact masks", "noisy": "noisy masks"}


@dataclass(frozen=True)
class Figure:
    """A mean over seeds, and the sample standard deviation, nan of one seed alone."""

    mean: float
    spread: float
    seeds: int

    def shown(self, decimals: int, scale: float = 1.0) -> str:
        """As "0.912 ± 0.003", ready to read, `scale` times as large; of one seed the mean alone."""
        spread = "" if math.isnan(self.spread) else f" ± {scale * self.spread:.{decimals}f}"
        return f"{scale * self.mean:.{decimals}f}{spread}"

    @property
    def exact(self) -> tuple[str, str, int]:
        """Mean, spread (empty of one seed) and seeds for machines to read."""
        return repr(self.mean), "" if math.isnan(self.spread) else repr(self.spread), self.seeds


@dataclass(frozen=True)
class Row:
    """One line of the table: masks, measure and arm in words, and a figure a run."""

    noise: str
    measure: str
    arm: str
    figures: dict[str, Figure]


def figure(values: Sequence[float]) -> Figure:
    """The mean and the spread of what several seeds came to."""
    spread = statistics.stdev(values) if len(values) > 1 else math.nan
    return Figure(statistics.fmean(values), spread, len(values))


def rows(results: Sequence[JobResult]) -> list[Row]:
    """All lines: of each kind of masks each measure, the masks given first, then the arms; over several runs with
    their mean."""
    out = []
    for noise in dict.fromkeys(result.noise for result in results):
        of_noise = [result for result in results if result.noise == noise]
        for measure in MEASURES:
            if measure != "acc" and measure != "seconds":
                shown = GIVEN if noise != "none" else {}
                out += [_row(of_noise, noise, measure, words, of=of) for of, words in shown.items()]
            for arm in dict.fromkeys(result.arm for result in of_noise):
                out.append(_row([result for result in of_noise if result.arm == arm], noise, measure, arm))
    return out


def _row(results: Sequence[JobResult], noise: str, measure: str, arm: str, *, of: str = "objects") -> Row:
    by_run: dict[str, dict[int, float]] = {}
    for result in results:
        value = result.seconds if measure == "seconds" else result.mean(measure, of)
        by_run.setdefault(result.run, {})[result.seed] = value
    figures = {run: figure(list(seeds.values())) for run, seeds in by_run.items()}
    if len(by_run) > 1:
        seeds = set.intersection(*(set(values) for values in by_run.values()))
        figures["mean"] = figure(
            [statistics.fmean(values[seed] for values in by_run.values()) for seed in sorted(seeds)]
        )
    return Row(NOISES[noise], MEASURES[measure], arm, figures)


def cell(value: Figure, measure: str) -> str:
    """A figure, ready to read; scores with four decimals."""
    return value.shown(1 if measure == MEASURES["seconds"] else 4)


def header(lines: Sequence[Row]) -> tuple[str, ...]:
    return ("masks", "measure", "arm", *(lines[0].figures if lines else ()))


def cells(line: Row) -> tuple[str, ...]:
    """A line in words, in the order of `header`."""
    shown = (cell(value, line.measure) for value in line.figures.values())
    return (line.noise, line.measure, line.arm, *shown)


def markdown(lines: Sequence[Row]) -> str:
    return markdown_table([header(lines), *map(cells, lines)])


def comma_separated(lines: Sequence[Row]) -> str:
    """One line a figure: masks, measure, arm, run, mean, spread, seeds."""
    table: list[Sequence[object]] = [("masks", "measure", "arm", "run", "mean", "spread", "seeds")]
    for line in lines:
        table += [(line.noise, line.measure, line.arm, run, *value.exact) for run, value in line.figures.items()]
    return comma_separated_table(table)


def latex(lines: Sequence[Row]) -> str:
    """A tabular that needs no package."""
    return latex_table([header(lines), *map(cells, lines)], words=3, parts=2)


def figures_to_json(results: Sequence[JobResult]) -> dict[str, Any]:
    """The object of `sanerf bench aggregator --json`: by run, kind of masks and arm the mean and spread of each
    measure; a spread of one seed is null."""
    out: dict[str, Any] = {}
    words = {text: key for key, text in (MEASURES | NOISES | GIVEN).items()}
    for line in rows(results):
        for run, value in line.figures.items():
            of_arm = (
                out.setdefault(run, {}).setdefault(words[line.noise], {}).setdefault(words.get(line.arm, line.arm), {})
            )
            spread = None if math.isnan(value.spread) else round(value.spread, 4)
            of_arm[words[line.measure]] = {"mean": round(value.mean, 4), "spread": spread, "seeds": value.seeds}
    return out
