"""Axes end at round numbers around the data, points lie where they belong, and a chart is well-formed XML."""

from itertools import pairwise
from xml.etree import ElementTree

from hypothesis import given
from hypothesis import strategies as st

from sanerf.evaluation.line_chart import BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH, Line, line_chart, ticks

SVG = "{http://www.w3.org/2000/svg}"


def test_ticks_are_round():
    assert ticks(0.0, 4.8) == [0, 1, 2, 3, 4, 5]
    assert ticks(13.2, 29.6) == [10, 15, 20, 25, 30]
    assert ticks(0.0, 0.05) == [0, 0.01, 0.02, 0.03, 0.04, 0.05]


@given(low=st.floats(-50, 50), span=st.floats(0, 100))
def test_ticks_surround_the_data_with_few_even_steps(low, span):
    found = ticks(low, low + span)
    assert found[0] <= low + 1e-6 and found[-1] >= low + span - 1e-6
    assert 2 <= len(found) <= 8
    steps = [b - a for a, b in pairwise(found)]
    assert min(steps) > 0 and max(steps) - min(steps) < 1e-9 + 1e-6 * max(steps)


def test_points_lie_between_their_ticks_and_names_are_escaped():
    lines = [
        Line("fox & fern", ((0.0, 10.0), (5.0, 30.0)), 0, dots=True),
        Line("fox & fern", ((0.0, 20.0), (2.5, 20.0)), 0),
        Line("cape", ((1.0, 15.0),), 1),
    ]
    root = ElementTree.fromstring(line_chart(lines, "minutes", "dB <held out>"))
    circles = [(float(dot.get("cx", 0)), float(dot.get("cy", 0))) for dot in root.iter(f"{SVG}circle")]
    assert circles == [(LEFT, HEIGHT - BOTTOM), (WIDTH - RIGHT, TOP)]
    curves = [path.get("d") for path in root.iter(f"{SVG}path") if path.find(f"{SVG}title") is not None]
    middle = (TOP + HEIGHT - BOTTOM) / 2
    assert curves[1] == f"M{LEFT}.0 {middle:.1f}L{(LEFT + WIDTH - RIGHT) / 2:.1f} {middle:.1f}"
    texts = [text.text for text in root.iter(f"{SVG}text")]
    # A name stands beside its colour once.
    assert texts.count("fox & fern") == 1 and texts.count("cape") == 1 and "dB <held out>" in texts
