"""`sanerf bench segmenter --data DIR`."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from sanerf.cli.console import CommonOptions, open_device, optional, peak_memory_gb, print_result, progress_bars, say
from sanerf.errors import UserError

if TYPE_CHECKING:
    import torch

    from sanerf.data.masked_pictures import MaskedPicture
    from sanerf.evaluation.box_baselines import BoxMethod
    from sanerf.segmenter.protocol import Segmenter

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
    """where it runs"""

    @property
    def goes_on(self) -> bool:
        """Only what lies in --out can be gone on from."""
        return self.out is not None

    def run(self) -> None:
        from contextlib import nullcontext

        from sanerf.data.masked_pictures import find_masked_pictures
        from sanerf.evaluation.segmenter_report import scores_lines
        from sanerf.locks import file_lock
        from sanerf.segmenter.load import load_segmenter

        if self.suite not in SUITES:
            raise UserError(f"there is no suite {self.suite!r} to bench; there is {', '.join(SUITES)}")
        if self.out is not None and self.out.exists() and not self.out.is_dir():
            raise UserError(f"cannot write {self.out}: it is a file, and a folder is to be written")
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
        lock = nullcontext() if self.out is None else file_lock(self.out / ".bench.lock", f"writing into {self.out}")
        with lock:
            scores = self._bench(segmenter, device, found.pictures, methods)
        print_result(self, scores, scores_lines(scores))

    def _bench(
        self,
        segmenter: "Segmenter",
        device: "torch.device",
        pictures: "Sequence[MaskedPicture]",
        methods: "Sequence[BoxMethod]",
    ) -> dict[str, Any]:
        """The figures; with --out they are written, too."""
        from sanerf.evaluation.box_baselines import bench_box_method
        from sanerf.evaluation.kept_lines import KeptLines
        from sanerf.evaluation.segmenter_bench import PROTOCOL_VERSION, bench_segmenter
        from sanerf.evaluation.segmenter_report import write_segmenter_report
        from sanerf.evaluation.segmenter_scores import box_scores_to_json, scores_to_json
        from sanerf.files import write_json

        kept = KeptLines(None if self.out is None else self.out / "answers.jsonl")
        with progress_bars() as progress:
            results = bench_segmenter(segmenter, pictures, device=device, kept=kept, progress=progress)
            beside = {m.name: bench_box_method(m, pictures, kept=kept, progress=progress) for m in methods}
        scores: dict[str, Any] = {
            "segmenter": segmenter.name,
            "fingerprint": segmenter.fingerprint,
            "protocol": PROTOCOL_VERSION,
            "device": device.type,
            **scores_to_json(results),
            "baselines": box_scores_to_json(beside),
            "peak_memory_gb": round(peak_memory_gb(), 2),
        }
        if self.out is not None:
            write_json(self.out / "bench.json", scores)
            footer = f"{segmenter.fingerprint}, protocol {PROTOCOL_VERSION}, {device.type}, {self.data}"
            write_segmenter_report(self.out / "report.html", scores, results, pictures, footer)
            say(f"report: {self.out / 'report.html'}")
        return scores

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
