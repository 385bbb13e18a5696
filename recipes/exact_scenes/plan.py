"""What a scene is, in numbers alone: its things, its cameras, what is clicked. No Blender needed.

A plan is a function of (kind, seed, numbers of views, width); Blender only draws what the plan says. The world is in
metres, z up. An object's index (its place in `Plan.things`, from 1) is the label of all its parts; what is no object
has label 0.
"""

from __future__ import annotations

import colorsys
from dataclasses import dataclass, field

import numpy as np

from blender_parts.views import Lens, View

Colour = tuple[float, float, float]


@dataclass(frozen=True)
class Thing:
    """One object: its name, what it is, the maker that builds it with `options`, and its place."""

    name: str
    description: str
    maker: str
    position: tuple[float, float, float]
    yaw_degrees: float = 0.0
    tilt_degrees: float = 0.0
    size: float = 1.0
    options: dict = field(default_factory=dict)


@dataclass(frozen=True)
class Plan:
    """A whole scene; `surroundings` are numbers and colours that only the kind's own stage reads."""

    kind: str
    seed: int
    lens: Lens
    views: list[View]
    things: tuple[Thing, ...]
    clicked: tuple[str, ...]
    surroundings: dict

    def __post_init__(self) -> None:
        names = [thing.name for thing in self.things]
        assert len(set(names)) == len(names) <= 255, f"names are given twice or do not fit 8 bits: {names}"
        assert set(self.clicked) <= set(names), f"no such things: {set(self.clicked) - set(names)}"


@dataclass(frozen=True)
class Counts:
    """How many views a scene has and how large they are; pictures have the aspect 4:3."""

    train: int
    test: int
    width: int

    def lens(self, horizontal_fov_degrees: float) -> Lens:
        return Lens(self.width, round(0.75 * self.width), horizontal_fov_degrees)


def generator(kind: str, seed: int) -> np.random.Generator:
    """The random numbers of a plan: a stream of its own for each kind and seed."""
    return np.random.default_rng([*kind.encode(), seed])


def colour(rng: np.random.Generator, hue: float, saturation: float = 0.75, value: float = 0.45) -> Colour:
    """A linear RGB colour near a hue (0 to 1), its parts off by up to an eighth."""
    shift = rng.uniform(-1.0, 1.0, 3) * (0.04, 0.1, 0.06)
    red, green, blue = colorsys.hsv_to_rgb(
        (hue + shift[0]) % 1.0, float(np.clip(saturation + shift[1], 0, 1)), float(np.clip(value + shift[2], 0.02, 0.9))
    )
    return (red, green, blue)


def brown(rng: np.random.Generator, value: float = 0.36) -> Colour:
    """The light tone of some wood."""
    return colour(rng, 0.075, 0.65, value)
