"""`sanerf import-field SCENE --field PATH --out RUN`."""

import dataclasses
from pathlib import Path
from typing import Annotated

import tyro

from sanerf.cli.console import CommonOptions, open_device, optional, progress_bars
from sanerf.cli.opened import open_scene, print_run


@dataclasses.dataclass(frozen=True)
class ImportField(CommonOptions):
    """Make a run of a field that nerfstudio (nerfacto) or instant-ngp trained on a scene, in place of training one."""

    needs_less = "smaller pictures (a larger --downscale) need less"

    scene: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="SCENE")] = dataclasses.field(kw_only=True)
    """folder of the scene that the field was trained on"""
    field: Path = dataclasses.field(kw_only=True)
    """a nerfacto training (its folder, config.yml or .ckpt) or a snapshot of instant-ngp (.ingp, .msgpack)"""
    out: Annotated[Path, tyro.conf.arg(metavar="RUN")] = dataclasses.field(kw_only=True)
    """run folder to make"""
    downscale: int = 1
    """use pictures at 1/D of their size"""
    holdout: Annotated[str | None, optional("every:8|none|FILE")] = None
    """views kept for testing: every:8, none, or a file of names; by default the scene's own, else every:8"""

    def run(self) -> None:
        from sanerf.kernels.backend import kernels_for
        from sanerf.run.config import RunConfig
        from sanerf.run.import_run import import_run

        device = open_device(self)
        with progress_bars() as progress:
            run = import_run(
                open_scene(self.scene, holdout=self.holdout, downscale=self.downscale),
                self.field,
                config=RunConfig(seed=self.seed, downscale=self.downscale),
                out=self.out,
                kernels=kernels_for("auto", device),
                device=device,
                on_part=lambda done, total: progress("density grid", done, total),
            )
        print_run(self, run, "imported")
