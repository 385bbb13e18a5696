"""`sanerf demo`: the whole job on the bundled scene."""

import time
from dataclasses import dataclass, replace
from importlib.resources import as_file, files
from pathlib import Path

from sanerf.cli.console import (
    CommonOptions,
    open_device,
    peak_memory_note,
    print_result,
    progress_bars,
    say,
)
from sanerf.peak_memory import peak_memory_gb

WRITER = "demo"
"""The name in the folder that it writes, by which a later call knows it."""
FAST_STEPS = 500


@dataclass(frozen=True)
class Demo(CommonOptions):
    """Train, segment, score and export the bundled scene: a table of 13 objects, five of them clicked."""

    goes_on = True

    out: Path = Path("demo")
    """folder for the run, the exported objects and report.html: a new one, or one that `demo` began"""
    fast: bool = False
    """train a fifth as long: rougher, but everything is there"""

    def run(self) -> None:
        with as_file(files("sanerf") / "assets" / "table_scene") as folder:
            self._run(folder)

    def _run(self, folder: Path) -> None:
        from sanerf.data.load import load_scene
        from sanerf.evaluation.demo_report import write_demo_report
        from sanerf.evaluation.run_evaluation import (
            DecoderAlone,
            ScoredView,
            TrueMasks,
            evaluate_run,
            scores_to_json,
        )
        from sanerf.evaluation.run_report import ReportViews, scores_table
        from sanerf.export.from_run import ObjectSource, export_mesh, export_points, object_surfaces
        from sanerf.export.mesh_files import write_mesh
        from sanerf.export.points import write_points
        from sanerf.files import open_own_folder
        from sanerf.kernels.backend import kernels_for
        from sanerf.prompts.file import read_prompts
        from sanerf.run.config import RunConfig
        from sanerf.run.decoding import MaskSource, lift_prompts, open_decoder
        from sanerf.run.folder import load_renderer
        from sanerf.run.segment_run import segment_run
        from sanerf.run.train_run import train_run
        from sanerf.run.views import run_cameras

        began = time.monotonic()
        device = open_device(self)
        config = RunConfig(seed=self.seed)
        if self.fast:
            config = replace(config, training=replace(config.training, steps=FAST_STEPS))
        open_own_folder(self.out, WRITER)
        with progress_bars() as progress:
            kernels = kernels_for("auto", device)
            scene = load_scene(folder)
            trained = 0.0

            def on_step(step: int, steps: int, psnr: float, seconds: float) -> None:
                nonlocal trained
                trained = seconds
                progress("train", step, steps, f"PSNR {psnr:.1f} dB")

            run = train_run(scene, config, self.out / "run", kernels=kernels, on_step=on_step)
            renderer = load_renderer(run, kernels, device)
            prompts = read_prompts(folder / "prompts.json")
            segmentation, stages = segment_run(
                run, renderer, prompts, MaskSource("mini"), seed=self.seed, progress=progress
            )

            decoder = open_decoder(run, renderer, "mini")
            alone = DecoderAlone(
                decoder.segmenter, lift_prompts(prompts, decoder, cameras=run_cameras(run), renderer=renderer)
            )
            pictures = ReportViews(most=4)

            def on_view(scored: ScoredView) -> None:
                pictures.add(run, scored)
                progress("evaluate", pictures.seen, len(scene.test))

            scores = evaluate_run(
                run,
                renderer,
                segmentations=[segmentation],
                views=scene.test,
                true_masks=TrueMasks(folder / "masks", segmentation.names),
                alone=alone,
                on_view=on_view,
            )
            surfaces = object_surfaces(
                run, renderer, segmentation=segmentation, names=segmentation.names, progress=progress
            )
            sources = {name: ObjectSource(run, renderer, segmentation, name) for name in segmentation.names}
            for done, (name, surface) in enumerate(surfaces.items(), start=1):
                write_points(self.out / "objects" / f"{name}.ply", export_points(sources[name], surface))
                write_mesh(self.out / "objects" / f"{name}.glb", export_mesh(sources[name], surface, resolution=128))
                progress("export", done, len(surfaces))
            seconds = {"train": trained, **stages, "total": time.monotonic() - began}
            report = self.out / "report.html"
            write_demo_report(
                report, prompts, sources=sources, surfaces=surfaces, scores=scores, pictures=pictures, seconds=seconds
            )
        seconds["total"] = time.monotonic() - began
        result = {
            **scores_to_json(scores),
            "seconds": {stage: round(value, 1) for stage, value in seconds.items()},
            "peak_memory_gb": peak_memory_gb(),
        }
        stages_text = ", ".join(f"{stage} {value:.0f} s" for stage, value in seconds.items())
        say(f"{stages_text}; {peak_memory_note()}")
        lines = [*scores_table(scores), "", f"objects: {self.out / 'objects'}", f"report:  {report}"]
        print_result(self, result, lines)
