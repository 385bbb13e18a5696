"""The page of the benchmark of methods: the tables, and pictures of all methods side by side, the worst first."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch

from sanerf.data.images import load_mask
from sanerf.evaluation.error_pictures import COLOURS, error_row
from sanerf.evaluation.masks import resized_mask
from sanerf.evaluation.methods import Method
from sanerf.evaluation.methods_bench import Outcome
from sanerf.evaluation.methods_jobs import JobResult
from sanerf.evaluation.methods_scenes import BenchScene
from sanerf.evaluation.methods_tables import mean_figure
from sanerf.evaluation.protocols import protocols
from sanerf.evaluation.report import Figure, KeyFigure, Report, Section, Table, render_html
from sanerf.evaluation.written_tables import Cells
from sanerf.files import write_text
from sanerf.shapes import Bool

MOST_ROWS = 16

PROTOCOL = (
    "Every method gets the same prompts, and answers in views that were held out of training. Counts are pooled over "
    "an object's views and figures are means over objects (paper, section 4.2), or as the group's card says; Boundary "
    "IoU has a band of 2 % of the diagonal. A view without an answer counts as an empty mask. Figures are means over "
    "seeds ± their standard deviation; a method that leaves nothing to chance ran once."
)


def write_methods_report(
    path: Path,
    tables: Mapping[str, Sequence[Cells]],
    *,
    outcome: Outcome,
    scenes: Sequence[BenchScene],
    methods: Mapping[str, Method],
    footer: str,
) -> None:
    """Write the page of an outcome, which is that of `scenes` and `methods`, into the folder where their masks lie."""
    sections = [
        Section("Methods by group of data, per cent", tables=(_table(tables["table1"]), *_published(outcome))),
        Section("By scene", tables=(_table(tables["scenes"]),)),
        Section(
            "What the methods are", tables=(Table(("method", "what"), tuple((n, m.what) for n, m in methods.items())),)
        ),
        _side_by_side(outcome, {scene.label: scene for scene in scenes}, path.parent),
        Section("Objects", tables=(_table(tables["objects"]),)),
        Section(
            "Seconds by stage, and memory",
            "Training views are encoded, and the feature field is learnt, once for all methods, which is a row of its "
            "own. Memory is the most that the process held during a job.",
            tables=(_table(tables["stages"]),),
        ),
    ]
    if outcome.failures:
        rows = tuple((f.method, f.scene, str(f.seed), f.why) for f in outcome.failures)
        sections.insert(1, Section("Failed", tables=(Table(("method", "scene", "seed", "why"), rows),)))
    keys = []
    for name in methods:
        found = mean_figure(outcome, name, list(outcome.groups), "iou")
        if found is not None:
            objects = {(r.scene, of) for r in outcome.results if r.method == name for of in r.objects}
            keys.append(KeyFigure(f"mIoU, {name}", f"{100 * found.mean:.1f} %", f"{len(objects)} objects"))
    report = Report("Methods side by side", PROTOCOL, tuple(keys), tuple(sections), footer=footer)
    write_text(path, render_html(report))


def _table(rows: Sequence[Cells]) -> Table:
    return Table(rows[0], tuple(rows[1:]))


def _published(outcome: Outcome) -> list[Table]:
    """What publications report on the groups that are protocols."""
    out = []
    for group in dict.fromkeys(outcome.groups.values()):
        card = protocols().get(group)
        if card is not None and card.published:
            rows = tuple((name, f"{f.acc:.1f}", f"{f.miou:.1f}") for name, f in card.published.items())
            caption = f"{card.published_in}; scenes, prompts and views are not known to be the same."
            out.append(Table((f"published: {card.title}", "Acc", "mIoU"), rows, caption=caption))
    return out


def _side_by_side(outcome: Outcome, scenes: Mapping[str, BenchScene], out: Path) -> Section:
    """Of every object the view that the first method fits worst, a row each, one picture a method."""
    # Of several seeds the first.
    jobs: dict[tuple[str, str], JobResult] = {}
    for result in outcome.results:
        jobs.setdefault((result.scene, result.method), result)
    worst: dict[tuple[str, str], tuple[float, int]] = {}
    for (scene, method), result in jobs.items():
        if method == next(name for name in outcome.methods if (scene, name) in jobs):
            for mask in result.masks:
                key = (scene, mask.object)
                if mask.iou < worst.get(key, (math.inf, 0))[0]:
                    worst[key] = (mask.iou, mask.view)
    figures: list[Figure] = []
    for (label, name), (_, view) in sorted(worst.items(), key=lambda item: item[1][0])[:MOST_ROWS]:
        scene = scenes[label]
        truth = load_mask(scene.truth.paths(name, scene.run.scene, [view])[view])
        masks, captions = {}, {}
        for method in outcome.methods:
            job = jobs.get((label, method))
            masks[method] = _mask(job, scene, name, view, truth, out).numpy()
            said = _in_words(job, name, view)
            captions[method] = f"{method}: {said}; {name}, {scene.run.scene.views[view].name}, {label}"
        figures += error_row(scene.run.scene.views[view], masks, truth.numpy(), captions)
    text = (
        f"Of each object the view that the first method fits worst, the lowest IoU first, and what the others have "
        f"there: {COLOURS}. Of several seeds the first."
    )
    return Section("Side by side, the worst first", text, figures=tuple(figures), columns=len(outcome.methods))


def _in_words(job: JobResult | None, name: str, view: int) -> str:
    """What a job came to in one mask."""
    if job is None:
        return "failed"
    (mask,) = (mask for mask in job.masks if (mask.object, mask.view) == (name, view))
    return f"IoU {mask.iou:.2f}" + ("" if mask.answered else ", no answer")


def _mask(
    job: JobResult | None, scene: BenchScene, name: str, view: int, truth: Bool[torch.Tensor, "h w"], out: Path
) -> Bool[torch.Tensor, "h w"]:
    """A job's mask at the truth's resolution, empty where there is none."""
    file = out / (job.folder if job else "") / name / f"{scene.run.scene.output_stem(view)}.png"
    return resized_mask(load_mask(file), *truth.shape) if job and file.is_file() else torch.zeros_like(truth)
