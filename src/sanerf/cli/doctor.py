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
        from sanerf.run.machine import machine_facts, machine_sentences

        facts = machine_facts()
        result: dict = {"machine": facts}
        lines = machine_sentences(facts)
        if self.scene is not None:
            report = check_scene(self.scene)
            result["scene"] = {"facts": report.facts, "problems": list(report.problems)}
            lines += ["", *report.sentences]
        print_result(self, result, lines)
