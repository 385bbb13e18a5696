"""What of a protocol a user's folder of data can run, and in a sentence each what is missing; and a card in words."""

from dataclasses import dataclass
from pathlib import Path

from sanerf.data.load import NoSceneError
from sanerf.errors import UserError
from sanerf.evaluation.methods_scenes import MASKS, PROMPTS, SceneFolder, found_scene
from sanerf.evaluation.protocols import Protocol


@dataclass(frozen=True)
class ProtocolState:
    """Names of the scenes that can be run, and sentences about what cannot."""

    runnable: tuple[str, ...]
    missing: tuple[str, ...]


def protocol_state(card: Protocol, data: Path) -> ProtocolState:
    """What there is of a card's scenes in `data`/ID/SCENE, with the ID in whatever case."""
    folder = next((path for path in sorted(data.iterdir()) if path.name.casefold() == card.id), data / card.id)
    if not folder.is_dir():
        return ProtocolState((), (f"There is no folder {folder}.",))
    there = sorted(path.name for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
    listed = [scene.name for scene in card.scenes] if card.scenes_listed else []
    runnable, missing = [], []
    for name in dict.fromkeys((*listed, *there)):
        lack = _lack(SceneFolder(f"{folder.name}/{name}", card.id, folder / name))
        if lack:
            missing.append(f"{name}: {lack}.")
        else:
            runnable.append(name)
    if not there and not listed:
        missing.append(f"There is no folder of a scene in {folder}.")
    return ProtocolState(tuple(runnable), tuple(missing))


def _lack(folder: SceneFolder) -> str:
    """What a folder lacks to be a scene that can be scored, in words, as `bench methods` would say it; nothing where it
    has all."""
    scene = folder.root
    if not scene.is_dir():
        return f"there is no folder {scene}"
    if not (scene / PROMPTS).is_file():
        return f"there is no {PROMPTS} in {scene}"
    if not (scene / MASKS).is_dir() or not any((scene / MASKS).rglob("*.png")):
        return f"there are no masks in {scene / MASKS}"
    try:
        found_scene(folder.load(), folder.label, folder.group, prompts=None, masks=None, objects=())
    except NoSceneError:
        return f"{scene} has no photographs with poses in a layout that is known"
    except UserError as error:
        return str(error).removesuffix(".")
    return ""


def state_lines(card: Protocol, state: ProtocolState | None) -> list[str]:
    """A card and its state for a terminal; without a state, how to lay the data out."""
    lines = [f"{card.id}: {card.title}. {card.source}."]
    if state is None:
        return [*lines, f"  data: {card.data}", f"  layout: {card.layout}"]
    if state.runnable:
        lines.append(f"  can run: {', '.join(state.runnable)}")
    return lines + [f"  missing: {sentence}" for sentence in state.missing]


def state_to_json(card: Protocol, state: ProtocolState | None) -> dict[str, object]:
    """A card's entry in `sanerf bench protocols --json`."""
    entry: dict[str, object] = {"title": card.title, "scenes": [scene.name for scene in card.scenes]}
    if state is not None:
        entry |= {"runnable": list(state.runnable), "missing": list(state.missing)}
    return entry
