"""The page of the mask aggregator's benchmark: the table, what the noise looks like, and the worst views."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from sanerf.data.images import load_mask
from sanerf.evaluation.aggregator_arms import ARMS
from sanerf.evaluation.aggregator_bench import JobResult, WorstView
from sanerf.evaluation.aggregator_cases import Case, truth_of
from sanerf.evaluation.aggregator_tables import NOISES, Row, cells, header
from sanerf.evaluation.error_pictures import error_figure
from sanerf.evaluation.noisy_masks import MaskNoise, noisy_view, view_fates, view_generator
from sanerf.evaluation.report import KeyFigure, Report, Section, Table, render_html
from sanerf.files import write_text
from sanerf.segmenter.coco_rle import from_coco

MOST_SHOWN = 24
NOISY_SHOWN = 8
_FATES = {"own": "", "another": ", another object's", "missing": ", missing"}

PROTOCOL = (
    "Masks of the training views are lifted into an object field on the trained radiance field, without a segmenter, "
    "and what it renders in the held-out views is scored against exact masks: counts pooled over an object's views, "
    "then the mean over objects, Boundary IoU with a band of 2 % of the diagonal. Each figure is the mean over seeds "
    "± their standard deviation. Seconds are of fitting."
)


def write_aggregator_report(
    path: Path, lines: Sequence[Row], *, results: Sequence[JobResult], cases: Sequence[Case], footer: str
) -> None:
    """Write the page of `results`, which are those of `cases`, with the table of `lines`."""
    arms = dict.fromkeys(result.arm for result in results)
    scores = Section(
        "Figures",
        tables=(
            Table(header(lines), tuple(cells(line) for line in lines)),
            Table(("arm", "what it is"), tuple((name, ARMS[name].what) for name in arms)),
        ),
    )
    sections = [scores]
    if any(result.noise == "noisy" for result in results):
        sections.append(_what_noise_does(cases[0], min(result.seed for result in results)))
    sections.append(_worst_first(results, {case.label: case for case in cases}))
    first = next(iter(arms))
    report = Report(
        title="The mask aggregator, part by part",
        intro=PROTOCOL,
        key_figures=tuple(_key_figures(lines, first)),
        sections=tuple(sections),
        footer=footer,
    )
    write_text(path, render_html(report))


def _key_figures(lines: Sequence[Row], arm: str) -> list[KeyFigure]:
    out = []
    for line in lines:
        if line.arm == arm and line.measure in ("mean IoU", "Boundary IoU"):
            *_, last = line.figures.values()
            out.append(KeyFigure(f"{line.measure}, {line.noise}", f"{last.mean:.3f}", arm))
    return out


def _what_noise_does(case: Case, seed: int) -> Section:
    noise, scene, names = MaskNoise(), case.run.scene, case.truth.names
    files = case.mask_files(scene.train)
    views = list(files)[:: max(1, len(files) // NOISY_SHOWN)][:NOISY_SHOWN]
    figures = []
    for index, view in enumerate(views):
        name = [name for name in names if name in files[view]][index % len(files[view])]
        stems = [scene.output_stem(other) for other in files if name in files[other]]
        stem = scene.output_stem(view)
        fate = view_fates(noise, seed, name, stems)[stem]
        truths = {name: load_mask(path) for name, path in files[view].items()}
        given = noisy_view(noise, truths, name, fate, view_generator(seed, name, stem))
        truth = truths[name].numpy()
        shown = np.zeros_like(truth) if given is None else given.numpy()
        caption = f"{scene.views[view].name}, {name}{_FATES[fate]}"
        figures.append(error_figure(case.run.scene.views[view], shown, truth, caption))
    text = (
        f"Masks of training views as they are lifted, seed {seed}: right in blue, missing in yellow, too much in "
        "vermilion."
    )
    return Section("What the noise does", text, figures=tuple(figures), columns=4)


def _worst_first(results: Sequence[JobResult], cases: dict[str, Case]) -> Section:
    found: dict[tuple[str, str, str, str, int], tuple[WorstView, JobResult]] = {}
    for result in results:
        for view in result.worst:
            # Of several seeds the worst: the same view again tells nothing new.
            key = (result.run, result.noise, result.arm, view.object, view.view)
            if key not in found or view.iou < found[key][0].iou:
                found[key] = (view, result)
    shown = sorted(found.values(), key=lambda pair: pair[0].iou)[:MOST_SHOWN]
    figures = []
    for view, result in shown:
        case = cases[result.run]
        truth = truth_of(case, view.view, view.object)
        assert truth is not None, (view.view, view.object)
        where = f"{case.run.scene.views[view.view].name}, {view.object}"
        caption = f"IoU {view.iou:.2f}: {where}; {NOISES[result.noise]}, {result.arm}, seed {result.seed}"
        figures.append(error_figure(case.run.scene.views[view.view], from_coco(view.mask), truth.numpy(), caption))
    text = (
        "Held-out views, of all jobs, the lowest IoU first: right in blue, missing in yellow, too much in vermilion. "
        "A view of the same object, masks and arm is shown once, with its worst seed."
    )
    return Section("The worst views", text, figures=tuple(figures), columns=4)
