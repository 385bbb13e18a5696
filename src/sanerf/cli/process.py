"""`sanerf process PHOTOS_OR_VIDEO --out SCENE`."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro

from sanerf.cli.console import CommonOptions, peak_memory_note, print_result, progress_bars
from sanerf.errors import UserError
from sanerf.peak_memory import peak_memory_gb


@dataclass(frozen=True)
class Process(CommonOptions):
    """Photographs or a video to a posed scene, by structure from motion (COLMAP's)."""

    goes_on = True

    source: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="PHOTOS_OR_VIDEO")] = field(kw_only=True)
    """folder of photographs of one place, or a video"""
    out: Path = field(kw_only=True)
    """scene folder to make, for `sanerf train`"""
    frames: int = 120
    """frames to take from a video, the sharpest of as many stretches"""

    def run(self) -> None:
        from sanerf.sfm.explain import explanation, reasons
        from sanerf.sfm.process import process

        if self.frames < 3:
            raise UserError(f"--frames should be 3 or more, not {self.frames}")
        with progress_bars() as progress:
            done = process(self.source, self.out, frames=self.frames, seed=self.seed, progress=progress)
        result = {
            "scene": str(self.out),
            "photos": len(done.photos),
            "registered": done.registered,
            "reprojection_error": round(done.reprojection_error, 3),
            "left_out": reasons(list(done.photos)),
            "peak_memory_gb": peak_memory_gb(),
        }
        lines = [
            explanation(list(done.photos)),
            f"scene: {self.out}; mean reprojection error {done.reprojection_error:.2f} px, {peak_memory_note()}",
        ]
        print_result(self, result, lines)
