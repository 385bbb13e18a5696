"""The scenes of `sanerf bench methods`: found in folders, trained where they are not, with prompts and exact masks.

A folder of data is a scene, or holds scenes, or groups of scenes: DIR/SCENE or DIR/GROUP/SCENE. A scene has, beside
photographs and poses in any layout, `prompts.json`, `masks/NAME/STEM.png` and, where its own split is not meant,
`test_views.txt`, the names of the views held out, one a line. A group called like a protocol's card, in whatever case,
follows the card.
"""

import hashlib
import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from sanerf.data.images import load_mask
from sanerf.data.load import load_scene
from sanerf.data.scene import Scene
from sanerf.errors import UserError
from sanerf.evaluation.aggregator_cases import mask_files, run_digest
from sanerf.evaluation.protocols import Averaged, Protocol, protocols
from sanerf.evaluation.run_evaluation import TrueMasks
from sanerf.prompts.check import check_prompts
from sanerf.prompts.file import PaintedScribble, PromptSet, prompts_to_json, read_prompts
from sanerf.run.folder import Run

PROMPTS, MASKS, TEST_VIEWS = "prompts.json", "masks", "test_views.txt"
UNGROUPED = "scenes"


@dataclass(frozen=True)
class SceneFolder:
    """A scene that was found; `label` is its path below the folder of data, or that folder's name."""

    label: str
    group: str
    root: Path

    @property
    def protocol(self) -> Protocol | None:
        return protocols().get(self.group)

    def load(self) -> Scene:
        """The scene with the views held out that its `test_views.txt` names, else those of its group's card, else its
        own. UserError where it cannot be read."""
        listed = self.root / TEST_VIEWS
        protocol = self.protocol
        return load_scene(self.root, holdout=str(listed) if listed.is_file() else protocol and protocol.holdout)


def find_scenes(data: Path) -> tuple[list[SceneFolder], list[str]]:
    """The scenes in a folder of data, by name, and a sentence for each folder that lacks one of two files to be one.
    UserError where there is no folder or nothing in it."""
    if not data.is_dir():
        raise UserError(f"there is no folder {data}")
    found: list[SceneFolder] = []
    notes: list[str] = []
    if not _take(SceneFolder(data.resolve().name, UNGROUPED, data), found, notes):
        for folder in _folders(data):
            if not _take(SceneFolder(folder.name, UNGROUPED, folder), found, notes):
                for inner in _folders(folder):
                    _take(SceneFolder(f"{folder.name}/{inner.name}", _group(folder), inner), found, notes)
    if not found:
        because = f" ({notes[0]})" if notes else ""
        raise UserError(
            f"{data} has no scene with {PROMPTS} and {MASKS}/, nor has a folder in it or a folder in those{because}"
        )
    return found, notes


def _group(folder: Path) -> str:
    """The card's name where a folder has it, in whatever case, else its own."""
    folded = folder.name.casefold()
    return folded if folded in protocols() else folder.name


def _folders(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))


def _take(folder: SceneFolder, found: list[SceneFolder], notes: list[str]) -> bool:
    """Whether a folder is a scene, or half of one, which is said."""
    has = {PROMPTS: (folder.root / PROMPTS).is_file(), MASKS + "/": (folder.root / MASKS).is_dir()}
    if all(has.values()):
        found.append(folder)
    elif any(has.values()):
        notes.append(f"{folder.root} has no {next(name for name, there in has.items() if not there)}")
    return any(has.values())


@dataclass(frozen=True)
class FoundScene:
    """A scene whose field may be untrained still, with the prompts that every method gets, and the exact masks of the
    objects and `views` that are scored."""

    label: str
    group: str
    scene: Scene
    prompts: PromptSet
    truth: TrueMasks
    views: tuple[int, ...]


@dataclass(frozen=True)
class BenchScene:
    """A trained run with the same. `averaged` says over what figures are means (`sanerf.evaluation.protocols`)."""

    label: str
    group: str
    averaged: Averaged
    run: Run
    prompts: PromptSet
    truth: TrueMasks
    views: tuple[int, ...]

    @classmethod
    def of(cls, found: FoundScene, run: Run) -> "BenchScene":
        """A scene that was found with its field."""
        card = protocols().get(found.group)
        averaged = card.averaged if card is not None else "objects"
        return cls(found.label, found.group, averaged, run, found.prompts, found.truth, found.views)

    def digest(self) -> str:
        """Of the trained field, the run's cameras and settings, the prompts with what they name, and the bytes of all
        masks that are scored."""
        out = hashlib.sha256(run_digest(self.run, mask_files(self.run, self.truth, self.views)).encode())
        document = prompts_to_json(self.prompts)
        for entry, written in zip(self.prompts.objects, document["objects"], strict=True):
            painted = [scribble for scribble in entry.scribbles if isinstance(scribble, PaintedScribble)]
            files = [hashlib.sha256(one.path.read_bytes()).hexdigest() for one in (*painted, *entry.masks)]
            out.update(json.dumps([written, files]).encode())
        return out.hexdigest()


def found_scene(
    scene: Scene, label: str, group: str, *, prompts: Path | None, masks: Path | None, objects: Collection[str]
) -> FoundScene:
    """A scene with its prompts (by default `prompts.json` in it) of all objects or of `objects`, and the exact masks in
    its held-out views (by default in `masks/` there).

    UserError where there are none, prompts do not fit the scene, or a mask cannot be read.
    """
    file, folder = prompts or scene.root / PROMPTS, masks or scene.root / MASKS
    asked = read_prompts(file)
    unknown = sorted(set(objects) - {entry.name for entry in asked.objects})
    if unknown:
        raise UserError(f"{file} has no object {unknown[0]!r}")
    if objects:
        asked = replace(asked, objects=tuple(entry for entry in asked.objects if entry.name in objects))
    try:
        check_prompts(asked, scene)
    except UserError as error:
        raise UserError(f"{file}: {error}") from error
    if not folder.is_dir():
        raise UserError(f"there is no folder of exact masks {folder}; name another with --masks")
    if not scene.test:
        raise UserError(f"{scene.root} has no held-out view to score; hold some out, as `train --holdout every:8` does")
    of_all = TrueMasks(folder, tuple(entry.name for entry in asked.objects))
    masked = {name: of_all.paths(name, scene, scene.test) for name in of_all.names}
    scored = [name for name in of_all.names if masked[name]]
    if not scored:
        raise UserError(f"{folder} has no mask of {', '.join(of_all.names)} in any held-out view of {scene.root}")
    for path in (path for of_views in masked.values() for path in of_views.values()):
        load_mask(path)
    views = tuple(view for view in scene.test if any(view in masked[name] for name in scored))
    return FoundScene(label, group, scene, asked, replace(of_all, names=tuple(scored)), views)


def check_labels(labels: Sequence[str]) -> None:
    """UserError where two scenes have one name, under which their masks would lie."""
    for label in labels:
        if labels.count(label) > 1:
            raise UserError(f"two scenes are called {label!r}; rename a folder")
