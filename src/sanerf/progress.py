"""Who is told how far work has come."""

from collections.abc import Callable

OnPart = Callable[[int, int], None]
"""Told of one activity how much of it is done, and how much there is."""

Progress = Callable[[str, int, int], None]
"""Told what is being done, how much of it is done, and how much there is."""
