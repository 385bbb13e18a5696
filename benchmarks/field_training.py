"""Training by `sanerf train` in a process of its own, whose checkpoints are kept on the way."""

import json
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from linked_copy import linked_copy
from safetensors import safe_open

from sanerf.errors import UserError


@dataclass(frozen=True)
class Snapshots:
    """Keeps checkpoints of a training that goes on: each wanted time's first, under another name."""

    checkpoint: Path
    folder: Path
    seconds: tuple[float, ...]
    """the training times after which one is kept, rising"""

    def look(self) -> None:
        """Keep what lies there, if it is beyond the next wanted time."""
        kept = sorted(self.folder.glob("*.safetensors"))
        if len(kept) == len(self.seconds):
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        copy = self.folder / f"{len(kept):03d}.safetensors"
        try:
            linked_copy(self.checkpoint, copy)
        except FileNotFoundError:
            return
        if training_seconds(copy) < self.seconds[len(kept)]:
            copy.unlink()


def training_seconds(file: Path) -> float:
    """The training time that a checkpoint or a trained field has behind it."""
    with safe_open(file, framework="pt") as opened:
        return float(opened.metadata()["seconds"])


def train(command: list[str], snapshots: Snapshots) -> dict[str, Any]:
    """Run `sanerf train`, its progress on this terminal, and keep its checkpoints. What it printed as JSON.

    UserError where it fails.
    """
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        while child.poll() is None:
            snapshots.look()
            time.sleep(1.0)
        printed = child.stdout.read()
    if child.returncode != 0:
        raise UserError(f"training failed with exit code {child.returncode}: {' '.join(command)}")
    return json.loads(printed)
