"""The report of a run as one HTML file that needs nothing else: no server, no network, no second file.

A `Report` says what is in it, `render_html` turns it into the page; pictures are put in as data with `image_data_uri`,
`svg_data_uri` and `animation_data_uri`. The page's looks are in page.py, drawing on pictures in render/pictures.py.
"""

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Literal
from urllib.parse import quote

import numpy as np
from PIL import Image

from sanerf.evaluation.page import SCRIPT, STYLE
from sanerf.shapes import UInt8

_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'"


@dataclass(frozen=True)
class KeyFigure:
    """One number that matters, ready to read: `KeyFigure("Mean IoU", "94.2 %", "paper: 93.0 %")`."""

    label: str
    value: str
    note: str = ""


@dataclass(frozen=True)
class Figure:
    """A picture as a data URI with its caption. `alt` describes it for those who do not see it."""

    source: str
    caption: str = ""
    alt: str = ""


@dataclass(frozen=True)
class Table:
    """Cells ready to read. The first column holds names, the others numbers; a summary row is set off at the end."""

    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    caption: str = ""
    summary: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Section:
    """A heading with text (paragraphs parted by empty lines), tables and a grid of figures.

    `columns` fixes the number of figures side by side, for rows that belong together; by default as many as fit.
    """

    title: str
    text: str = ""
    tables: tuple[Table, ...] = ()
    figures: tuple[Figure, ...] = ()
    columns: int | None = None


@dataclass(frozen=True)
class ProducedFile:
    """A file beside the report: its path relative to the report, with forward slashes, and what it is."""

    path: str
    what: str = ""


@dataclass(frozen=True)
class Report:
    """Everything on the page, from top to bottom. `footer` is small print: version, seed, machine, command."""

    title: str
    intro: str = ""
    key_figures: tuple[KeyFigure, ...] = ()
    sections: tuple[Section, ...] = ()
    files: tuple[ProducedFile, ...] = ()
    footer: str = ""


