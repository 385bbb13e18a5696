"""The page of a folder of masks of everything: the overlay of every photograph in it, in one file."""

from pathlib import Path
from typing import Any

import numpy as np

from sanerf.data.images import open_picture
from sanerf.errors import UserError
from sanerf.evaluation.report import Figure, KeyFigure, Report, Section, image_data_uri, render_html
from sanerf.export.everything_files import asked_how, files_of
from sanerf.files import read_json, write_text
from sanerf.segmenter.everything_config import EverythingConfig
from sanerf.segmenter.protocol import Segmenter

_MOST_FIGURES = 200
_FIGURE_SIDE = 1000


def write_page(out: Path, segmenter: Segmenter, config: EverythingConfig) -> Path:
    """Write `index.html` of all photographs whose masks are in `out`, at least one.

    Those of earlier calls with another segmenter or other settings than these are marked.
    """
    asked = asked_how(segmenter.fingerprint, config)
    found = [
        (path.stem, content)
        for path in sorted((out / "masks").glob("*.json"))
        if (content := _masks_of(out, path)) is not None
    ]
    step = -(-len(found) // _MOST_FIGURES)
    figures = []
    for stem, content in found[::step]:
        name = content["image"]["file_name"]
        overlay = np.asarray(open_picture(files_of(out, stem)[2]).convert("RGB"))
        source = image_data_uri(overlay, quality=82, longest_side=_FIGURE_SIDE)
        as_here = asked.items() <= content["made_of"].items()
        masks = len(content["annotations"])
        caption = f"{name}: {masks} mask{'s' * (masks != 1)}" + ("" if as_here else " (other settings)")
        figures.append(Figure(source, caption, f"the masks of {name}, each in a colour of its own"))
    count = sum(len(content["annotations"]) for _, content in found)
    text = "Each mask has a colour; where several lie the smallest shows, and where there is none the photo is dim."
    if step > 1:
        text += f" One in {step} photographs is shown."
    layers = f", and {config.layers} layers of windows" if config.layers else ""
    report = Report(
        title="Masks of everything",
        intro=f"What {segmenter.name} finds when asked on a grid of {config.points} x {config.points} clicks{layers}.",
        key_figures=(
            KeyFigure("Photographs", str(len(found))),
            KeyFigure("Masks", str(count), f"{count / len(found):.0f} a photograph"),
        ),
        sections=(Section("Overlays", text, figures=tuple(figures)),),
    )
    path = out / "index.html"
    write_text(path, render_html(report))
    return path


def _masks_of(out: Path, path: Path) -> dict[str, Any] | None:
    """What a photograph's JSON file says; None where it or the overlay is not whole."""
    try:
        content = read_json(path)
    except UserError:
        return None
    whole = {"image", "annotations", "made_of"} <= content.keys() and files_of(out, path.stem)[2].is_file()
    return content if whole else None
