"""A folder of pictures with true masks: DIR/images/NAME.jpg, and DIR/masks/STEM.png or DIR/masks/OBJECT/STEM.png.

No cameras and no scene: what a segmenter of single pictures is scored on. A mask's size is its picture's, as stored or,
where EXIF turns the picture by a right angle, as turned; a pixel above 127 is object.
"""

from dataclasses import dataclass
from pathlib import Path

from sanerf.data.images import picture_header, pictures_in
from sanerf.errors import UserError


@dataclass(frozen=True)
class MaskedPicture:
    """A picture file, the (width, height) that its masks have, and its mask files by object; "" names a lone object."""

    path: Path
    size: tuple[int, int]
    masks: dict[str, Path]


@dataclass(frozen=True)
class MaskedPictures:
    """The pictures that have a mask, by name; how many have none, and how many masks have no picture."""

    pictures: tuple[MaskedPicture, ...]
    without_mask: int
    masks_without_picture: int


def find_masked_pictures(folder: Path) -> MaskedPictures:
    """Pictures and masks of a folder, their headers read.

    Raises UserError where a folder is missing, no picture has a mask, two pictures have one stem, a header cannot be
    read, or a mask has another size than its picture.
    """
    images, masks = folder / "images", folder / "masks"
    for needed in (images, masks):
        if not needed.is_dir():
            raise UserError(f"there is no folder {needed}; expected pictures in images/ and their masks in masks/")
    by_stem: dict[str, Path] = {}
    for path in pictures_in(images):
        if path.stem in by_stem:
            raise UserError(f"{images} has {by_stem[path.stem].name} and {path.name}, and one mask for both; keep one")
        by_stem[path.stem] = path
    if not by_stem:
        raise UserError(f"there are no pictures in {images}")
    of_stem: dict[str, dict[str, Path]] = {}
    for name, path in _mask_files(masks):
        of_stem.setdefault(path.stem, {})[name] = path
    both = [stem for stem in by_stem if stem in of_stem]
    if not both:
        raise UserError(
            f"none of the {len(by_stem)} pictures in {images} has a mask of its name in {masks}; expected "
            f"{next(iter(by_stem))}.png there, or in a folder an object"
        )
    pictures = tuple(_checked(by_stem[stem], of_stem[stem]) for stem in both)
    lonely = sum(len(of_stem[stem]) for stem in of_stem if stem not in by_stem)
    return MaskedPictures(pictures, len(by_stem) - len(both), lonely)


def _mask_files(folder: Path) -> list[tuple[str, Path]]:
    """(object, file) of every PNG file in the folder itself and in the folders in it, in order of their names."""
    objects = sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
    places = [("", folder), *((path.name, path) for path in objects)]
    return [
        (name, path)
        for name, place in places
        for path in sorted(place.iterdir())
        if path.suffix.lower() == ".png" and path.is_file() and not path.name.startswith(".")
    ]


def _checked(picture: Path, masks: dict[str, Path]) -> MaskedPicture:
    header = picture_header(picture)
    sizes = {path: (mask.width, mask.height) for path in masks.values() for mask in [picture_header(path)]}
    size = next(iter(sizes.values()))
    for path, found in sizes.items():
        if found not in header.possible_sizes or found != size:
            raise UserError(
                f"the mask {path} is {found[0]}x{found[1]}, its picture {picture} {header.width}x{header.height}; "
                "expected the same size"
            )
    return MaskedPicture(picture, size, masks)
