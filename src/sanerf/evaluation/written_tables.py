"""Tables of words as Markdown, LaTeX and CSV, and aligned for a terminal; the first row is the header."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path

from sanerf.files import write_text

Cells = tuple[str, ...]


def markdown_table(rows: Sequence[Cells]) -> str:
    """The table as Markdown."""
    ruled = [rows[0], ("---",) * len(rows[0]), *rows[1:]]
    return "".join("| " + " | ".join(text.replace("|", "\\|") for text in row) + " |\n" for row in ruled)


def latex_table(rows: Sequence[Cells], *, words: int, parts: int) -> str:
    """A tabular that needs no package. The first `words` columns are words, in the others a ± becomes a symbol; where
    one of the first `parts` cells changes there is a rule."""
    columns = "l" * words + "r" * (len(rows[0]) - words)
    text = [rf"\begin{{tabular}}{{{columns}}}", r"\hline", " & ".join(map(_escaped, rows[0])) + r" \\", r"\hline"]
    for before, row in zip([None, *rows[1:]], rows[1:], strict=False):
        if before is not None and before[:parts] != row[:parts]:
            text.append(r"\hline")
        figures = [cell.replace("±", r"$\pm$") for cell in row[words:]]
        text.append(" & ".join([*map(_escaped, row[:words]), *figures]) + r" \\")
    return "\n".join([*text, r"\hline", r"\end{tabular}"]) + "\n"


def comma_separated_table(rows: Sequence[Sequence[object]]) -> str:
    """The table as CSV, lines ending as on Unix."""
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows(rows)
    return out.getvalue()


def write_table(path: Path, *, markdown: str, latex: str, comma_separated: str) -> None:
    """Write a table in its three forms: `path`.md, `path`.tex and `path`.csv."""
    for ending, text in (("md", markdown), ("tex", latex), ("csv", comma_separated)):
        write_text(path.with_name(f"{path.name}.{ending}"), text)


def aligned_lines(rows: Sequence[Cells]) -> list[str]:
    """The table's lines for a terminal."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return ["  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def _escaped(text: str) -> str:
    marks = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
    marks |= {mark: "\\" + mark for mark in "&%$#_{}"}
    return "".join(marks.get(character, character) for character in text)
