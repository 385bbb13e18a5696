"""`sanerf doctor [SCENE]`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from sanerf.cli.console import CommonOptions, optional, print_result


@dataclass(frozen=True)
class Doctor(CommonOptions):
    """Say what this machine can do and, given a scene, what is wrong with the capture."""

    scene: Annotated[tyro.conf.Positional[Path | None], optional("[SCENE]")] = None
    """folder of a scene to look at"""

    def run(self) -> None:
        from sanerf.data.check import check_scene
        from sanerf.errors import UserError
        from sanerf.run.folder import open_run
        from sanerf.run.machine import machine_facts, machine_sentences

        if self.scene is not None and (self.scene / "run.json").is_file():
            of = open_run(self.scene).scene.root
            raise UserError(f"{self.scene} is a run folder, and expected is a scene; that of this run is {of}")
        facts = machine_facts()
        result: dict = {"machine": facts}
        lines = machine_sentences(facts)
        if self.scene is not None:
            report = check_scene(self.scene)
            result["scene"] = {"facts": report.facts, "problems": list(report.problems)}
            lines += ["", *report.sentences]
        print_result(self, result, lines)
