"""Lines over two axes as an SVG file that needs nothing else."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from sanerf.render.pictures import OKABE_ITO

WIDTH, HEIGHT = 760, 420
LEFT, RIGHT, TOP, BOTTOM = 60, 190, 20, 50


@dataclass(frozen=True)
class Line:
    """Points (x, y) from left to right, joined; with dots at each where they are few and measured apart."""

    name: str
    points: tuple[tuple[float, float], ...]
    colour: int
    """place in the row of colours: lines of one colour belong together, the first of them names it"""
    dots: bool = False


def line_chart(lines: Sequence[Line], x_label: str, y_label: str) -> str:
    """The chart. Axes end at round numbers; x begins at 0."""
    points = [point for line in lines for point in line.points]
    assert points, "a chart needs a point"
    x_ticks = ticks(0.0, max(x for x, _ in points))
    y_ticks = ticks(min(y for _, y in points), max(y for _, y in points))

    def across(x: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * (x - x_ticks[0]) / (x_ticks[-1] - x_ticks[0])

    def down(y: float) -> float:
        return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * (y - y_ticks[0]) / (y_ticks[-1] - y_ticks[0])

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" '
        'font-size="13" fill="#333">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>',
    ]
    for y in y_ticks:
        parts.append(f'<path d="M{LEFT} {down(y):.1f}H{WIDTH - RIGHT}" stroke="#ddd"/>')
        parts.append(f'<text x="{LEFT - 8}" y="{down(y) + 4:.1f}" text-anchor="end">{y:g}</text>')
    for x in x_ticks:
        parts.append(f'<text x="{across(x):.1f}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle">{x:g}</text>')
    middle, centre = (LEFT + WIDTH - RIGHT) / 2, (TOP + HEIGHT - BOTTOM) / 2
    parts.append(f'<text x="{middle:g}" y="{HEIGHT - 12}" text-anchor="middle">{escape(x_label)}</text>')
    turned = f'transform="rotate(-90 16 {centre:g})"'
    parts.append(f'<text x="16" y="{centre:g}" text-anchor="middle" {turned}>{escape(y_label)}</text>')
    colours = list(OKABE_ITO.values())
    named: dict[int, str] = {}
    for line in lines:
        stroke = "rgb({},{},{})".format(*colours[line.colour % len(colours)])
        place = [f"{across(x):.1f} {down(y):.1f}" for x, y in line.points]
        width = 2.4 if line.dots else 1.2
        joined = f'd="M{"L".join(place)}" fill="none" stroke="{stroke}" stroke-width="{width}"'
        parts.append(f"<path {joined}><title>{escape(line.name)}</title></path>")
        if line.dots:
            spots = (point.split() for point in place)
            parts += [f'<circle cx="{x}" cy="{y}" r="3.5" fill="{stroke}"/>' for x, y in spots]
        if line.colour not in named:
            y = TOP + 10 + 20 * len(named)
            named[line.colour] = line.name
            parts.append(f'<path d="M{WIDTH - RIGHT + 12} {y}h18" stroke="{stroke}" stroke-width="3"/>')
            parts.append(f'<text x="{WIDTH - RIGHT + 36}" y="{y + 4}">{escape(line.name)}</text>')
    return "\n".join([*parts, "</svg>"]) + "\n"


def ticks(low: float, high: float) -> list[float]:
    """Five or so round numbers, from at most `low` to at least `high`."""
    span = max(high - low, 1e-6)
    power = 10.0 ** math.floor(math.log10(span / 4))
    step = next(power * factor for factor in (1, 2, 5, 10) if span / (power * factor) <= 5)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(step * index, 10) for index in range(first, max(last, first + 1) + 1)]
