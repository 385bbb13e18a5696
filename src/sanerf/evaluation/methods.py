"""The methods that `sanerf bench methods` compares: prompts in, masks in the views asked for out.

A method is a function of a `Task`, in which there is no exact mask and of the views that are scored nothing but their
cameras. A new one is an entry of `METHODS`; masks that another program wrote are the method `masks:DIR`.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch

from sanerf.data.images import load_mask
from sanerf.data.mask_files import mask_paths
from sanerf.errors import UserError
from sanerf.evaluation.baselines.san import san_masks
from sanerf.evaluation.baselines.segment import segment_isrf, segment_sa3d
from sanerf.evaluation.run_evaluation import DecoderAlone, decode_alone
from sanerf.geometry.cameras import Camera
from sanerf.progress import Progress
from sanerf.prompts.file import PromptSet
from sanerf.render.images import Renderer, render_image
from sanerf.run.containers import ContainerKind, FieldFeatures
from sanerf.run.decoding import MASKS_PREFIX, MaskSource, lift_prompts, open_decoder
from sanerf.run.folder import Run
from sanerf.run.segment_run import Answer, segment_instantly, segment_run
from sanerf.run.segmentation import render_objects
from sanerf.run.stages import Stages
from sanerf.run.views import run_cameras
from sanerf.shapes import Float

Margins = dict[int, dict[str, Float[torch.Tensor, "_ _"]]]
"""By view, then by object: above zero is the object's mask, at whatever resolution. What is missing counts as an empty
mask."""


@dataclass(frozen=True)
class Task:
    """What a method is asked.

    `run` is trained; its folder is the job's own and gone after it, but for `run.features` and `run.feature_fields`,
    which all jobs of the scene share: what a method keeps there, under a name that says all that it depends on, the
    next job finds. `cameras` are those of the views to answer, by view, at the run's resolution. `scene` is the name
    under which other programs' masks lie.
    """

    scene: str
    run: Run
    renderer: Renderer
    prompts: PromptSet
    segmenter: str
    cameras: dict[int, Camera]
    seed: int
    progress: Progress


@dataclass(frozen=True)
class MethodAnswer:
    """A method's masks, and the seconds of its stages."""

    margins: Margins
    seconds: dict[str, float]


ALL_ROOMS = (
    "adapters",
    "aggregate",
    "data",
    "evaluation/baselines",
    "fields",
    "geometry",
    "kernels",
    "prompts",
    "render",
    "run",
    "segmenter",
)


def _nothing(scene: str) -> Sequence[Path]:
    return ()


@dataclass(frozen=True)
class Method:
    """`what` it is, in words, and the function that answers.

    A method that leaves nothing to chance answers once, whatever the seeds. `container` is where it takes features
    from, which is made before; None where it asks no segmenter. `rooms` are the folders of the package whose sources
    its figures depend on, as "render" or "evaluation/baselines": when one changes, its jobs are done again.
    """

    what: str
    answer: Callable[[Task], MethodAnswer]
    by_chance: bool = True
    container: ContainerKind | None = "cache"
    rooms: tuple[str, ...] = ALL_ROOMS
    reads: Callable[[str], Sequence[Path]] = _nothing
    """the files of a scene of that name that it answers from, on which its figures depend, too"""


def _segmented(task: Task, segment: Callable[..., Answer], container: ContainerKind = "cache") -> MethodAnswer:
    """What a way to segment, with the signature of `run.segment_run.segment_run`, shows in the views asked for."""
    source = MaskSource(task.segmenter, container)
    segmentation, seconds = segment(
        task.run, task.renderer, task.prompts, source, seed=task.seed, progress=task.progress
    )
    began, margins = time.monotonic(), {}
    for done, (view, camera) in enumerate(task.cameras.items(), start=1):
        rendered = render_objects(task.renderer, camera, [segmentation], task.run.background)
        margins[view] = {name: margin.cpu() for name, margin in rendered.margin.items()}
        task.progress("render", done, len(task.cameras))
    return MethodAnswer(margins, {**seconds, "render": time.monotonic() - began})


def _decode_each_view(task: Task) -> MethodAnswer:
    """The prompts, carried to each view by the field, and the decoder's own mask there. A view that is scored was never
    photographed, as far as a method knows: the decoder sees the rendered picture, as in the paper."""
    run, last = task.run, time.monotonic()
    seconds: dict[str, float] = {"lift": 0.0, "render": 0.0, "decode": 0.0}

    def end(stage: str) -> None:
        nonlocal last
        now = time.monotonic()
        seconds[stage] += now - last
        last = now

    decoder = open_decoder(run, task.renderer, task.segmenter)
    lifted = lift_prompts(task.prompts, decoder, cameras=run_cameras(run), renderer=task.renderer)
    alone, margins = DecoderAlone(decoder.segmenter, lifted), {}
    end("lift")
    for done, (view, camera) in enumerate(task.cameras.items(), start=1):
        rgb = render_image(task.renderer, camera, run.background).rgb.cpu()
        end("render")
        masks = decode_alone(alone, rgb, view=view, camera=camera, renderer=task.renderer)
        margins[view] = {name: mask.probability - 0.5 for name, mask in masks.items()}
        end("decode")
        task.progress("decode", done, len(task.cameras))
    return MethodAnswer(margins, seconds)


