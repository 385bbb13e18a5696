"""What a file is, in words, by its first bytes: for sentences about one that should have been something else."""

from pathlib import Path

_BEGINNINGS = {
    b"\xff\xd8\xff": "a JPEG picture",
    b"\x89PNG": "a PNG picture",
    b"PK\x03\x04": "a zip archive",
    b"PK\x05\x06": "a zip archive",
    b"\x1f\x8b": "a gzip archive",
    b"ply": "a .ply file",
    b"glTF": "a .glb file",
}


def kind_of_file(path: Path) -> str:
    """As "an empty file", "a JPEG picture", "text" or "of no known kind". OSError where it cannot be read."""
    with path.open("rb") as file:
        start = file.read(512)
    if not start:
        return "an empty file"
    for beginning, kind in _BEGINNINGS.items():
        if start.startswith(beginning):
            return kind
    # A letter of several bytes may be cut by the end of what was read.
    text = start.decode("utf-8", errors="ignore")
    lost = len(start) - len(text.encode("utf-8"))
    printable = all(letter.isprintable() or letter in "\t\r\n" for letter in text)
    return "text" if text and printable and lost <= 3 else "of no known kind"
