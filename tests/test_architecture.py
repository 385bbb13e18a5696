"""Arrows point downwards: which room of the package may import which, read from the sources."""

import ast
from pathlib import Path

SOURCE = Path(__file__).parents[1] / "src" / "sanerf"

# Modules at the top that everyone may import; of sanerf they import only what stands here.
FOUNDATION = {
    "shapes": set(),
    "errors": set(),
    "progress": set(),
    "torchrun": set(),
    "peak_memory": set(),
    "files": {"shapes", "errors"},
    "locks": {"errors"},
}
ALLOWED = {
    "geometry": set(),
    "data": {"geometry"},
    "sfm": {"data", "geometry"},
    "kernels": {"geometry"},
    "fields": {"kernels", "geometry"},
    "render": {"fields", "kernels", "geometry"},
    "adapters": {"fields", "kernels", "geometry"},
    "segmenter": {"geometry"},
    "prompts": {"render", "data", "segmenter", "geometry"},
    "aggregate": {"fields", "render", "kernels", "prompts", "data", "segmenter", "geometry"},
    "run": {"data", "fields", "kernels", "render", "geometry", "segmenter", "prompts", "aggregate", "adapters"},
}
ALLOWED["export"] = set(ALLOWED)
ALLOWED["evaluation"] = set(ALLOWED)  # the demo's report shows exported objects
ALLOWED["studio"] = set(ALLOWED)
ALLOWED["cli"] = set(ALLOWED)
ALLOWED["__main__"] = {"cli"}


def imported_rooms(source: str) -> set[str]:
    """The rooms of sanerf that a module imports anywhere in its text, also inside functions."""
    rooms = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module == "sanerf":
            names = [f"sanerf.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: write imports from the root, 'from sanerf...'"
            names = [node.module or ""]
        else:
            continue
        rooms |= {name.split(".")[1] for name in names if name.startswith("sanerf.")}
    return rooms


def upward_arrows(room: str, source: str) -> set[str]:
    """The rooms that a module of `room` imports and must not."""
    allowed = FOUNDATION[room] if room in FOUNDATION else ALLOWED[room] | set(FOUNDATION)
    return imported_rooms(source) - allowed - {room}


def room_of(path: Path) -> str:
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


def test_every_module_is_in_a_known_room():
    rooms = {room_of(path) for path in SOURCE.rglob("*.py")} - {"__init__"}
    unknown = rooms - set(ALLOWED) - set(FOUNDATION)
    assert not unknown, f"rooms that the table of arrows does not know: {sorted(unknown)}"


def test_no_arrow_points_up():
    found = {
        str(path.relative_to(SOURCE)): sorted(arrows)
        for path in sorted(SOURCE.rglob("*.py"))
        if room_of(path) != "__init__" and (arrows := upward_arrows(room_of(path), path.read_text(encoding="utf-8")))
    }
    assert not found


def test_the_table_of_arrows_has_no_circle():
    below = dict(ALLOWED)
    while below:
        bottom = {room for room, targets in below.items() if not targets & (set(below) - {room})}
        assert bottom, f"these rooms allow each other in a circle: {sorted(below)}"
        below = {room: targets for room, targets in below.items() if room not in bottom}


def test_an_upward_arrow_would_be_found_in_every_form_of_import():
    for line in (
        "import sanerf.render.renderer",
        "from sanerf.render.renderer import render_rays",
        "from sanerf import render",
        "def late():\n    from sanerf.render import renderer",
    ):
        assert upward_arrows("fields", line) == {"render"}
    assert upward_arrows("shapes", "from sanerf.errors import UserError") == {"errors"}
    assert upward_arrows("fields", "from sanerf.kernels.reference import encode\nimport torch") == set()
