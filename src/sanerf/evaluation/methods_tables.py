"""The figures of the benchmark of methods as tables: as the paper's Table 1, by scene, and by stage.

A cell is the mean over seeds of the mean over objects (of a group: over the objects of all its scenes, as in the paper,
section 4.2), and the sample standard deviation over seeds where there are several. Where a method has failed in a scene
of a group, with any seed, it has no figure of the group.
"""

import math
import statistics
from collections.abc import Sequence
from typing import Any

from sanerf.evaluation.aggregator_tables import Figure, figure
from sanerf.evaluation.methods_bench import Outcome
from sanerf.evaluation.methods_jobs import METRICS, JobResult
from sanerf.evaluation.written_tables import Cells

WORDS = {"acc": "Acc", "iou": "mIoU", "boundary_iou": "Boundary IoU"}
NONE = "–"
ALL = "all"


def mean_figure(outcome: Outcome, method: str, scenes: Sequence[str], metric: str) -> Figure | None:
    """A method's figure over all objects of some scenes; None where it has failed in one of them."""
    if outcome.failed(method, scenes):
        return None
    own = {(result.scene, result.seed): result for result in outcome.results if result.method == method}
    return figure(
        [
            statistics.fmean(values[metric] for scene in scenes for values in own[scene, seed].objects.values())
            for seed in sorted({seed for _, seed in own})
        ]
    )


def groups(outcome: Outcome) -> dict[str, list[str]]:
    """The scenes of each group, and of all where there are several groups."""
    out: dict[str, list[str]] = {}
    for scene, group in outcome.groups.items():
        out.setdefault(group, []).append(scene)
    return out if len(out) == 1 else {**out, ALL: [scene for scenes in out.values() for scene in scenes]}


def table_1(outcome: Outcome, titles: dict[str, str]) -> list[Cells]:
    """A row a method, for each group its Acc, mIoU and Boundary IoU in per cent, as in the paper's Table 1."""
    of = groups(outcome)
    head = [f"{titles.get(group, group)} {words}" for group in of for words in WORDS.values()]
    rows: list[Cells] = [("method", *head)]
    for method in outcome.methods:
        found = (mean_figure(outcome, method, scenes, metric) for scenes in of.values() for metric in WORDS)
        rows.append((method, *(_cell(value, 100.0, 1) for value in found)))
    return rows


def scenes_table(outcome: Outcome) -> list[Cells]:
    """A row a measure and method, a column a scene and, last, their mean over objects."""
    scenes = list(outcome.groups)
    rows: list[Cells] = [("measure", "method", *scenes, *(["mean"] if len(scenes) > 1 else []))]
    for metric in ("iou", "boundary_iou", "acc"):
        for method in outcome.methods:
            sets = [[scene] for scene in scenes] + ([scenes] if len(scenes) > 1 else [])
            found = (mean_figure(outcome, method, of, metric) for of in sets)
            rows.append((WORDS[metric], method, *(_cell(value, 1.0, 4) for value in found)))
    return rows


def stages_table(outcome: Outcome) -> list[Cells]:
    """A row a scene and method: seconds of each stage, their sum, and the peak of memory; means over seeds. A row a
    scene for what encoding its training views and learning its feature field took, once for all methods."""
    taken = [*outcome.once.values(), *(result.seconds for result in outcome.results)]
    stages = list(dict.fromkeys(stage for seconds in taken for stage in seconds))
    rows: list[Cells] = [("scene", "method", *stages, "seconds", "peak GB")]
    for scene in outcome.groups:
        once = outcome.once.get(scene)
        if once is not None:
            shown = [f"{once[stage]:.1f}" if stage in once else "" for stage in stages]
            rows.append((scene, "(once for all)", *shown, f"{sum(once.values()):.1f}", ""))
        for method in outcome.methods:
            own = [result for result in outcome.results if (result.scene, result.method) == (scene, method)]
            if not own:
                continue
            seconds = {s: statistics.fmean(one.seconds.get(s, 0.0) for one in own) for s in stages}
            shown = [f"{seconds[s]:.1f}" if any(s in one.seconds for one in own) else "" for s in stages]
            peaks = [one.memory_gb for one in own if one.memory_gb is not None]
            peak = f"{max(peaks):.2f}" if peaks else NONE
            rows.append((scene, method, *shown, f"{sum(seconds.values()):.1f}", peak))
    return rows


def objects_table(outcome: Outcome) -> list[Cells]:
    """A row an object, the mIoU and Boundary IoU of each method; means over seeds."""
    head = (f"{method}: {words}" for method in outcome.methods for words in ("mIoU", "Boundary IoU"))
    rows: list[Cells] = [("object", "scene", *head)]
    places = dict.fromkeys((result.scene, name) for result in outcome.results for name in result.objects)
    for scene, name in places:
        shown = []
        for method in outcome.methods:
            of_scene = [r for r in outcome.results if (r.scene, r.method) == (scene, method)]
            own = [] if outcome.failed(method, [scene]) else [result.objects[name] for result in of_scene]
            for metric in ("iou", "boundary_iou"):
                shown.append(f"{statistics.fmean(values[metric] for values in own):.3f}" if own else NONE)
        rows.append((name, scene, *shown))
    return rows


def long_rows(results: Sequence[JobResult]) -> list[Cells]:
    """One row a figure: scene, group, method, seed, object, then the metrics."""
    head: Cells = ("group", "scene", "method", "seed", "object", *METRICS)
    return [head] + [
        (r.group, r.scene, r.method, str(r.seed), name, *(repr(values[metric]) for metric in METRICS))
        for r in results
        for name, values in r.objects.items()
    ]


def figures_to_json(outcome: Outcome) -> dict[str, Any]:
    """By group, or all, and method the mean and spread of each metric (null of one seed), null where a method failed;
    by scene and method also the seconds and the peak of memory."""
    out: dict[str, Any] = {"groups": {}, "scenes": {}}
    for where, sets in (("groups", groups(outcome)), ("scenes", {scene: [scene] for scene in outcome.groups})):
        for label, scenes in sets.items():
            out[where][label] = {method: _metrics_json(outcome, method, scenes) for method in outcome.methods}
    for result in outcome.results:
        entry = out["scenes"][result.scene][result.method]
        if entry is not None:
            entry.setdefault("seconds", []).append(round(sum(result.seconds.values()), 2))
            entry.setdefault("peak_memory_gb", []).append(result.memory_gb)
    return out


def _metrics_json(outcome: Outcome, method: str, scenes: Sequence[str]) -> dict[str, Any] | None:
    entry: dict[str, Any] = {}
    for metric in METRICS:
        found = mean_figure(outcome, method, scenes, metric)
        if found is None:
            return None
        spread = None if math.isnan(found.spread) else round(found.spread, 4)
        entry[metric] = {"mean": round(found.mean, 4), "spread": spread, "seeds": found.seeds}
    return entry


def _cell(value: Figure | None, scale: float, decimals: int) -> str:
    return NONE if value is None else value.shown(decimals, scale)
