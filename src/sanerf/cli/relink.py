"""`sanerf relink RUN SCENE`."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro

from sanerf.cli.console import CommonOptions, print_result


@dataclass(frozen=True)
class Relink(CommonOptions):
    """Tell a run where the folder of its scene is, after that was moved."""

    run_folder: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="RUN")] = field(kw_only=True)
    """run folder"""
    scene: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="SCENE")] = field(kw_only=True)
    """folder of the same scene at its new place: the same pictures under the same names, of the same sizes"""

    def run(self) -> None:
        from sanerf.run.relink import relink_run

        scene = relink_run(self.run_folder, self.scene).scene
        result = {"run": str(self.run_folder), "scene": str(scene.root), "views": len(scene.views)}
        print_result(self, result, [f"{self.run_folder} now takes its {len(scene.views)} pictures from {scene.root}"])
