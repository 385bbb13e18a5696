"""Why photographs found no place, in words."""

from dataclasses import dataclass

import numpy as np

from sanerf.data.sharpness import BLUR_SHARE

FEW_FEATURES = 200
FEW_MATCHES = 15
"""Verified matches that two photographs need to say anything about each other (COLMAP's own bound)."""
_NAMED = 6


@dataclass(frozen=True)
class Photo:
    """What is known of one photograph: its sharpness (`data.sharpness`), its features, the most verified matches that
    it has with any other photograph, and whether it was registered; zeros where the file cannot be read."""

    name: str
    sharpness: float
    features: int
    matches: int
    registered: bool
    readable: bool = True


def reasons(photos: list[Photo]) -> dict[str, list[str]]:
    """The photographs without a place by the most likely reason: "are blurred", ...

    Who its neighbours are is not known of a photograph without a place: all readable ones stand for them.
    """
    any_registered = any(photo.registered for photo in photos)
    typical = float(np.median([photo.sharpness for photo in photos if photo.readable] or [0.0]))
    out: dict[str, list[str]] = {}
    for photo in photos:
        if photo.registered:
            continue
        if not photo.readable:
            reason = "cannot be read"
        elif photo.sharpness < BLUR_SHARE * typical:
            reason = "are blurred"
        elif photo.features < FEW_FEATURES:
            reason = "show too little structure (plain, dark or overexposed)"
        elif photo.matches < FEW_MATCHES:
            reason = "share no features with the others"
        elif any_registered:
            reason = "overlap too little with those that were registered"
        else:
            reason = "overlap too little with the others, or the camera stood still"
        out.setdefault(reason, []).append(photo.name)
    return out


def explanation(photos: list[Photo]) -> str:
    """One sentence: how many photographs were registered, and which were not and why."""
    registered = sum(photo.registered for photo in photos)
    parts = [f"{registered} of {len(photos)} photos registered"]
    for reason, names in reasons(photos).items():
        listed = ", ".join(names[:_NAMED]) + (f" and {len(names) - _NAMED} more" if len(names) > _NAMED else "")
        these = f"these {len(names)}" if len(names) > 1 else "this one"
        parts.append(f"{these} {_for_one(reason) if len(names) == 1 else reason}: {listed}")
    return "; ".join(parts)


def _for_one(reason: str) -> str:
    first, rest = reason.split(" ", 1)
    singular = {"are": "is", "show": "shows", "share": "shares", "overlap": "overlaps"}
    return f"{singular.get(first, first)} {rest}"
