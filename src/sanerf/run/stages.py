"""What a `segment` call says of itself while it works: the seconds of its stages, and how far each has come."""

import time

from sanerf.progress import OnPart, Progress


class Stages:
    """The seconds of each stage so far, and who is told how far an activity has come."""

    def __init__(self, progress: Progress, *stages: str):
        self.seconds = dict.fromkeys(("encode", "decode", "sample", *stages, "assess"), 0.0)
        self._progress, self._last = progress, time.monotonic()

    def end(self, stage: str) -> None:
        """Add the time since the last end to a stage."""
        now = time.monotonic()
        self.seconds[stage] = self.seconds.get(stage, 0.0) + now - self._last
        self._last = now

    def listener(self, activity: str) -> OnPart:
        """Passes on how much of an activity is done, and how much there is."""
        return lambda done, total: self._progress(activity, done, total)
