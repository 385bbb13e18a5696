"""The HTML report of a scored run: photo, rendering, depth, objects, and the table."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from sanerf.evaluation.report import Figure, KeyFigure, Report, Section, Table, image_data_uri, render_html
from sanerf.evaluation.run_evaluation import ObjectScore, ScoredView, Scores, mean_scores
from sanerf.files import write_text
from sanerf.render.pictures import OKABE_ITO, colour_depth, overlay_mask, to_bytes
from sanerf.run.folder import Run
from sanerf.shapes import UInt8

COLUMNS = ("object", "IoU", "predicted IoU", "Boundary IoU", "accuracy", "PSNR inside", "views")


def _overlays(rgb: UInt8[np.ndarray, "h w 3"], masks: list[np.ndarray]) -> UInt8[np.ndarray, "h w 3"]:
    """All objects over one picture, each in a colour of its own."""
    colours = list(OKABE_ITO.values())
    for i, mask in enumerate(masks):
        rgb = overlay_mask(rgb, mask, colour=colours[i % len(colours)])
    return rgb


@dataclass
class ReportViews:
    """Collects up to `most` scored views as figures."""

    most: int
    seen: int = 0
    figures: list[Figure] = field(default_factory=list)

    def add(self, run: Run, scored: ScoredView) -> None:
        """Add a view's row: photo, rendering, depth, objects over the rendering."""
        self.seen += 1
        if self.seen > self.most:
            return
        name = run.scene.views[scored.index].name
        rendered = scored.rendered
        rgb = to_bytes(rendered.image.rgb)
        depth_z = rendered.image.depth_z.cpu().numpy()
        solid = rendered.image.accumulation.cpu().numpy() > 0.5
        pictures = [
            ("photo", to_bytes(scored.photo)),
            ("rendering", rgb),
            ("depth", colour_depth(np.where(solid, depth_z, np.nan))),
        ]
        masks = [rendered.mask(n).numpy() for n in rendered.margin]
        if masks:
            pictures.append(("objects", _overlays(rgb, masks)))
        self.figures += [
            Figure(image_data_uri(picture, longest_side=720), f"{name}: {what}") for what, picture in pictures
        ]

    @property
    def section(self) -> Section:
        columns = 4 if any("objects" in figure.caption for figure in self.figures) else 3
        return Section("Views", figures=tuple(self.figures), columns=columns)


def object_rows(scores: dict[str, ObjectScore]) -> list[tuple[str, ...]]:
    """One row an object, in the order of `COLUMNS`."""
    return [
        (
            name,
            f"{s.counts.iou:.3f}",
            "" if s.predicted_iou is None else f"{s.predicted_iou:.3f}",
            f"{s.counts.boundary_iou:.3f}",
            f"{s.counts.acc:.3f}",
            f"{s.inside.psnr:.1f} dB",
            str(s.views),
        )
        for name, s in scores.items()
    ]


def mean_row(label: str, scores: dict[str, ObjectScore]) -> tuple[str, ...]:
    """The means over objects in the same columns."""
    mean = mean_scores(scores)
    return (
        label,
        f"{mean['iou']:.3f}",
        _mean_prediction(scores),
        f"{mean['boundary_iou']:.3f}",
        f"{mean['acc']:.3f}",
        "",
        "",
    )


def _mean_prediction(scores: dict[str, ObjectScore]) -> str:
    known = [score.predicted_iou for score in scores.values() if score.predicted_iou is not None]
    return f"{sum(known) / len(known):.3f}" if len(known) == len(scores) else ""


def report_table(scores: Scores) -> Table | None:
    """The objects, their mean, and the decoder alone where it was scored; None without objects."""
    if not scores.objects:
        return None
    rows = object_rows(scores.objects)
    if scores.alone:
        rows.append(mean_row("decoder alone, view by view", scores.alone))
    return Table(COLUMNS, tuple(rows), summary=mean_row("mean of the objects", scores.objects))


def scores_table(scores: Scores) -> list[str]:
    """The scores as lines for a terminal."""
    lines = [f"PSNR {scores.psnr:.2f} dB, SSIM {scores.ssim:.3f} over {scores.views} views"]
    table = report_table(scores)
    if table is not None and table.summary is not None:
        rows = [table.header, *table.rows, table.summary]
        widths = [max(len(row[i]) for row in rows) for i in range(len(COLUMNS))]
        for row in rows:
            cells = [row[0].ljust(widths[0])] + [row[i].rjust(widths[i]) for i in range(1, len(row))]
            lines.append("  ".join(cells).rstrip())
    return lines


def key_figures(scores: Scores) -> list[KeyFigure]:
    """What matters most, for the top of the page."""
    out = [KeyFigure("PSNR", f"{scores.psnr:.1f} dB", f"{scores.views} views"), KeyFigure("SSIM", f"{scores.ssim:.3f}")]
    if scores.objects:
        mean = mean_scores(scores.objects)
        out.append(KeyFigure("Mean IoU", f"{mean['iou']:.3f}", f"{len(scores.objects)} objects"))
        out.append(KeyFigure("Boundary IoU", f"{mean['boundary_iou']:.3f}"))
    return out


def write_run_report(
    path: Path,
    title: str,
    scores: Scores,
    views: ReportViews,
    *,
    intro: str = "",
    sections: tuple[Section, ...] = (),
    footer: str = "",
) -> None:
    """Write the page: key figures, the table, `sections`, the views."""
    table = report_table(scores)
    shown = (Section("Scores", tables=(table,)),) if table is not None else ()
    report = Report(
        title=title,
        intro=intro,
        key_figures=tuple(key_figures(scores)),
        sections=(*shown, *sections, views.section),
        footer=footer,
    )
    write_text(path, render_html(report))
