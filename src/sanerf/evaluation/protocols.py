"""Protocols of published evaluations as cards: which scenes, prompts, views, rules and metrics, and what is left open.

A card is a JSON file of the package (`assets/protocols/ID.json`), read into frozen dataclasses; an unknown key is an
error. Whoever has the data lays it out as DIR/ID/SCENE, and `sanerf bench methods --data DIR` follows the card.
docs/protocols.md is written from the cards.
"""

import json
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from typing import Literal

from sanerf.errors import UserError
from sanerf.run.config import from_json

Averaged = Literal["objects", "views"]
"""Over what figures are means: "objects" pools the counts of an object's views before dividing (SANeRF-HQ, section
4.2), then averages over objects; "views" averages over an object's views first."""


@dataclass(frozen=True)
class SceneOfCard:
    """A scene by the name of its folder; `objects` are those scored, none where the publication does not list them."""

    name: str
    objects: tuple[str, ...] = ()
    note: str = ""


@dataclass(frozen=True)
class OpenPoint:
    """What the publication does not say, and what is done here."""

    question: str
    choice: str


@dataclass(frozen=True)
class PublishedFigure:
    """What a publication reports for a method on this data, in per cent."""

    acc: float
    miou: float


@dataclass(frozen=True)
class Protocol:
    """One card. `scenes_listed` is false where the publication does not name its scenes: then any that a user lays out
    count, and `scenes` are those of the data set. `holdout` is as of `sanerf train`, for scenes without a
    `test_views.txt`."""

    id: str
    title: str
    source: str
    scenes: tuple[SceneOfCard, ...]
    scenes_listed: bool
    prompts: str
    views: str
    visibility: str
    metrics: str
    averaged: Averaged
    data: str
    licence: str
    layout: str
    open: tuple[OpenPoint, ...]
    holdout: str | None = None
    published: dict[str, PublishedFigure] = field(default_factory=dict)
    published_in: str = ""


def read_protocol(text: str) -> Protocol:
    """The card of a JSON text. UserError where a key is unknown or missing, or a value of the wrong kind."""
    try:
        content = json.loads(text)
    except ValueError as error:
        raise UserError(f"a protocol's card is no JSON: {error}") from error
    return from_json(Protocol, content)


@cache
def protocols() -> dict[str, Protocol]:
    """All cards of the package by their ids: the paper's five groups in the order of its Table 1, then the others."""
    folder = files("sanerf") / "assets" / "protocols"
    cards = [
        read_protocol(file.read_text(encoding="utf-8")) for file in folder.iterdir() if file.name.endswith(".json")
    ]
    listed = {card.id: card for card in cards}
    return {name: listed.pop(name) for name in ORDER if name in listed} | dict(sorted(listed.items()))


ORDER = ("mip-nerf-360", "lerf", "llff", "3d-front", "others", "nvos", "spin-nerf", "lerf-mask")
