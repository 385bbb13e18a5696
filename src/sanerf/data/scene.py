"""The one description of a capture that everything else works on."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from sanerf.errors import UserError
from sanerf.geometry.cameras import Camera
from sanerf.geometry.transforms import Similarity


@dataclass(frozen=True)
class TrainingMask:
    """A picture that says which pixels of a photograph must not be learnt from: those where it is `excluded`.

    A pixel above 127 is white. Its size may be another than the photograph's, its shape may not.
    """

    path: Path
    excluded: Literal["black", "white"] = "black"


@dataclass(frozen=True)
class View:
    """One photograph and its camera.

    `name` is unique in the scene: the image's path relative to the scene's image folder with forward slashes, for flat
    folders just the file name. `camera` is in the normalised world and in pixels of the image file itself.
    Without a `training_mask` all pixels are learnt from.
    """

    name: str
    image_path: Path
    camera: Camera
    training_mask: TrainingMask | None = None

    @property
    def stem(self) -> str:
        """The file name without its ending, which names the view's masks and outputs."""
        return Path(self.name).stem


@dataclass(frozen=True)
class Scene:
    """Posed photographs, in a world normalised so that what they look at lies about the origin within radius one.

    `world_from_file` takes points of the scene file's own frame to the world; its inverse takes results back.
    `train` and `test` are indices into `views` and do not overlap. `near` and `far` bound the distances along rays
    that may hold anything, in world units; `far` may be infinite. `has_alpha`: the pictures' alpha is the scene's
    coverage, and there is nothing behind (Blender's synthetic scenes). `warnings` are sentences for the user.
    """

    root: Path
    layout: str
    views: tuple[View, ...]
    train: tuple[int, ...]
    test: tuple[int, ...]
    world_from_file: Similarity
    near: float
    far: float
    has_alpha: bool = False
    warnings: tuple[str, ...] = ()

    def view_index(self, name: str) -> int:
        """The index of the view called `name`: its name, its file name, or its stem where only one view has that.

        Raises UserError where no view or more than one answers to the name.
        """
        for key in (lambda view: view.name, lambda view: Path(view.name).name, lambda view: view.stem):
            found = [i for i, view in enumerate(self.views) if key(view) == name]
            if len(found) == 1:
                return found[0]
            if found:
                raise UserError(f"the view name {name!r} fits {len(found)} views of {self.root}; use the longer path")
        examples = ", ".join(view.name for view in self.views[:3])
        raise UserError(f"there is no view {name!r} in {self.root}; its views are called {examples}, ...")

    def output_stem(self, index: int) -> str:
        """A file stem for a view that no other view shares: its own or, where two have that, its path with dashes."""
        view = self.views[index]
        if [other.stem for other in self.views].count(view.stem) == 1:
            return view.stem
        return Path(view.name).with_suffix("").as_posix().replace("/", "-")

    def split(self, which: str) -> tuple[int, ...]:
        """Indices of the views of `which`: "train", "test" or "all"."""
        assert which in ("train", "test", "all"), which
        return {"train": self.train, "test": self.test, "all": tuple(range(len(self.views)))}[which]