def _decode_rendered_features(task: Task) -> MethodAnswer:
    """SAN: the prompts, carried to each view by the field, decoded on the features that a feature field renders."""
    run, stages = task.run, Stages(task.progress, "render")
    decoder = open_decoder(run, task.renderer, task.segmenter, "field")
    assert isinstance(decoder.container, FieldFeatures), decoder.container
    lifted = lift_prompts(task.prompts, decoder, cameras=run_cameras(run), renderer=task.renderer, stages=stages)
    stages.end("decode")
    decoder.container.prepare(stages)
    masks = san_masks(
        decoder.segmenter, decoder.container, lifted, task.cameras, task.renderer, on_progress=stages.listener("render")
    )
    stages.end("render")
    margins = {
        view: {name: mask.probability - 0.5 for name, mask in of_view.items()} for view, of_view in masks.items()
    }
    return MethodAnswer(margins, dict(stages.seconds))


METHODS = {
    "sanerf": Method(
        "`segment`: masks of all training views, from cached features, in one object field",
        partial(_segmented, segment=segment_run),
    ),
    "sanerf-field": Method(
        "`segment --container field`: the same from features that a feature field renders",
        partial(_segmented, segment=segment_run, container="field"),
        container="field",
    ),
    "sanerf-instant": Method(
        "`segment --instant`: the masks of `sanerf` put to the vote, nothing trained",
        partial(_segmented, segment=segment_instantly),
    ),
    "san": Method(
        "SAN: each view that is scored decoded alone, on the features that a feature field renders there",
        _decode_rendered_features,
        by_chance=False,
        container="field",
    ),
    "sa3d": Method(
        "SA3D: one view's mask carried to all others through a mask grid",
        partial(_segmented, segment=segment_sa3d),
    ),
    "isrf": Method(
        "ISRF: distilled features like those of the strokes, grown in space",
        partial(_segmented, segment=segment_isrf),
        container="field",
    ),
    "sam": Method(
        "the decoder alone, view by view, in the rendered picture of each view that is scored",
        _decode_each_view,
        by_chance=False,
    ),
}


def chosen_methods(names: Sequence[str]) -> dict[str, Method]:
    """The methods of `--methods`, by the names they have in tables. UserError for one that is not known, for a folder
    of masks that is not there, and where two would have one name."""
    if not names:
        raise UserError(f"--methods names none; there are {', '.join(METHODS)} and masks:DIR")
    out: dict[str, Method] = {}
    for text in dict.fromkeys(names):
        if text.startswith(MASKS_PREFIX):
            folder = Path(text.removeprefix(MASKS_PREFIX))
            if text == MASKS_PREFIX:
                raise UserError("masks: needs a folder of masks after the colon, as masks:DIR")
            if not folder.is_dir():
                raise UserError(f"there is no folder of masks {folder}")
            name, method = folder.resolve().name, _masks_of(folder)
        elif text in METHODS:
            name, method = text, METHODS[text]
        else:
            raise UserError(f"there is no method {text!r}; there are {', '.join(METHODS)} and masks:DIR")
        if name in out or (name in METHODS and text != name):
            raise UserError(f"two methods would be called {name!r}; rename the folder of {text}")
        out[name] = method
    return out


def check_given_masks(methods: Mapping[str, Method], scenes: Sequence[str]) -> None:
    """UserError for masks of another program of which there are none of any of the scenes."""
    for name, method in methods.items():
        if method.reads is not _nothing and not any(method.reads(scene) for scene in scenes):
            raise UserError(
                f"{name} has no masks of {', '.join(scenes)}; they should lie in SCENE/NAME/STEM.png below it"
            )


def _masks_of(folder: Path) -> Method:
    return Method(
        f"masks of another program, in {folder.name}/",
        partial(_read_masks, folder),
        by_chance=False,
        container=None,
        rooms=(),
        reads=partial(_mask_files, folder),
    )


def _mask_files(folder: Path, scene: str) -> list[Path]:
    return sorted((folder / scene).rglob("*.png"))


def _read_masks(folder: Path, task: Task) -> MethodAnswer:
    """Masks that lie in DIR/SCENE/NAME/STEM.png."""
    of_scene = folder / task.scene
    if not of_scene.is_dir():
        raise UserError(f"{folder} has no folder {task.scene!r} with the masks of that scene")
    margins: Margins = {}
    names = [entry.name for entry in task.prompts.objects]
    for name in names:
        paths = mask_paths(of_scene, name, task.run.scene, list(task.cameras), single_object=len(names) == 1)
        for view, path in paths.items():
            margins.setdefault(view, {})[name] = load_mask(path).float() - 0.5
    if not margins:
        raise UserError(f"{of_scene} has no mask of {', '.join(names)} in any of the {len(task.cameras)} views")
    return MethodAnswer(margins, {})
