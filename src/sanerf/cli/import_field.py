"""`sanerf import-field SCENE --field PATH --out RUN`."""

import dataclasses
from pathlib import Path
from typing import Annotated

import tyro

from sanerf.cli.console import CommonOptions, open_device, peak_memory_gb, print_result, progress_bars, say
from sanerf.errors import UserError


@dataclasses.dataclass(frozen=True)
class ImportField(CommonOptions):
    """Make a run of a field that nerfstudio (nerfacto) or instant-ngp trained on a scene, in place of training one."""

    scene: tyro.conf.Positional[Path] = dataclasses.field(kw_only=True)
    """folder of the scene that the field was trained on"""
    field: Path = dataclasses.field(kw_only=True)
    """a nerfacto training (its folder, config.yml or .ckpt) or a snapshot of instant-ngp (.ingp, .msgpack)"""
    out: Annotated[Path, tyro.conf.arg(metavar="RUN")] = dataclasses.field(kw_only=True)
    """run folder to make"""
    downscale: int = 1
    """use pictures at 1/D of their size"""
    holdout: str | None = None
    """views kept for testing: every:8, none, or a file of names; by default the scene's own, else every:8"""

    def run(self) -> None:
        from sanerf.data.load import load_scene
        from sanerf.kernels.backend import kernels_for
        from sanerf.run.config import RunConfig
        from sanerf.run.import_run import import_run

        if self.downscale < 1:
            raise UserError(f"--downscale should be at least 1, not {self.downscale}")
        device = open_device(self)
        with progress_bars() as progress:
            scene = load_scene(self.scene, holdout=self.holdout)
            for warning in scene.warnings:
                say(f"note: {warning}")
            run = import_run(
                scene,
                self.field,
                config=RunConfig(seed=self.seed, downscale=self.downscale),
                out=self.out,
                kernels=kernels_for("auto", device),
                device=device,
                on_part=lambda done, total: progress("density grid", done, total),
            )
        memory = peak_memory_gb()
        result = {
            "run": str(run.path),
            "train_views": len(scene.train),
            "test_views": len(scene.test),
            "peak_memory_gb": round(memory, 2),
        }
        print_result(self, result, [f"imported: {run.path} (peak memory {memory:.1f} GB)"])
