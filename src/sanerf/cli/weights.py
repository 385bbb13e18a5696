"""`sanerf weights list|verify|pull|add [NAME] [FILE]`."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from sanerf.cli.console import CommonOptions, ProgressBars, optional, print_result, progress_bars
from sanerf.errors import UserError


@dataclass(frozen=True)
class Weights(CommonOptions):
    """Weights of SAM, SAM-HQ and SAM 2: list them, fetch them, check them, or point at files that you have."""

    action: Annotated[
        tyro.conf.Positional[Literal["list", "verify", "pull", "add"]], tyro.conf.arg(metavar="list|verify|pull|add")
    ] = "list"
    """list all weights; verify checksums; pull one from its authors' address; add a file of this machine"""
    weight: Annotated[tyro.conf.Positional[str | None], optional("NAME")] = None
    """which weight, such as sam:vit_b; verify without a name checks all that are here"""
    file: Annotated[tyro.conf.Positional[Path | None], optional("FILE")] = None
    """for add: the file"""

    @property
    def goes_on(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        return self.action == "pull"

    def run(self) -> None:
        if self.weight is None and self.action in ("pull", "add"):
            wanted = "NAME FILE" if self.action == "add" else "NAME"
            raise UserError(
                f"which weight? Say `sanerf weights {self.action} {wanted}`; `sanerf weights list` names them"
            )
        if self.action == "add" and self.file is None:
            raise UserError(f"which file? Say `sanerf weights add {self.weight} FILE`")
        if self.action != "add" and self.file is not None:
            raise UserError(f"`sanerf weights {self.action}` takes no file, but was given {self.file}")
        if self.action == "list":
            self._list()
            return
        with progress_bars() as progress:
            if self.action == "verify":
                result, lines = self._verify(progress)
            else:
                result, lines = self._obtain(progress)
        print_result(self, result, lines)

    def _list(self) -> None:
        from sanerf.segmenter.weights import WEIGHTS, find_weight, locate, weights_folder

        chosen = list(WEIGHTS.values()) if self.weight is None else [find_weight(self.weight)]
        entries, lines = [], []
        for weight in chosen:
            file = locate(weight)
            entries.append(
                {
                    "name": weight.name,
                    "megabytes": weight.megabytes,
                    "licence": weight.licence,
                    "address": weight.address,
                    "sha256": weight.sha256,
                    "file": str(file) if file else None,
                    "present": file is not None and file.is_file(),
                }
            )
            where = "not here" if file is None else str(file) if file.is_file() else f"gone from {file}"
            lines.append(f"{weight.name:16}{weight.megabytes:>6} MB  {weight.licence}  {where}")
            lines.append(f"{'':16}{weight.address}")
        folder = weights_folder()
        print_result(self, {"folder": str(folder), "weights": entries}, [*lines, f"pulled weights go to {folder}"])

    def _verify(self, progress: ProgressBars) -> tuple[dict, list[str]]:
        from sanerf.segmenter.weights import WEIGHTS, check, find_weight, locate

        chosen = list(WEIGHTS.values()) if self.weight is None else [find_weight(self.weight)]
        found = [(weight, file) for weight in chosen if (file := locate(weight)) is not None]
        if self.weight is not None and not found:
            raise UserError(f"{self.weight} is not on this machine; `sanerf weights pull {self.weight}` fetches it")
        problems = []
        for weight, file in found:
            try:
                check(weight, file, on_progress=_in_megabytes(progress, weight.name))
            except UserError as error:
                problems.append(str(error))
        if problems:
            raise UserError("; and ".join(problems))
        lines = [f"{weight.name}: {file} has the authors' SHA-256" for weight, file in found]
        verified = {weight.name: str(file) for weight, file in found}
        return {"verified": verified}, lines or ["no weights are on this machine"]

    def _obtain(self, progress: ProgressBars) -> tuple[dict, list[str]]:
        from sanerf.segmenter.download import pull
        from sanerf.segmenter.weights import find_weight, remember, weights_folder

        assert self.weight is not None
        weight = find_weight(self.weight)
        tell = _in_megabytes(progress, weight.name)
        if self.action == "pull":
            path = pull(weight, weights_folder(), on_progress=tell)
        else:
            assert self.file is not None
            path = remember(weight, self.file, on_progress=tell)
        lines = [f"{weight.name}: {path}", f"use it as --segmenter {weight.name}"]
        return {"name": weight.name, "file": str(path)}, lines


def _in_megabytes(progress: ProgressBars, name: str) -> Callable[[int, int], None]:
    def on_progress(done: int, total: int) -> None:
        whole = total // 10**6 + 1
        progress(name, whole if done == total else min(done // 10**6, whole - 1), whole, "MB")

    return on_progress