def render_html(report: Report) -> str:
    """The page. All texts are plain text and escaped; only data URIs are taken as pictures."""
    parts = [f"<h1>{escape(report.title)}</h1>", _paragraphs(report.intro, "intro")]
    if report.key_figures:
        parts.append(f'<dl class="keys">{"".join(map(_key_figure, report.key_figures))}</dl>')
    parts += [_section(section) for section in report.sections]
    if report.files:
        items = "".join(map(_file, report.files))
        parts.append(f'<section><h2>Files</h2><ul class="files">{items}</ul></section>')
    parts.append(f"<footer>{_paragraphs(report.footer)}</footer>" if report.footer else "")
    body = "\n".join(part for part in parts if part)
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="Content-Security-Policy" content="{_POLICY}">
<title>{escape(report.title)}</title>
<style>{STYLE}</style>
</head>
<body>
<main>
{body}
</main>
<dialog id="large" aria-label="Picture in full size"><img alt=""><p></p></dialog>
<script>{SCRIPT}</script>
</body>
</html>
"""


def image_data_uri(
    picture: UInt8[np.ndarray, "h w 3"] | UInt8[np.ndarray, "h w 4"] | UInt8[np.ndarray, "h w"],
    encoding: Literal["jpeg", "png", "webp"] = "jpeg",
    *,
    quality: int = 88,
    longest_side: int | None = None,
) -> str:
    """A picture as a data URI, shrunk where a side is longer than `longest_side`. JPEG takes no alpha."""
    image = _shrunk(Image.fromarray(np.ascontiguousarray(picture)), longest_side)
    data = io.BytesIO()
    if encoding == "png":
        image.save(data, format="PNG", optimize=True)
    elif encoding == "jpeg":
        # Full-resolution chroma: thin coloured contours smear without it.
        image.save(data, format="JPEG", quality=quality, subsampling=0)
    else:
        image.save(data, format="WEBP", quality=quality, method=4)
    return _data_uri(f"image/{encoding}", data.getvalue())


def svg_data_uri(svg: str) -> str:
    """A drawing as a data URI."""
    return _data_uri("image/svg+xml", svg.encode())


def animation_data_uri(
    frames: Sequence[UInt8[np.ndarray, "h w 3"]],
    *,
    frames_per_second: float = 15.0,
    quality: int = 75,
    longest_side: int | None = None,
) -> str:
    """An endlessly repeating animated WebP of frames of one size."""
    assert frames, "an animation needs a frame"
    images = [_shrunk(Image.fromarray(np.ascontiguousarray(frame)), longest_side) for frame in frames]
    data = io.BytesIO()
    images[0].save(
        data,
        format="WEBP",
        save_all=True,
        append_images=images[1:],
        duration=round(1000 / frames_per_second),
        loop=0,
        quality=quality,
        method=4,
    )
    return _data_uri("image/webp", data.getvalue())


def _shrunk(image: Image.Image, longest_side: int | None) -> Image.Image:
    scale = 1.0 if longest_side is None else longest_side / max(image.size)
    if scale >= 1:
        return image
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    return image.resize(size, Image.Resampling.LANCZOS)


def _data_uri(kind: str, data: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(data).decode('ascii')}"


def _paragraphs(text: str, css_class: str = "") -> str:
    attribute = f' class="{css_class}"' if css_class else ""
    return "".join(f"<p{attribute}>{escape(part.strip())}</p>" for part in text.split("\n\n") if part.strip())


def _key_figure(key: KeyFigure) -> str:
    note = f'<dd class="note">{escape(key.note)}</dd>' if key.note else ""
    return f"<div><dt>{escape(key.label)}</dt><dd>{escape(key.value)}</dd>{note}</div>"


def _section(section: Section) -> str:
    columns = ""
    if section.columns is not None:
        # On a phone an odd row is stacked, an even one goes two by two, so that rows stay together.
        narrow = 1 if section.columns % 2 else 2
        columns = f' style="--columns: {section.columns}; --narrow: {narrow}" data-columns'
    figures = "".join(map(_figure, section.figures))
    grid = f'<div class="grid"{columns}>{figures}</div>' if figures else ""
    tables = "".join(map(_table, section.tables))
    return f"<section><h2>{escape(section.title)}</h2>{_paragraphs(section.text)}{tables}{grid}</section>"


def _figure(figure: Figure) -> str:
    assert figure.source.startswith("data:image/"), figure.source[:40]
    alt = escape(figure.alt or figure.caption)
    caption = f"<figcaption>{escape(figure.caption)}</figcaption>" if figure.caption else ""
    image = f'<img src="{escape(figure.source)}" alt="{alt}">'
    return f'<figure><button type="button" aria-label="Enlarge: {alt}">{image}</button>{caption}</figure>'


def _table(table: Table) -> str:
    for row in (*table.rows, *([table.summary] if table.summary else [])):
        assert len(row) == len(table.header), (row, table.header)

    def line(row: tuple[str, ...]) -> str:
        first, *others = (escape(cell) for cell in row)
        return f'<tr><th scope="row">{first}</th>{"".join(f"<td>{cell}</td>" for cell in others)}</tr>'

    caption = f"<caption>{escape(table.caption)}</caption>" if table.caption else ""
    header = "".join(f'<th scope="col">{escape(cell)}</th>' for cell in table.header)
    foot = f"<tfoot>{line(table.summary)}</tfoot>" if table.summary else ""
    rows = "".join(map(line, table.rows))
    inner = f"<table>{caption}<thead><tr>{header}</tr></thead><tbody>{rows}</tbody>{foot}</table>"
    return f'<div class="table" tabindex="0">{inner}</div>'


def _file(file: ProducedFile) -> str:
    assert not file.path.startswith("/") and ":" not in file.path, file.path
    what = f" <span>{escape(file.what)}</span>" if file.what else ""
    return f'<li><a href="{quote(file.path)}">{escape(file.path)}</a>{what}</li>'
