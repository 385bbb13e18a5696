"""What the pages and the glossary name is there: tests, modules, functions, options, axis words."""

import dataclasses
import importlib
import re
from pathlib import Path

import pytest

import sanerf.shapes
from sanerf.cli.commands import COMMANDS
from sanerf.cli.console import CommonOptions

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"


def test_the_tests_that_hold_the_conventions_are_there():
    references = re.findall(r"`([\w/]*test_\w+\.py)(?:::(\w+))?`", (DOCS / "conventions.md").read_text())
    assert len(references) > 30
    for file, name in references:
        assert f"def {name}(" in (ROOT / "tests" / file).read_text() if name else (ROOT / "tests" / file).is_file(), (
            file
        )


def resolve(name: str) -> object:
    """What a dotted name below `sanerf` stands for. ImportError or AttributeError where there is no such thing."""
    parts = name.split(".")
    depth = next(
        k for k in range(len(parts), 0, -1) if (ROOT / "src/sanerf" / "/".join(parts[:k])).with_suffix(".py").is_file()
    )
    found = importlib.import_module(f"sanerf.{'.'.join(parts[:depth])}")
    for part in parts[depth:]:
        found = getattr(found, part)
    return found


def test_the_modules_and_functions_of_the_architecture_page_are_there():
    names = re.findall(r"`((?:\w+\.)+\w+)`", (DOCS / "architecture.md").read_text())
    names = [name for name in names if not name.endswith((".py", ".md"))]
    assert len(names) > 15
    for name in names:
        resolve(name)
    with pytest.raises(AttributeError):
        resolve("aggregate.losses.no_such_loss")


def test_the_command_line_page_has_every_option_of_every_command_and_no_other():
    text = (DOCS / "cli.md").read_text()
    usage = dict(re.findall(r"^sanerf ([\w-]+)(.*)$", text, re.MULTILINE))
    assert usage.keys() == COMMANDS.keys()
    common = {field.name for field in dataclasses.fields(CommonOptions)}
    positional = {"scene", "run_folder", "source", "action", "weight", "file", "suite", "runs"}
    for name, command in COMMANDS.items():
        options = {field.name for field in dataclasses.fields(command)} - common - positional
        found = {option.replace("-", "_") for option in re.findall(r"--([\w-]+)", usage[name])}
        assert found == options, name


def test_no_file_holds_a_merge_conflict():
    mark = re.compile(r"^(<{7}|>{7}) ", re.MULTILINE)
    for folder in ("docs", "src", "tests", "recipes", "benchmarks"):
        for path in (DOCS.parent / folder).rglob("*"):
            assert path.suffix not in (".md", ".py") or not mark.search(path.read_text(encoding="utf-8")), path


def test_every_axis_word_is_in_the_glossary():
    lines = re.findall(r"^    (\w+(?:, \w+)*)  +\S", sanerf.shapes.__doc__ or "", re.MULTILINE)
    known = {word for line in lines for word in line.split(", ")}
    unknown = set()
    for path in (ROOT / "src/sanerf").rglob("*.py"):
        shapes = re.findall(r'(?:Bool|Float|Int|UInt)\d*\[[\w.]+, "([^"]*)"\]', path.read_text())
        words = {word.lstrip("*") for shape in shapes for word in shape.split()}
        sized = {re.sub(r"^([hwc])\d$", r"\1", word) for word in words if not word.isdigit() and word != "_"}
        unknown |= {(path.name, word) for word in sized - known}
    assert not unknown
