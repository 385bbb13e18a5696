"""The kinds of scene, by name."""

from __future__ import annotations

from exact_scenes.plan import Counts, Plan
from exact_scenes.plans import forward, messy, outdoor, room, tabletop, thin

_MAKERS = {
    "forward": forward.make,
    "messy": messy.make,
    "outdoor": outdoor.make,
    "room": room.make,
    "tabletop": tabletop.make,
    "thin": thin.make,
}
KINDS = tuple(sorted(_MAKERS))


def make_plan(kind: str, seed: int, counts: Counts) -> Plan:
    """The plan of a scene: the same for the same arguments on every machine."""
    return _MAKERS[kind](seed, counts)
