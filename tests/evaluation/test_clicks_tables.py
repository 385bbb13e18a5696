"""The figures of games whose every click is known, by hand."""

import csv
import io

import pytest

from sanerf.evaluation.clicks_bench import GameResult, WorstView
from sanerf.evaluation.clicks_tables import (
    cells,
    comma_separated,
    fewer_clicks,
    figures_to_json,
    header,
    mean_curve,
    rows,
)
from sanerf.evaluation.clicks_users import ViewClick


def game(name: str, clicker: str, iou: list[float], seed: int = 0, run: str = "room") -> GameResult:
    clicks = [ViewClick(0, 0.5, 0.5, 1)] * len(iou)
    worst = WorstView(0, 0.1, {})
    held_out = {"iou": iou[-1] - 0.1, "boundary_iou": 0.5}
    seconds = {"decode_seconds": 2.0 * len(iou), "vote_seconds": 0.5 * len(iou)}
    return GameResult(run, name, clicker, seed, clicks, iou, [0.4] * len(iou), held_out, **seconds, worst=worst)


GAMES = [
    game("cup", "robot", [0.5, 0.86, 0.91]),
    game("pot", "robot", [0.82, 0.6, 0.7]),
    game("cup", "random", [0.5, 0.7, 0.8, 0.9], seed=0),
    game("pot", "random", [0.95], seed=0),
    game("cup", "random", [0.5, 0.92], seed=1),
    game("pot", "random", [0.95], seed=1),
]


def figures(games=GAMES) -> dict[tuple[str, str], dict]:
    return {(line.measure.key, line.clicker): line.figures for line in rows(games)}


def test_clicks_are_counted_to_the_first_time_and_to_twenty_where_it_never_comes():
    found = figures()
    # The pot's robot is at 0.80 with one click, never at 0.85.
    assert found["noc80", "robot"]["room"].mean == (2 + 1) / 2
    assert found["noc85", "robot"]["room"].mean == (2 + 20) / 2
    assert found["noc90", "robot"]["room"].mean == (3 + 20) / 2
    assert found["failures80", "robot"]["room"].mean == 0 and found["failures90", "robot"]["room"].mean == 1
    # Seeds: (4 + 1) / 2 and (2 + 1) / 2; their standard deviation is 1 / sqrt 2.
    random = found["noc90", "random"]["room"]
    assert (random.mean, random.seeds) == (2.0, 2) and random.spread == pytest.approx(0.5**0.5)


def test_figures_after_some_clicks_stay_where_a_game_ended():
    found = figures()
    assert found["iou_after_1", "robot"]["room"].mean == pytest.approx(0.66)
    assert found["iou_after_2", "random"]["room"].mean == pytest.approx(((0.7 + 0.95) / 2 + (0.92 + 0.95) / 2) / 2)
    assert found["iou_after_10", "robot"]["room"].mean == pytest.approx((0.91 + 0.7) / 2)
    assert found["held_out_iou", "robot"]["room"].mean == pytest.approx((0.81 + 0.6) / 2)
    assert found["decode_seconds", "random"]["room"].mean == 2.0
    assert mean_curve(GAMES[:2]) == pytest.approx([0.66, 0.73, 0.805])


def test_several_runs_have_a_mean_over_all_their_objects():
    games = [*GAMES[:2], game("hat", "robot", [0.95], run="hall")]
    found = figures(games)["noc90", "robot"]
    assert {run: value.mean for run, value in found.items()} == {"room": 11.5, "hall": 1.0, "all": 8.0}


def test_suggested_against_random():
    assert fewer_clicks(GAMES) is None
    games = [*GAMES, game("cup", "suggested", [0.2, 0.91]), game("pot", "suggested", [0.95])]
    # 1.5 clicks against 2.
    assert fewer_clicks(games) == pytest.approx(0.25)


def test_the_table_in_words_csv_and_json():
    lines = rows(GAMES)
    table = [header(lines), *map(cells, lines)]
    assert table[0] == ("measure", "clicker", "room")
    assert ("clicks to 90 % (NoC90)", "random", "2.00 ± 0.71") in table
    assert ("objects not at 90 %", "robot", "1.0") in table
    read = list(csv.DictReader(io.StringIO(comma_separated(lines))))
    (line,) = [line for line in read if (line["measure"], line["clicker"]) == ("noc90", "robot")]
    assert (float(line["mean"]), line["spread"], line["seeds"]) == (11.5, "", "1")
    of = figures_to_json(GAMES)["room"]
    assert of["random"]["noc90"] == {"mean": 2.0, "spread": 0.7071, "seeds": 2}
    assert of["robot"]["failures90"] == {"mean": 1.0, "spread": None, "seeds": 1}
