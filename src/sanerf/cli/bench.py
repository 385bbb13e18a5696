"""`sanerf bench SUITE`: segmenter, aggregator, clicks, methods and protocols."""

from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from sanerf.cli.console import CommonOptions, open_device, optional, print_result, progress_bars, say
from sanerf.errors import UserError
from sanerf.evaluation.engines import EngineName
from sanerf.peak_memory import peak_memory_gb

if TYPE_CHECKING:
    from sanerf.evaluation.aggregator_cases import Case
    from sanerf.evaluation.box_baselines import BoxMethod
    from sanerf.evaluation.methods_scenes import BenchScene, FoundScene

BASELINES = ("grabcut", "u2net")
_OF_RUNS = ("out", "masks", "objects", "seeds")
_USED = {
    "segmenter": ("data", "segmenter", "baselines", "u2net", "out"),
    "aggregator": (*_OF_RUNS, "arms", "noise"),
    "clicks": (*_OF_RUNS, "segmenter", "clickers", "every"),
    "methods": (*_OF_RUNS, "data", "segmenter", "methods", "prompts", "steps", "engine", "workers"),
    "protocols": ("data", "out"),
}
"""The options of each suite, beside the runs and those of every command."""


@dataclass(frozen=True)
class Bench(CommonOptions):
    """Score a 2D segmenter on pictures with true masks, or, on trained runs, the mask aggregator, part by part, what
    clicks bring in 3D, or methods side by side; or list the protocols of published evaluations."""

    suite: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="SUITE")] = field(kw_only=True)
    """what to measure: segmenter (simulated clicks and boxes, the standard protocol), aggregator (exact masks, or the
    same spoilt by noise, lifted from training views and scored in held-out ones), clicks (simulated users click in
    training views until the masks in all of them are good) or methods (the same prompts to several methods, scored in
    held-out views); protocols lists published evaluations and what of them can be run"""
    runs: Annotated[tyro.conf.Positional[tuple[Path, ...]], tyro.conf.arg(metavar="RUN")] = field(
        default=(), kw_only=True
    )
    """trained run folders, for aggregator, clicks and methods; they are not written to"""
    data: Annotated[Path | None, optional("DIR")] = None
    """for segmenter: folder with images/ and masks/: masks/STEM.png, or masks/OBJECT/STEM.png; for methods and
    protocols: folder of scenes with prompts.json and masks/, or of groups of them (docs/methods.md)"""
    segmenter: str = "mini"
    """for segmenter, clicks and methods: mini; sam:PATH, sam-hq:PATH or sam2:PATH, with a checkpoint file, a folder, a
    hub name or a name of `sanerf weights`"""
    baselines: Annotated[str, tyro.conf.arg(metavar="grabcut,u2net", help_behavior_hint="(optional)")] = ""
    """methods to score beside it, from the tight box"""
    u2net: Annotated[Path | None, optional("FILE.onnx")] = None
    """the weights of U²-Net, for --baselines u2net"""
    out: Annotated[Path | None, optional("DIR")] = None
    """where to write report.html, the figures and what is needed to go on after an interruption; by default segmenter
    writes nothing, the others need it"""
    masks: Annotated[Path | None, optional("DIR")] = None
    """for aggregator, clicks and methods: folder of exact masks, DIR/NAME/STEM.png; by default masks/ in the run's
    scene"""
    objects: Annotated[str, tyro.conf.arg(metavar="NAME,NAME", help_behavior_hint="(optional)")] = ""
    """for aggregator: the objects to lift together; for clicks: those to click, each alone; for methods: those of the
    prompts to ask for; by default all that there are"""
    arms: Annotated[str, tyro.conf.arg(metavar="NAME,NAME")] = "usual"
    """for aggregator: the settings to compare (docs/bench.md lists them), all of them, or usual"""
    seeds: Annotated[str | None, optional("N,N")] = None
    """for aggregator: seeds of the noise and of the aggregator; for clicks: of the random clicker; by default 0,1,2;
    for methods: of what they leave to chance, by default 0"""
    noise: Literal["none", "noisy", "both"] = "both"
    """for aggregator: lift exact masks, noisy ones, or both"""
    clickers: Annotated[str, tyro.conf.arg(metavar="NAME,NAME")] = "robot,suggested,random"
    """for clicks: the simulated users (docs/bench.md)"""
    every: int = 1
    """for clicks: every so many training views take part, from the first"""
    methods: Annotated[str, tyro.conf.arg(metavar="NAME,NAME")] = "sanerf,sanerf-instant,sam"
    """for methods: those to compare (docs/methods.md), the first of them the one whose worst views are shown; masks:DIR
    for masks of another program, DIR/SCENE/NAME/STEM.png"""
    prompts: Annotated[Path | None, optional("PROMPTS.json")] = None
    """for methods of one scene: its prompts; by default prompts.json in the scene"""
    steps: int = 3000
    """for methods: training steps of the scenes in --data, whose fields are kept in --out"""
    engine: EngineName = "local"
    """where jobs are done: here, one after the other, or, for methods, by Ray's workers (docs/methods.md)"""
    workers: int = 2
    """for methods with --engine ray: how many jobs at once; they share the cores"""

    @property
    def goes_on(self) -> bool:
        """Only what lies in --out can be gone on from."""
        return self.out is not None

    def run(self) -> None:
        if self.suite not in _USED:
            raise UserError(f"there is no suite {self.suite!r} to bench; there is {', '.join(_USED)}")
        self._refuse_options_of_others()
        if self.suite == "protocols":
            self._list_protocols()
        elif self.suite == "methods":
            self._run_methods()
        elif self.suite == "aggregator":
            self._run_aggregator()
        elif self.suite == "clicks":
            self._run_clicks()
        else:
            self._run_segmenter()

    def _refuse_options_of_others(self) -> None:
        own = ("suite", "runs", *(option.name for option in fields(CommonOptions)), *_USED[self.suite])
        for option in fields(self):
            if option.name not in own and getattr(self, option.name) != option.default:
                users = ", ".join(suite for suite, used in _USED.items() if option.name in used)
                raise UserError(f"bench {self.suite} has no use for --{option.name}, which is for {users}")

    def _run_aggregator(self) -> None:
        from sanerf.evaluation.aggregator_arms import ARMS, USUAL, chosen_arms
        from sanerf.evaluation.aggregator_cases import Noise
        from sanerf.evaluation.aggregator_suite import REPORT, run_aggregator_suite

        out = self._out_of_runs()
        asked = {"usual": list(USUAL), "all": list(ARMS)}.get(self.arms) or _listed(self.arms)
        noises: list[Noise] = ["none", "noisy"] if self.noise == "both" else [self.noise]
        arms, seeds = chosen_arms(asked), self._seeds()
        with progress_bars() as progress:
            figures, lines = run_aggregator_suite(
                self._cases(photographs=False), arms=arms, noises=noises, seeds=seeds, out=out, progress=progress
            )
        say(f"report: {out / REPORT}")
        print_result(self, {**figures, "peak_memory_gb": peak_memory_gb()}, lines)

    def _run_clicks(self) -> None:
        from sanerf.evaluation.clicks_suite import REPORT, run_clicks_suite
        from sanerf.evaluation.clicks_users import chosen_clickers
        from sanerf.segmenter.load import load_segmenter

        out = self._out_of_runs()
        if self.every < 1:
            raise UserError(f"--every should be at least 1, not {self.every}")
        clickers, seeds = chosen_clickers(_listed(self.clickers)), self._seeds()
        cases = self._cases(photographs=True)
        segmenter = load_segmenter(self.segmenter, open_device(self))
        with progress_bars() as progress:
            figures, lines = run_clicks_suite(
                cases, segmenter, clickers=clickers, seeds=seeds, every=self.every, out=out, progress=progress
            )
        say(f"report: {out / REPORT}")
        print_result(self, {**figures, "peak_memory_gb": peak_memory_gb()}, lines)

    def _run_methods(self) -> None:
        from sanerf.evaluation.engines import open_engine
        from sanerf.evaluation.methods import check_given_masks, chosen_methods
        from sanerf.evaluation.methods_jobs import BenchSetup
        from sanerf.evaluation.methods_scenes import check_labels
        from sanerf.evaluation.methods_suite import REPORT, WRITER, TrainScene, run_methods_suite, train_scenes
        from sanerf.files import open_own_folder
        from sanerf.segmenter.load import check_segmenter

        if self.out is None or not (self.runs or self.data):
            raise UserError(
                "bench methods needs --out and scenes: trained runs, or --data with scenes to train: "
                "sanerf bench methods RUN --out DIR"
            )
        if self.steps < 1:
            raise UserError(f"--steps should be at least 1, not {self.steps}")
        if self.data is None and self.steps != type(self).steps:
            raise UserError("--steps are for training the scenes of --data; trained runs stay as they are")
        if self.workers < 1:
            raise UserError(f"--workers should be at least 1, not {self.workers}")
        if self.engine == "local" and self.workers != type(self).workers:
            raise UserError("--workers are those of --engine ray; ask for both")
        methods, seeds, device = chosen_methods(_listed(self.methods)), self._seeds(), open_device(self).type
        if any(method.container is not None for method in methods.values()):
            check_segmenter(self.segmenter)
        opened = open_engine(self.engine, self.workers, device)
        # All that is wrong with scenes, before the first is trained.
        scenes, found = self._scenes_of_runs(), self._scenes_of_data()
        labels = [one.label for one in (*scenes, *found)]
        check_labels(labels)
        check_given_masks(methods, labels)
        open_own_folder(self.out, WRITER)
        bench = BenchSetup(self.segmenter, device, self.out)
        with opened as engine, progress_bars() as progress:
            scenes += train_scenes(found, TrainScene(self.out, self.steps, self.seed, device), engine, progress)
            figures, lines = run_methods_suite(
                scenes, methods=methods, seeds=seeds, bench=bench, engine=engine, progress=progress
            )
        for failure in figures["failed"]:
            say(f"note: {failure['method']} failed in {failure['scene']}, seed {failure['seed']}: {failure['why']}")
        say(f"report: {self.out / REPORT}")
        print_result(self, {**figures, "peak_memory_gb": bench.memory.in_all_gb()}, lines)

    def _scenes_of_runs(self) -> "list[BenchScene]":
        from sanerf.evaluation.methods_scenes import UNGROUPED, BenchScene, found_scene
        from sanerf.run.folder import open_run
        from sanerf.run.relink import check_photographs

        opened = [open_run(path) for path in self._different_runs()]
        if self.prompts is not None and (len(opened) != 1 or self.data is not None):
            raise UserError("--prompts are of one scene; with several, each has its own prompts.json")
        if self.masks is not None and self.data is not None:
            raise UserError("--masks are of runs; the scenes of --data have masks/ of their own")
        labels = [run.scene.root.resolve().name for run in opened]
        if len(set(labels)) < len(labels):
            labels = [run.path.resolve().name for run in opened]
        scenes, objects = [], _listed(self.objects)
        for run, label in zip(opened, labels, strict=True):
            check_photographs(run)
            asked = found_scene(run.scene, label, UNGROUPED, prompts=self.prompts, masks=self.masks, objects=objects)
            scenes.append(BenchScene.of(asked, run))
        return scenes

    def _scenes_of_data(self) -> "list[FoundScene]":
        """The scenes of --data."""
        from sanerf.evaluation.methods_scenes import find_scenes, found_scene

        if self.data is None:
            return []
        folders, notes = find_scenes(self.data)
        for note in notes:
            say(f"note: {note}, so it is left out")
        objects = _listed(self.objects)
        return [
            found_scene(one.load(), one.label, one.group, prompts=None, masks=None, objects=objects) for one in folders
        ]

    def _list_protocols(self) -> None:
        from sanerf.evaluation.protocol_state import protocol_state, state_lines, state_to_json
        from sanerf.evaluation.protocols import protocols

        if self.runs:
            raise UserError(f"bench protocols takes no runs, as {self.runs[0]}; it looks at the scenes of --data")
        if self.data is not None and not self.data.is_dir():
            raise UserError(f"there is no folder {self.data}")
        cards = protocols()
        states = {name: None if self.data is None else protocol_state(card, self.data) for name, card in cards.items()}
        lines = [line for name, card in cards.items() for line in state_lines(card, states[name])]
        print_result(self, {name: state_to_json(card, states[name]) for name, card in cards.items()}, lines)

    def _different_runs(self) -> list[Path]:
        """The run folders, each once, however its path is written."""
        different: dict[Path, Path] = {}
        for path in self.runs:
            different.setdefault(path.resolve(), path)
        return list(different.values())

    def _out_of_runs(self) -> Path:
        """`--out`, which the suites of runs need."""
        if self.out is None or not self.runs:
            raise UserError(f"bench {self.suite} needs trained runs and --out: sanerf bench {self.suite} RUN --out DIR")
        return self.out

    def _cases(self, *, photographs: bool) -> "list[Case]":
        from sanerf.cli.opened import open_trained
        from sanerf.evaluation.aggregator_cases import Case, find_truth

        cases = []
        for path in self._different_runs():
            opened = open_trained(path, self, photographs=photographs)
            truth = find_truth(opened.run, self.masks, _listed(self.objects))
            cases.append(Case(str(path), opened.run, opened.renderer, truth))
        return cases

    def _seeds(self) -> list[int]:
        listed = _listed(self.seeds if self.seeds is not None else "0" if self.suite == "methods" else "0,1,2")
        if not listed or not all(text.isascii() and text.isdecimal() for text in listed):
            raise UserError(f"--seeds should be whole numbers with commas between them, as 0,1,2, not {self.seeds!r}")
        seeds = [int(text) for text in dict.fromkeys(listed)]
        if max(seeds) >= 2**63:
            raise UserError(f"--seeds should be from 0 to 2^63 - 1, not {max(seeds)}")
        return seeds

    def _run_segmenter(self) -> None:
        from sanerf.data.masked_pictures import find_masked_pictures
        from sanerf.evaluation.segmenter_report import scores_lines
        from sanerf.evaluation.segmenter_suite import REPORT, WRITER, run_segmenter_suite
        from sanerf.files import check_folder
        from sanerf.segmenter.load import load_segmenter

        if self.data is None:
            raise UserError("bench segmenter needs --data, a folder with images/ and masks/")
        if self.runs:
            raise UserError(f"bench segmenter takes no runs, as {self.runs[0]}; it scores the pictures of --data")
        found = find_masked_pictures(self.data)
        for count, what in (
            (found.without_mask, "pictures without a mask"),
            (found.masks_without_picture, "masks without a picture"),
        ):
            if count:
                say(f"note: {self.data} has {count} {what}, which are left out")
        methods = self._methods()
        if self.out is not None:
            check_folder(self.out, WRITER)
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

        names = _listed(self.baselines)
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


def _listed(text: str) -> list[str]:
    """The parts of a list with commas."""
    return [part.strip() for part in text.split(",") if part.strip()]
