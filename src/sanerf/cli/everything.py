"""`sanerf masks PHOTOS --everything`: photograph by photograph, and a page of all overlays."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sanerf.cli.console import ProgressBars, say
from sanerf.errors import UserError

if TYPE_CHECKING:
    import torch

    from sanerf.segmenter.everything_config import EverythingConfig
    from sanerf.segmenter.protocol import Segmenter

_MOST_FIGURES = 200
_FIGURE_SIDE = 1000


@dataclass(frozen=True)
class Photo:
    """A photograph by its file's name and the stem of what is written of it."""

    name: str
    stem: str
    load: "Callable[[], torch.Tensor]"


@dataclass(frozen=True)
class Done:
    """A photograph whose masks are there; `seconds` is None where an earlier call found them."""

    name: str
    stem: str
    masks: int
    seconds: float | None


def find_photos(source: Path) -> list[Photo]:
    """A photograph, those of a folder (or of `images` in it), or a scene's views. UserError where there are none."""
    from sanerf.data.images import is_picture, load_image, load_photo
    from sanerf.data.load import load_scene

    if source.is_file():
        return [Photo(source.name, source.stem, lambda: load_photo(source))]
    try:
        scene = load_scene(source)
    except UserError:
        # Masks need no cameras: pictures without them, or whose cameras cannot be read, will do.
        folders = [source, source / "images"]
        found = next((f for f in folders if f.is_dir() and any(map(is_picture, f.iterdir()))), None)
        if found is None:
            raise
        paths = sorted(path for path in found.iterdir() if is_picture(path))
        photos = [Photo(path.name, path.stem, lambda path=path: load_photo(path)) for path in paths]
    else:
        photos = [
            Photo(view.name, scene.output_stem(i), lambda view=view: load_image(view))
            for i, view in enumerate(scene.views)
        ]
    by_stem: dict[str, str] = {}
    for photo in photos:
        if photo.stem in by_stem:
            raise UserError(
                f"{source} has {by_stem[photo.stem]} and {photo.name}, whose masks would have one name; rename one"
            )
        by_stem[photo.stem] = photo.name
    return photos


def write_all(
    photos: list[Photo], segmenter: "Segmenter", config: "EverythingConfig", *, out: Path, progress: ProgressBars
) -> list[Done]:
    """Find and write the masks of each photograph, those apart that an earlier call has written.

    One that cannot be read is left out, and said; UserError where none can.
    """
    from sanerf.export.everything import made_of, masks_found_before, write_everything
    from sanerf.segmenter.everything import find_everything

    done: list[Done] = []
    total = len(photos) * config.clicks
    for i, photo in enumerate(photos):
        progress("clicks", i * config.clicks, total, photo.name)
        began = time.monotonic()
        try:
            image = photo.load()
        except UserError as error:
            if len(photos) == 1:
                raise
            say(f"left out: {error}")
            continue
        made = made_of(segmenter.fingerprint, config, image)
        before = masks_found_before(out, photo.stem, made)
        if before is not None:
            done.append(Done(photo.name, photo.stem, before, None))
            continue

        def tell(clicks: int, _: int, start: int = i * config.clicks, name: str = photo.name) -> None:
            progress("clicks", start + clicks, total, name)

        masks = find_everything(segmenter, image, config, on_progress=tell)
        write_everything(out, photo.stem, name=photo.name, photo=image.numpy(), masks=masks, made=made)
        done.append(Done(photo.name, photo.stem, len(masks), time.monotonic() - began))
    progress("clicks", total, total)
    if not done:
        raise UserError(f"none of the {len(photos)} photographs can be read")
    return done


def write_page(out: Path, done: list[Done], *, segmenter: str, config: "EverythingConfig") -> Path:
    """The overlays on one page, which needs no other file."""
    import numpy as np

    from sanerf.data.images import open_picture
    from sanerf.evaluation.report import Figure, KeyFigure, Report, Section, image_data_uri, render_html
    from sanerf.export.everything import files_of
    from sanerf.files import write_text

    step = -(-len(done) // _MOST_FIGURES)
    shown = done[::step]
    figures = []
    for photo in shown:
        overlay = np.asarray(open_picture(files_of(out, photo.stem)[2]).convert("RGB"))
        source = image_data_uri(overlay, quality=82, longest_side=_FIGURE_SIDE)
        caption = f"{photo.name}: {photo.masks} masks"
        figures.append(Figure(source, caption, f"the masks of {photo.name}, each in a colour of its own"))
    count = sum(photo.masks for photo in done)
    text = "Each mask has a colour; where several lie the smallest shows, and where there is none the photo is dim."
    if step > 1:
        text += f" One in {step} photographs is shown."
    layers = f", and {config.layers} layers of windows" if config.layers else ""
    report = Report(
        title="Masks of everything",
        intro=f"What {segmenter} finds when asked on a grid of {config.points} x {config.points} clicks{layers}.",
        key_figures=(
            KeyFigure("Photographs", str(len(done))),
            KeyFigure("Masks", str(count), f"{count / len(done):.0f} a photograph"),
        ),
        sections=(Section("Overlays", text, figures=tuple(figures)),),
    )
    path = out / "index.html"
    write_text(path, render_html(report))
    return path
