"""`sanerf bench segmenter --data DIR`."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from sanerf.cli.console import CommonOptions, open_device, optional, peak_memory_gb, print_result, progress_bars, say
from sanerf.errors import UserError

if TYPE_CHECKING:
    from sanerf.evaluation.box_baselines import BoxMethod

SUITES = ("segmenter",)
BASELINES = ("grabcut", "u2net")


@dataclass(frozen=True)
class Bench(CommonOptions):
    """Score a 2D segmenter on pictures with true masks by simulated clicks and boxes, the standard protocol."""

    suite: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="SUITE")] = field(kw_only=True)
    """what to measure; there is segmenter so far"""
    data: Path = field(kw_only=True)
    """folder with images/ and masks/: masks/STEM.png, or masks/OBJECT/STEM.png"""
    segmenter: str = "mini"
    """mini; sam:PATH, sam-hq:PATH or sam2:PATH, with a checkpoint file, a folder, a hub name or a name of `sanerf
    weights`"""
    baselines: Annotated[str, tyro.conf.arg(metavar="grabcut,u2net", help_behavior_hint="(optional)")] = ""
    """methods to score beside it, from the tight box"""
    u2net: Annotated[Path | None, optional("FILE.onnx")] = None
    """the weights of U²-Net, for --baselines u2net"""
    out: Annotated[Path | None, optional("DIR")] = None
    """where to write report.html, bench.json and what is needed to go on after an interruption; by default nothing is
    written"""
    engine: Literal["local"] = "local"
    """where it runs, for scripts that say so; there is local alone so far"""

    @property
    def goes_on(self) -> bool:
        """Only what lies in --out can be gone on from."""
        return self.out is not None

    def run(self) -> None:
        from sanerf.data.masked_pictures import find_masked_pictures
        from sanerf.evaluation.segmenter_report import scores_lines
        from sanerf.evaluation.segmenter_suite import REPORT, run_segmenter_suite
        from sanerf.segmenter.load import load_segmenter

        if self.suite not in SUITES:
            raise UserError(f"there is no suite {self.suite!r} to bench; there is {', '.join(SUITES)}")
        found = find_masked_pictures(self.data)
        for count, what in (
            (found.without_mask, "pictures without a mask"),
            (found.masks_without_picture, "masks without a picture"),
        ):
            if count:
                say(f"note: {self.data} has {count} {what}, which are left out")
        methods = self._methods()
        device = open_device(self)
        segmenter = load_segmenter(self.segmenter, device)
        with progress_bars() as progress:
            scores = run_segmenter_suite(
                segmenter,
                found.pictures,
                methods=methods,
                device=device,
                out=self.out,
                progress=progress,
                peak_memory_gb=peak_memory_gb,
            )
        if self.out is not None:
            say(f"report: {self.out / REPORT}")
        print_result(self, scores, scores_lines(scores))

    def _methods(self) -> "list[BoxMethod]":
        from sanerf.evaluation.box_baselines import GrabCut, U2Net

        names = [name.strip() for name in self.baselines.split(",") if name.strip()]
        unknown = [name for name in names if name not in BASELINES]
        if unknown:
            raise UserError(f"--baselines knows {', '.join(BASELINES)}, not {unknown[0]!r}")
        if ("u2net" in names) != (self.u2net is not None):
            raise UserError("--baselines u2net and --u2net FILE.onnx go together")
        out: list[BoxMethod] = []
        for name in dict.fromkeys(names):
            if name == "grabcut":
                out.append(GrabCut())
            else:
                assert self.u2net is not None
                out.append(U2Net(self.u2net))
        return out
