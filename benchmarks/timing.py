"""Times of calls: medians, each call between two synchronisations with the device."""

import statistics
import time
from collections.abc import Callable

import torch

WARM_UP = 2
"""Calls before those that count."""


def alternating_medians(calls: dict[str, Callable[[], object]], device: torch.device, repeats: int) -> dict[str, float]:
    """The median seconds of each of several calls, which take turns, so that what disturbs one disturbs the others."""
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(WARM_UP + repeats):
        for name, call in calls.items():
            seconds[name].append(_seconds(call, device))
    return {name: statistics.median(values[WARM_UP:]) for name, values in seconds.items()}


def median_seconds(call: Callable[[], object], device: torch.device, repeats: int) -> float:
    """The median seconds of `repeats` calls."""
    return alternating_medians({"": call}, device, repeats)[""]


def best_seconds(call: Callable[[], object], device: torch.device, repeats: int) -> float:
    """The least of `repeats` calls: what the machine can do when nothing disturbs it."""
    return min([_seconds(call, device) for _ in range(WARM_UP + repeats)][WARM_UP:])


def _seconds(call: Callable[[], object], device: torch.device) -> float:
    _synchronise(device)
    began = time.perf_counter()
    call()
    _synchronise(device)
    return time.perf_counter() - began


def _synchronise(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
