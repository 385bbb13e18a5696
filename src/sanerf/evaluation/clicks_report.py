"""The page of the benchmark of clicks: the table, IoU over clicks, and the games themselves, the worst first."""

import statistics
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from sanerf.data.images import downscaled_size, load_image
from sanerf.evaluation.aggregator_cases import Case, truth_of
from sanerf.evaluation.clicks_bench import GOAL, LEAST_CLICKS, MOST_CLICKS, GameResult
from sanerf.evaluation.clicks_tables import Row, cells, fewer_clicks, header, mean_curve
from sanerf.evaluation.line_chart import Line, line_chart
from sanerf.evaluation.masks import resized_mask
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
from sanerf.files import write_text
from sanerf.render.pictures import draw_clicks, overlay_errors
from sanerf.segmenter.coco_rle import from_coco

MOST_SHOWN = 24
LONGEST_SIDE = 480

PROTOCOL = (
    "Each object is clicked alone. The first click is deepest inside its exact mask in the training view where that is "
    "largest; after each click the instant answer is rendered in the training views and scored there, counts pooled "
    "over views, then the mean over objects. robot clicks in the view with the most wrong pixels, deepest in what is "
    "wrong; random any wrong pixel of any view; suggested where the answer itself, without the truth, expects a click "
    f"to mend most. A game ends at an IoU of {GOAL}, not before {LEAST_CLICKS} clicks, and after {MOST_CLICKS}; an "
    f"object that they do not bring there counts as {MOST_CLICKS}."
)


def write_clicks_report(
    path: Path, lines: Sequence[Row], *, results: Sequence[GameResult], cases: Sequence[Case], footer: str
) -> None:
    """Write the page of `results`, which are those of `cases`, with the table of `lines`."""
    clickers = list(dict.fromkeys(game.clicker for game in results))
    of_clicker = {name: [game for game in results if game.clicker == name] for name in clickers}
    curves = [
        Line(name, tuple((float(n), iou) for n, iou in enumerate(mean_curve(games), start=1)), index + 1, dots=True)
        for index, (name, games) in enumerate(of_clicker.items())
    ]
    chart = svg_data_uri(line_chart(curves, "clicks", "mean IoU in training views"))
    report = Report(
        title="Clicks in 3D",
        intro=PROTOCOL,
        key_figures=tuple(_key_figures(of_clicker, fewer_clicks(results))),
        sections=(
            Section("Figures", tables=(Table(header(lines), tuple(map(cells, lines))),)),
            Section(
                "IoU over clicks",
                "Means over games; one that has ended stays where it ended.",
                figures=(Figure(chart, alt="Mean IoU over the number of clicks, a line a clicker"),),
                columns=1,
            ),
            _objects(of_clicker),
            _worst_first(results, {case.label: case for case in cases}),
        ),
        footer=footer,
    )
    write_text(path, render_html(report))


def _key_figures(of_clicker: dict[str, list[GameResult]], fewer: float | None) -> list[KeyFigure]:
    out = []
    for name, games in of_clicker.items():
        clicks = statistics.fmean(game.clicks_to(90) or MOST_CLICKS for game in games)
        failed = sum(game.clicks_to(90) is None for game in games)
        out.append(KeyFigure(f"NoC90, {name}", f"{clicks:.2f}", f"{failed} of {len(games)} games not there"))
    if fewer is not None:
        out.append(KeyFigure("suggested against random", f"{-100 * fewer:+.0f} %", "clicks to 90 %"))
    return out


def _objects(of_clicker: dict[str, list[GameResult]]) -> Section:
    """Clicks to 90 %, and the IoU at the end, of each object with each clicker."""
    games = [game for of in of_clicker.values() for game in of]
    rows = []
    for run, name in dict.fromkeys((game.run, game.object) for game in games):
        shown = []
        for of in of_clicker.values():
            own = [game for game in of if (game.run, game.object) == (run, name)]
            clicks = ", ".join(str(game.clicks_to(90) or f"over {len(game.iou)}") for game in own)
            shown += [clicks, f"{statistics.fmean(game.iou[-1] for game in own):.3f}"]
        rows.append((name, run, *shown))
    head = [word for name in of_clicker for word in (f"{name}: clicks to 90 %", "IoU at the end")]
    return Section("Objects", "One number a seed.", tables=(Table(("object", "run", *head), tuple(rows)),))


def _worst_first(results: Sequence[GameResult], cases: dict[str, Case]) -> Section:
    found: dict[tuple[str, str, str], GameResult] = {}
    for game in results:
        # Of several seeds the worst: the same object again tells little new.
        key = (game.run, game.object, game.clicker)
        if key not in found or game.iou[-1] < found[key].iou[-1]:
            found[key] = game
    shown = sorted(found.values(), key=lambda game: game.iou[-1])[:MOST_SHOWN]
    text = (
        "Of each game the training view that its last answer fits worst, the games of lowest IoU first: right in blue, "
        "missing in yellow, too much in vermilion; the clicks that fell on this view are marked."
    )
    return Section("The worst games", text, figures=tuple(_picture(game, cases[game.run]) for game in shown), columns=4)


def _picture(game: GameResult, case: Case) -> Figure:
    index, worst = game.worst.view, game.worst
    view = case.run.scene.views[index]
    width, height = downscaled_size(view.camera, case.run.config.downscale)
    truth = truth_of(case, index, game.object)
    assert truth is not None, (index, game.object)
    photo = load_image(view, (width, height)).numpy()
    picture = overlay_errors(photo, from_coco(worst.mask), resized_mask(truth, height, width).numpy())
    here = [click for click in game.clicks if click.view == index]
    places = np.array([(click.x, click.y) for click in here], dtype=np.float64).reshape(-1, 2)
    picture = draw_clicks(picture, places, np.array([click.label for click in here], dtype=np.int64))
    caption = (
        f"IoU {game.iou[-1]:.2f} after {len(game.clicks)} clicks, here {worst.iou:.2f}: {game.object}, {view.name}; "
        f"{game.clicker}, seed {game.seed}"
    )
    return Figure(image_data_uri(picture, quality=85, longest_side=LONGEST_SIDE), caption)
