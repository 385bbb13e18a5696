"""The kinds of scene, by name."""

from __future__ import annotations

from exact_scenes.plan import Counts, Plan
from exact_scenes.plans import outdoor, room

_MAKERS = {"outdoor": outdoor.make, "room": room.make}
KINDS = tuple(sorted(_MAKERS))


def make_plan(kind: str, seed: int, counts: Counts) -> Plan:
    """The plan of a scene: the same for the same arguments on every machine."""
    return _MAKERS[kind](seed, counts)
