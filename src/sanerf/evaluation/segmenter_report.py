"""The page of a segmenter's benchmark: figures, curves, and the cases themselves, the worst first."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from sanerf.data.images import load_mask, load_photo
from sanerf.data.masked_pictures import MaskedPicture
from sanerf.evaluation.line_chart import Line, line_chart
from sanerf.evaluation.report import (
    Figure,
    KeyFigure,
    Report,
    Section,
    Table,
    image_data_uri,
    render_html,
    svg_data_uri,
)
from sanerf.evaluation.segmenter_bench import DRAWN, MOST_CLICKS, REPORTED, CaseResult, PictureResult
from sanerf.evaluation.segmenter_scores import answered_ious, calibration_bins
from sanerf.files import write_text
from sanerf.render.pictures import OKABE_ITO, draw_clicks, overlay_mask
from sanerf.segmenter.coco_rle import from_coco

MOST_SHOWN = 30
LONGEST_SIDE = 480

PROTOCOL = (
    "Each object in each picture is a case, and every mean is over cases, not pooled over pictures. The first click is "
    "deepest inside the object, each next one deepest inside what is wrong, with the mask before as a prompt. The mask "
    "that counts is the one that agrees best with the prompts, among equals the one of highest predicted IoU. Boundary "
    "IoU has a band of 2 % of the diagonal."
)


def figures_table(scores: dict[str, Any]) -> Table:
    """IoU and Boundary IoU at each count of clicks and of the box, and of the other methods that know the box."""
    columns = [f"{count} click" + "s" * (count > 1) for count in REPORTED]
    rows = []
    for key, label in (("iou", "IoU"), ("boundary_iou", "Boundary IoU")):
        shown = [f"{scores['clicks'][str(count)][key]:.3f}" for count in REPORTED]
        rows.append((f"{scores['segmenter']}, {label}", *shown, f"{scores['box'][key]:.3f}"))
        for name, method in scores["baselines"].items():
            rows.append((f"{name}, {label}", *[""] * len(REPORTED), f"{method['box'][key]:.3f}"))
    return Table(("mean over cases", *columns, "tight box"), tuple(rows))


def other_figures(scores: dict[str, Any]) -> list[tuple[str, str]]:
    """The other figures in words, each with its value."""
    belief, cases = scores["predicted_iou"], scores["cases"]
    correlation = "undefined, one of them never varies" if belief["pearson"] is None else f"{belief['pearson']:.3f}"
    out = [
        (f"clicks to an IoU of 0.{percent} (NoC{percent})", f"{scores[f'noc{percent}']:.2f}") for percent in (85, 90)
    ]
    out += [
        (f"cases not at 0.{percent} after {MOST_CLICKS} clicks", f"{scores[f'failures{percent}']} of {cases}")
        for percent in (85, 90)
    ]
    out += [
        ("IoU of the best hypothesis at one click", f"{scores['best_hypothesis']['iou']:.3f}"),
        ("correlation of predicted and true IoU", correlation),
        ("expected calibration error of the predicted IoU", f"{belief['calibration_error']:.3f}"),
        ("seconds to encode a picture", f"{scores['encode_seconds']:.3f}"),
        ("seconds to encode a megapixel", f"{scores['encode_seconds_per_megapixel']:.3f}"),
        ("seconds to decode a prompt", f"{scores['decode_seconds']:.4f}"),
    ]
    out += [(f"seconds a box, {name}", f"{m['seconds']:.3f}") for name, m in scores["baselines"].items()]
    out.append(("objects in pictures", f"{cases} in {scores['pictures']}"))
    memory = scores["peak_memory_gb"]
    return [*out, ("peak memory, GB", "unknown" if memory is None else f"{memory:.2f}")]


def scores_lines(scores: dict[str, Any]) -> list[str]:
    """The figures as lines for a terminal."""
    table = figures_table(scores)
    rows = [table.header, *table.rows]
    widths = [max(len(row[i]) for row in rows) for i in range(len(table.header))]
    lines = ["  ".join([row[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(row[1:], widths[1:], strict=True))])
             for row in rows]  # fmt: skip
    return [line.rstrip() for line in lines] + [f"{label}: {value}" for label, value in other_figures(scores)]


def write_segmenter_report(
    path: Path,
    scores: dict[str, Any],
    *,
    results: Sequence[PictureResult],
    pictures: Sequence[MaskedPicture],
    footer: str,
) -> None:
    """Write the page of `results`, which are those of `pictures`, in the same order."""
    clicks = scores["clicks"]
    keys = [KeyFigure(f"IoU, {n} click" + "s" * (n > 1), f"{clicks[str(n)]['iou']:.3f}") for n in DRAWN]
    keys.append(KeyFigure("IoU, tight box", f"{scores['box']['iou']:.3f}"))
    keys.append(KeyFigure("NoC90", f"{scores['noc90']:.1f}", f"{scores['failures90']} never reach it"))
    others = Table(("figure", "value"), tuple(other_figures(scores)))
    report = Report(
        title=f"{scores['segmenter']}: {scores['cases']} objects in {scores['pictures']} pictures",
        intro=PROTOCOL,
        key_figures=tuple(keys),
        sections=(
            Section("Figures", tables=(figures_table(scores), others)),
            _curves(scores, results),
            _worst_first(results, pictures),
        ),
        footer=footer,
    )
    write_text(path, render_html(report))


def _curves(scores: dict[str, Any], results: Sequence[PictureResult]) -> Section:
    curve, box = scores["iou_by_click"], scores["box"]["iou"]
    boundary = tuple((float(n), scores["clicks"][str(n)]["boundary_iou"]) for n in REPORTED)
    by_click = [
        Line("IoU", tuple((float(n), value) for n, value in enumerate(curve, start=1)), 4, dots=True),
        Line("Boundary IoU", boundary, 0, dots=True),
        Line("IoU of the tight box", ((0.0, box), (float(len(curve)), box)), 2),
    ]
    bins = calibration_bins(*answered_ious([case for result in results for case in result.cases]))
    calibration = [
        Line("as good as predicted", ((0.0, 0.0), (1.0, 1.0)), 2),
        Line("answers, by tenths", tuple((b.predicted, b.true) for b in bins), 4, dots=True),
    ]
    table = Table(
        ("answers by predicted IoU", *(f"{b.predicted:.2f}" for b in bins)),
        (("true IoU", *(f"{b.true:.2f}" for b in bins)), ("answers", *(str(b.answers) for b in bins))),
    )
    figures = (
        Figure(svg_data_uri(line_chart(by_click, "clicks", "mean over cases")), "What each click brings"),
        Figure(
            svg_data_uri(line_chart(calibration, "mean predicted IoU", "mean true IoU")), "What the belief is worth"
        ),
    )
    text = "The belief is the IoU that the segmenter predicts of its own mask, over every answer that counted."
    return Section("Curves", text, tables=(table,), figures=figures, columns=2)


def _worst_first(results: Sequence[PictureResult], pictures: Sequence[MaskedPicture]) -> Section:
    cases = [(case, picture) for result, picture in zip(results, pictures, strict=True) for case in result.cases]
    cases.sort(key=lambda pair: sum(pair[0].iou_after(count) for count in DRAWN))
    shown = cases[:MOST_SHOWN]
    figures = [figure for case, picture in shown for figure in _case_figures(case, picture)]
    text = (
        f"The {len(shown)} worst of {len(cases)} cases by the mean of their IoU after {', '.join(map(str, DRAWN))} "
        "clicks. The truth is outlined in yellow; a plus is a click inside, a minus one outside."
    )
    return Section("Cases, the worst first", text, figures=tuple(figures), columns=1 + len(DRAWN))


def _case_figures(case: CaseResult, picture: MaskedPicture) -> list[Figure]:
    photo = load_photo(picture.path, picture.size).numpy()
    truth = load_mask(picture.masks[case.object]).numpy()
    outlined = overlay_mask(photo, truth, colour=OKABE_ITO["yellow"], fill=0.0)
    name = f"{picture.path.name}, {case.object}" if case.object else picture.path.name
    box = f"from the tight box {case.box_iou:.2f}"
    out = [Figure(image_data_uri(outlined, quality=80, longest_side=LONGEST_SIDE), f"{name}: {box}")]
    for count in DRAWN:
        mask = from_coco(case.masks[str(count)])
        made = np.array(case.clicks[:count], np.float64)
        drawn = draw_clicks(overlay_mask(photo, mask), made[:, :2], made[:, 2].astype(np.int64))
        caption = f"{count} click{'s' * (count > 1)}: IoU {case.iou_after(count):.2f}"
        out.append(Figure(image_data_uri(drawn, quality=80, longest_side=LONGEST_SIDE), caption, f"{name}, {caption}"))
    return out
