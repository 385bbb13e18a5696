"""The figures of the benchmark of clicks as tables: a row a measure and clicker, a column a run.

A cell is the mean over seeds of the mean over objects, and the sample standard deviation over seeds where there are
several; failures are a number of objects, likewise averaged over seeds.
"""

import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from sanerf.evaluation.aggregator_tables import Figure, figure
from sanerf.evaluation.clicks_bench import MOST_CLICKS, THRESHOLDS, GameResult
from sanerf.evaluation.written_tables import Cells, comma_separated_table

REPORTED = (1, 2, 3, 5, 10)
"""Counts of clicks after which the IoU stands in the tables."""


@dataclass(frozen=True)
class Measure:
    """One figure of a game; over objects it is averaged, or summed. `key` is its name in JSON and CSV."""

    key: str
    words: str
    of: Callable[[GameResult], float]
    decimals: int = 3
    summed: bool = False


def _counted(percent: int) -> Callable[[GameResult], float]:
    return lambda game: game.clicks_to(percent) or MOST_CLICKS


def _failed(percent: int) -> Callable[[GameResult], float]:
    return lambda game: float(game.clicks_to(percent) is None)


def _after(count: int) -> Callable[[GameResult], float]:
    return lambda game: game.after(count)


def _plural(count: int) -> str:
    return f"{count} click" + "s" * (count > 1)


MEASURES = (
    *(Measure(f"noc{p}", f"clicks to {p} % (NoC{p})", _counted(p), 2) for p in THRESHOLDS),
    *(Measure(f"failures{p}", f"objects not at {p} %", _failed(p), 1, summed=True) for p in THRESHOLDS),
    *(Measure(f"iou_after_{n}", f"IoU after {_plural(n)}", _after(n)) for n in REPORTED),
    Measure("iou", "IoU at the end", lambda game: game.iou[-1]),
    Measure("boundary_iou", "Boundary IoU at the end", lambda game: game.boundary_iou[-1]),
    Measure("held_out_iou", "IoU in held-out views at the end", lambda game: game.held_out["iou"]),
    Measure(
        "held_out_boundary_iou",
        "Boundary IoU in held-out views at the end",
        lambda game: game.held_out["boundary_iou"],
    ),
    Measure("decode_seconds", "seconds a click, decoding", lambda game: game.decode_seconds / len(game.clicks), 2),
    Measure("vote_seconds", "seconds a click, voting", lambda game: game.vote_seconds / len(game.clicks), 2),
)


@dataclass(frozen=True)
class Row:
    """One line of the table: a measure, a clicker, and a figure a run."""

    measure: Measure
    clicker: str
    figures: dict[str, Figure]


def rows(results: Sequence[GameResult]) -> list[Row]:
    """All lines: each measure, of each clicker; over several runs with the mean of all their objects."""
    out = []
    for measure in MEASURES:
        for clicker in dict.fromkeys(game.clicker for game in results):
            games = [game for game in results if game.clicker == clicker]
            by_run = {run: [g for g in games if g.run == run] for run in dict.fromkeys(game.run for game in games)}
            if len(by_run) > 1:
                by_run["all"] = games
            out.append(Row(measure, clicker, {run: _over_seeds(measure, of_run) for run, of_run in by_run.items()}))
    return out


def _over_seeds(measure: Measure, games: Sequence[GameResult]) -> Figure:
    by_seed: dict[int, list[float]] = {}
    for game in games:
        by_seed.setdefault(game.seed, []).append(measure.of(game))
    reduce = math.fsum if measure.summed else statistics.fmean
    return figure([reduce(values) for values in by_seed.values()])


def fewer_clicks(results: Sequence[GameResult], percent: int = 90) -> float | None:
    """By which share suggested clicks need fewer than random ones, on the same objects; None where one is missing."""
    noc = {}
    for clicker in ("suggested", "random"):
        games = [game for game in results if game.clicker == clicker]
        if not games:
            return None
        noc[clicker] = statistics.fmean(_counted(percent)(game) for game in games)
    return 1 - noc["suggested"] / noc["random"]


def header(lines: Sequence[Row]) -> Cells:
    return ("measure", "clicker", *(lines[0].figures if lines else ()))


def cells(line: Row) -> Cells:
    """A line in words, in the order of `header`."""
    return (line.measure.words, line.clicker, *(value.shown(line.measure.decimals) for value in line.figures.values()))


def comma_separated(lines: Sequence[Row]) -> str:
    """One line a figure: measure, clicker, run, mean, spread, seeds."""
    table: list[Sequence[object]] = [("measure", "clicker", "run", "mean", "spread", "seeds")]
    for line in lines:
        table += [(line.measure.key, line.clicker, run, *value.exact) for run, value in line.figures.items()]
    return comma_separated_table(table)


def mean_curve(games: Sequence[GameResult]) -> list[float]:
    """Mean IoU after each count of clicks, up to the longest game's; one that ended sooner stays where it ended."""
    longest = max(len(game.iou) for game in games)
    return [statistics.fmean(game.after(count) for game in games) for count in range(1, longest + 1)]


def figures_to_json(results: Sequence[GameResult]) -> dict[str, Any]:
    """The object of `sanerf bench clicks --json`: by run and clicker the mean and spread of each measure; a spread of
    one seed is null."""
    out: dict[str, Any] = {}
    for line in rows(results):
        for run, value in line.figures.items():
            spread = None if math.isnan(value.spread) else round(value.spread, 4)
            of_clicker = out.setdefault(run, {}).setdefault(line.clicker, {})
            of_clicker[line.measure.key] = {"mean": round(value.mean, 4), "spread": spread, "seeds": value.seeds}
    return out
