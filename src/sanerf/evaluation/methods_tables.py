"""The figures of the benchmark of methods as tables: as the paper's Table 1, by scene, and by stage.

A cell is the mean over seeds of the mean over objects (of a group: over the objects of all its scenes, as in the paper,
section 4.2), and the sample standard deviation over seeds where there are several. Where a method has failed in a scene
of a group it has no figure of the group.
"""

import math
import statistics
from collections.abc import Sequence
from typing import Any

from sanerf.evaluation.aggregator_tables import Figure, figure
from sanerf.evaluation.methods_bench import METRICS, JobResult
from sanerf.evaluation.written_tables import Cells

WORDS = {"acc": "Acc", "iou": "mIoU", "boundary_iou": "Boundary IoU"}
NONE = "–"
ALL = "all"


def mean_figure(results: Sequence[JobResult], method: str, scenes: Sequence[str], metric: str) -> Figure | None:
    """A method's figure over all objects of some scenes; None where it lacks one of them, or a seed of one."""
    own = {(result.scene, result.seed): result for result in results if result.method == method}
    seeds = sorted({seed for _, seed in own})
    if not seeds or any((scene, seed) not in own for scene in scenes for seed in seeds):
        return None
    return figure(
        [
            statistics.fmean(values[metric] for scene in scenes for values in own[scene, seed].objects.values())
            for seed in seeds
        ]
    )


def groups(results: Sequence[JobResult]) -> dict[str, list[str]]:
    """The scenes of each group, and of all where there are several groups."""
    out: dict[str, list[str]] = {}
    for result in results:
        out.setdefault(result.group, [])
        if result.scene not in out[result.group]:
            out[result.group].append(result.scene)
    return out if len(out) == 1 else {**out, ALL: [scene for scenes in out.values() for scene in scenes]}


def table_1(results: Sequence[JobResult], methods: Sequence[str], titles: dict[str, str]) -> list[Cells]:
    """A row a method, for each group its Acc, mIoU and Boundary IoU in per cent, as in the paper's Table 1."""
    of = groups(results)
    head = [f"{titles.get(group, group)} {words}" for group in of for words in WORDS.values()]
    rows: list[Cells] = [("method", *head)]
    for method in methods:
        found = (mean_figure(results, method, scenes, metric) for scenes in of.values() for metric in WORDS)
        rows.append((method, *(_cell(value, 100.0, 1) for value in found)))
    return rows


def scenes_table(results: Sequence[JobResult], methods: Sequence[str]) -> list[Cells]:
    """A row a measure and method, a column a scene and, last, their mean over objects."""
    scenes = list(dict.fromkeys(result.scene for result in results))
    rows: list[Cells] = [("measure", "method", *scenes, *(["mean"] if len(scenes) > 1 else []))]
    for metric in ("iou", "boundary_iou", "acc"):
        for method in methods:
            sets = [[scene] for scene in scenes] + ([scenes] if len(scenes) > 1 else [])
            found = (mean_figure(results, method, of, metric) for of in sets)
            rows.append((WORDS[metric], method, *(_cell(value, 1.0, 4) for value in found)))
    return rows


def stages_table(results: Sequence[JobResult], methods: Sequence[str], encoded: dict[str, float]) -> list[Cells]:
    """A row a scene and method: seconds of each stage, their sum, and the peak of memory; means over seeds. A row a
    scene for what encoding its training views took, once for all methods."""
    stages = list(dict.fromkeys(stage for result in results for stage in result.seconds))
    rows: list[Cells] = [("scene", "method", *stages, "seconds", "peak GB")]
    for scene in dict.fromkeys(result.scene for result in results):
        if scene in encoded:
            once = [f"{encoded[scene]:.1f}" if stage == "encode" else "" for stage in stages]
            rows.append((scene, "(once for all)", *once, f"{encoded[scene]:.1f}", ""))
        for method in methods:
            own = [result for result in results if (result.scene, result.method) == (scene, method)]
            if not own:
                continue
            seconds = {s: statistics.fmean(one.seconds.get(s, 0.0) for one in own) for s in stages}
            shown = [f"{seconds[s]:.1f}" if any(s in one.seconds for one in own) else "" for s in stages]
            peaks = [one.memory_gb for one in own if one.memory_gb is not None]
            peak = f"{max(peaks):.2f}" if peaks else NONE
            rows.append((scene, method, *shown, f"{sum(seconds.values()):.1f}", peak))
    return rows


def objects_table(results: Sequence[JobResult], methods: Sequence[str]) -> list[Cells]:
    """A row an object, the mIoU and Boundary IoU of each method; means over seeds."""
    rows: list[Cells] = [("object", "scene", *(f"{m}: {w}" for m in methods for w in ("mIoU", "Boundary IoU")))]
    places = dict.fromkeys((result.scene, name) for result in results for name in result.objects)
    for scene, name in places:
        shown = []
        for method in methods:
            own = [r.objects[name] for r in results if (r.scene, r.method) == (scene, method) and name in r.objects]
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


def figures_to_json(results: Sequence[JobResult], methods: Sequence[str]) -> dict[str, Any]:
    """By group, or all, and method the mean and spread of each metric (null of one seed), null where a method failed;
    by scene and method also the seconds and the peak of memory."""
    of = groups(results)
    out: dict[str, Any] = {"groups": {}, "scenes": {}}
    for where, sets in (("groups", of), ("scenes", {r.scene: [r.scene] for r in results})):
        for label, scenes in sets.items():
            out[where][label] = {m: _metrics_json(results, m, scenes) for m in methods}
    for result in results:
        entry = out["scenes"][result.scene][result.method]
        if entry is not None:
            entry.setdefault("seconds", []).append(round(sum(result.seconds.values()), 2))
            entry.setdefault("peak_memory_gb", []).append(result.memory_gb)
    return out


def _metrics_json(results: Sequence[JobResult], method: str, scenes: Sequence[str]) -> dict[str, Any] | None:
    entry: dict[str, Any] = {}
    for metric in METRICS:
        found = mean_figure(results, method, scenes, metric)
        if found is None:
            return None
        spread = None if math.isnan(found.spread) else round(found.spread, 4)
        entry[metric] = {"mean": round(found.mean, 4), "spread": spread, "seeds": found.seeds}
    return entry


def _cell(value: Figure | None, scale: float, decimals: int) -> str:
    return NONE if value is None else value.shown(decimals, scale)
