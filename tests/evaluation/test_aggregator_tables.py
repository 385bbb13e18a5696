"""Tables of the aggregator's benchmark: means and spreads by hand, and the same figures in every form."""

import csv
import io

import pytest

from sanerf.errors import UserError
from sanerf.evaluation.aggregator_arms import ARMS, USUAL, chosen_arms
from sanerf.evaluation.aggregator_bench import JobResult
from sanerf.evaluation.aggregator_tables import (
    cells,
    comma_separated,
    figure,
    figures_to_json,
    header,
    latex,
    markdown,
    rows,
)
from sanerf.run.config import AggregateConfig


def job(run: str, noise, arm: str, seed: int, iou: float) -> JobResult:
    """Two objects whose IoU lies 0.1 about `iou`; the other figures follow from it."""
    objects = {
        name: {"iou": value, "boundary_iou": value - 0.2, "acc": 0.99}
        for name, value in (("a", iou - 0.1), ("b", iou + 0.1))
    }
    given = {"a": {"iou": 0.5, "boundary_iou": 0.4, "acc": 0.9}}
    own = {"a": {"iou": 0.8, "boundary_iou": 0.7, "acc": 0.95}}
    return JobResult(run, noise, arm, seed, 10.0 + seed, objects, given, own, [])


RESULTS = [
    job("one_room", "noisy", arm, seed, value)
    for arm, values in (("full", (0.90, 0.94)), ("no-review", (0.80, 0.82)))
    for seed, value in enumerate(values)
]


def test_a_figure_is_the_mean_and_the_sample_deviation():
    found = figure([0.90, 0.94])
    assert (found.mean, found.seeds) == (pytest.approx(0.92), 2)
    # sqrt(((0.02)^2 + (0.02)^2) / 1)
    assert found.spread == pytest.approx(0.0282843, abs=1e-6)


def test_lines_are_a_measure_and_an_arm_as_in_the_papers_table_3():
    lines = rows(RESULTS)
    assert header(lines) == ("masks", "measure", "arm", "one_room")
    assert [cells(line) for line in lines] == [
        ("noisy masks", "mean IoU", "masks given, all", "0.5000 ± 0.0000"),
        ("noisy masks", "mean IoU", "masks given, of the object itself", "0.8000 ± 0.0000"),
        ("noisy masks", "mean IoU", "full", "0.9200 ± 0.0283"),
        ("noisy masks", "mean IoU", "no-review", "0.8100 ± 0.0141"),
        ("noisy masks", "Boundary IoU", "masks given, all", "0.4000 ± 0.0000"),
        ("noisy masks", "Boundary IoU", "masks given, of the object itself", "0.7000 ± 0.0000"),
        ("noisy masks", "Boundary IoU", "full", "0.7200 ± 0.0283"),
        ("noisy masks", "Boundary IoU", "no-review", "0.6100 ± 0.0141"),
        ("noisy masks", "Acc", "full", "0.9900 ± 0.0000"),
        ("noisy masks", "Acc", "no-review", "0.9900 ± 0.0000"),
        ("noisy masks", "seconds", "full", "10.5 ± 0.7"),
        ("noisy masks", "seconds", "no-review", "10.5 ± 0.7"),
    ]


def test_several_runs_are_averaged_seed_by_seed():
    other = [job("hall", "noisy", "full", seed, value) for seed, value in enumerate((0.70, 0.66))]
    lines = [line for line in rows([*RESULTS[:2], *other]) if (line.measure, line.arm) == ("mean IoU", "full")]
    # Seed 0: (0.90 + 0.70) / 2, seed 1: (0.94 + 0.66) / 2. Both 0.8, so that the mean does not vary.
    assert cells(lines[0]) == (
        "noisy masks",
        "mean IoU",
        "full",
        "0.9200 ± 0.0283",
        "0.6800 ± 0.0283",
        "0.8000 ± 0.0000",
    )
    assert header(lines)[3:] == ("one_room", "hall", "mean")


def test_one_seed_has_no_spread_and_exact_masks_are_not_compared_with_themselves():
    lines = rows([job("room", "none", "full", 0, 0.98)])
    assert [cells(line)[:3] for line in lines if line.measure == "mean IoU"] == [("exact masks", "mean IoU", "full")]
    assert cells(lines[0])[3] == "0.9800"
    assert figures_to_json([job("room", "none", "full", 0, 0.98)])["room"]["none"]["full"]["iou"] == {
        "mean": 0.98,
        "spread": None,
        "seeds": 1,
    }


def test_every_form_has_the_same_figures():
    lines = rows(RESULTS)
    read = list(csv.DictReader(io.StringIO(comma_separated(lines))))
    assert len(read) == len(lines)
    assert read[2].keys() == {"masks", "measure", "arm", "run", "mean", "spread", "seeds"}
    assert float(read[2]["mean"]) == pytest.approx(0.92) and read[2]["seeds"] == "2"
    assert markdown(lines).splitlines()[:2] == ["| masks | measure | arm | one_room |", "| --- | --- | --- | --- |"]
    assert "| noisy masks | mean IoU | full | 0.9200 ± 0.0283 |" in markdown(lines).splitlines()
    shown = latex(lines).splitlines()
    assert shown[0] == r"\begin{tabular}{lllr}" and shown[-1] == r"\end{tabular}"
    assert r"masks & measure & arm & one\_room \\" in shown
    assert r"noisy masks & mean IoU & full & 0.9200 $\pm$ 0.0283 \\" in shown
    # A rule above and below the head, between four measures, and at the end.
    assert shown.count(r"\hline") == 6
    of_run = figures_to_json(RESULTS)["one_room"]["noisy"]
    assert of_run["full"]["boundary_iou"] == {"mean": 0.72, "spread": 0.0283, "seeds": 2}
    assert of_run["given_own"]["iou"]["mean"] == 0.8 and of_run["no-review"]["seconds"]["mean"] == 10.5


def test_every_arm_says_what_it_is_and_changes_the_settings():
    config = AggregateConfig()
    settings = {name: arm.settings(config) for name, arm in ARMS.items()}
    assert settings["full"] == config and set(USUAL) <= set(ARMS)
    assert len(set(settings.values())) == len(ARMS), "two arms are the same"
    assert settings["no-review-long"].steps == config.steps * (1 + config.reviews)
    assert all(arm.what for arm in ARMS.values())
    assert list(chosen_arms(["no-review", "full", "no-review"])) == ["no-review", "full"]
    with pytest.raises(UserError, match="there is no arm 'none'; there are full, no-review"):
        chosen_arms(["full", "none"])
