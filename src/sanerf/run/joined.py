"""What the objects of a run bring to a segmentation that they share with new ones: prompts, masks, and a field to start
from."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from sanerf.aggregate.view_masks import ViewMasks
from sanerf.errors import UserError
from sanerf.fields.object import ObjectField
from sanerf.fields.voted import VotedField, VotedVolume
from sanerf.geometry.cameras import Camera
from sanerf.prompts.file import ObjectPrompts, PromptSet, prompts_from_json
from sanerf.prompts.merge import with_more
from sanerf.run.folder import Run
from sanerf.run.kept_masks import read_masks
from sanerf.run.segmentation import Segmentation, find_object, owners


@dataclass(frozen=True)
class JoinedObjects:
    """All objects of a run after more prompts: `asked` are those that the prompts are about, with all that was ever
    said of them; `kept` are the others, with their prompts."""

    asked: PromptSet
    kept: PromptSet
    _owners: dict[str, Segmentation]

    @property
    def names(self) -> list[str]:
        """Earlier objects first, in their order; then those that are new, in theirs."""
        every = [entry.name for entry in (*self.kept.objects, *self.asked.objects)]
        return [name for name in self._owners if name in every] + [n for n in every if n not in self._owners]

    @property
    def kept_names(self) -> set[str]:
        return {entry.name for entry in self.kept.objects}

    @property
    def prompts(self) -> PromptSet:
        """Those of all objects, in the order of the names."""
        by_name = {entry.name: entry for entry in (*self.kept.objects, *self.asked.objects)}
        return PromptSet(tuple(by_name[name] for name in self.names))

    def kept_masks(self, run: Run, cameras: dict[int, Camera]) -> ViewMasks:
        """The masks of the kept objects. UserError for one that has none any more."""
        out: ViewMasks = {}
        for entry in self.kept.objects:
            masks = read_masks(self._owners[entry.name], [entry.name], run.scene, cameras)
            if not masks:
                raise UserError(
                    f"{run.path} keeps no masks of the object {entry.name!r}, which --add needs; segment it anew"
                )
            for view, of_view in masks.items():
                out.setdefault(view, {}).update(of_view)
        return out

    def kept_volumes(self) -> dict[str, VotedVolume]:
        """Of the kept objects those that were voted."""
        out = {}
        for entry in self.kept.objects:
            owner = self._owners[entry.name]
            if isinstance(owner.field, VotedField):
                out[entry.name] = owner.field.volume(owner.names.index(entry.name))
        return out

    def started_volumes(self, start: ObjectField, names: Sequence[str]) -> dict[str, VotedVolume]:
        """Of the kept objects those that a field, with these names, learnt on top of a vote of."""
        voted, staying = start.start, self.kept_names
        if voted is None:
            return {}
        return {name: voted.volume(row) for row, name in enumerate(names) if name in staying}

    def start(self) -> tuple[ObjectField, tuple[str, ...]] | None:
        """The trained field that knows most of the objects, and their names in it; of equals the newest."""
        trained = {
            str(owner.path): sum(other is owner for other in self._owners.values())
            for owner in self._owners.values()
            if isinstance(owner.field, ObjectField)
        }
        best = max(trained, key=lambda path: (trained[path], path), default=None)
        for owner in self._owners.values():
            if str(owner.path) == best and isinstance(owner.field, ObjectField):
                known = tuple(n if self._owners.get(n) is owner else "" for n in owner.names)
                return owner.field, known
        return None


def join_objects(
    run: Run, segmentations: Sequence[Segmentation], more: PromptSet, *, anew: Collection[str] = ()
) -> JoinedObjects:
    """The objects of a run, whose segmentations come newest first, and those of `more`: prompts of an object that is
    there come to its earlier ones, but for those in `anew`, which are forgotten first.

    UserError for a name in `anew` that the run has not, for names that differ by case alone, and for views that the
    scene has not.
    """
    owner = owners(segmentations)
    for name in anew:
        find_object(segmentations, name, run)
    staying = {name: segmentation for name, segmentation in _in_order(owner) if name not in anew}
    before = {name: kept_prompts(segmentation, name) for name, segmentation in staying.items()}
    for entry in more.objects:
        for name in staying:
            if name != entry.name and name.casefold() == entry.name.casefold():
                raise UserError(f"the run has an object called {name!r}; write it so, not {entry.name!r}")
    asked = tuple(
        with_more(before[entry.name], entry, run.scene) if entry.name in before else entry for entry in more.objects
    )
    names = {entry.name for entry in asked}
    kept = tuple(entry for name, entry in before.items() if name not in names)
    return JoinedObjects(PromptSet(asked), PromptSet(kept), staying)


def _in_order(owner: dict[str, Segmentation]) -> list[tuple[str, Segmentation]]:
    """Owners by name, those of the oldest segmentation first and each one's in its own order."""
    return sorted(owner.items(), key=lambda item: (int(item[1].path.name), item[1].names.index(item[0])))


def kept_prompts(segmentation: Segmentation, name: str) -> ObjectPrompts:
    """What was said of an object, with drawings where the segmentation keeps them; nothing where it does not say."""
    found = prompts_from_json(segmentation.record.get("prompts", {"objects": []}), segmentation.path.absolute())
    for entry in found.objects:
        if entry.name == name:
            return entry
    return ObjectPrompts(name)
