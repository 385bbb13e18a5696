"""From the words of the command line to a command. What is wrong with them is one sentence.

tyro, which parses, says what is wrong in a framed box of many lines on stderr. Its words are read from that box, drawn
so wide that none of them breaks, and said anew. A message that is not known here keeps tyro's own words, on one line.
"""

import difflib
import io
import os
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr
from typing import Any

import tyro

from sanerf.errors import UserError

_DESCRIPTION = "Click an object in one photograph and get it out in 3D."
_KINDS = {"int": "a whole number", "float": "a number"}


def parse_command(commands: Mapping[str, Any], words: Sequence[str]) -> Any:
    """The command of `commands` that `words` (the command line without the program's name) ask for, with its options.

    Raises UserError of one sentence where they cannot be understood, and SystemExit with code 0 after --help.
    """
    said = io.StringIO()
    try:
        with redirect_stderr(said):
            command = tyro.extras.subcommand_cli_from_dict(
                dict(commands), prog="sanerf", description=_DESCRIPTION, args=list(words)
            )
    except SystemExit as ended:
        if not ended.code:
            raise
    else:
        sys.stderr.write(said.getvalue())
        return command
    if not words or words[0] not in commands:
        raise UserError(f"{_no_command(commands, words)}; see `sanerf --help`")
    called = f"sanerf {words[0]}"
    try:
        with _wide_terminal(), redirect_stderr(said := io.StringIO()):
            return tyro.cli(commands[words[0]], prog=called, args=list(words[1:]))
    except SystemExit:
        raise UserError(f"{_one_sentence(called, said.getvalue())}; see `{called} --help`") from None


@contextmanager
def _wide_terminal() -> Iterator[None]:
    before = os.environ.get("COLUMNS")
    os.environ["COLUMNS"] = "10000"
    try:
        yield
    finally:
        del os.environ["COLUMNS"]
        if before is not None:
            os.environ["COLUMNS"] = before


def _no_command(commands: Mapping[str, Any], words: Sequence[str]) -> str:
    known = f"the commands are {', '.join(commands)}"
    if not words:
        return f"a command is missing; {known}"
    if words[0].startswith("-"):
        return f"a command comes first and then its options, not {words[0]!r}; {known}"
    near = difflib.get_close_matches(words[0], commands, n=1)
    return f"there is no command {words[0]!r}; " + (f"perhaps {near[0]} is meant" if near else known)


def _one_sentence(called: str, box: str) -> str:
    """What the box says. Its first paragraph is the message, the others explain it."""
    paragraphs = _paragraphs(box)
    message = " ".join(" ".join(paragraphs[0]).split())
    if message.startswith("Missing from "):
        needed = [line.strip() for line in paragraphs[0][1:] if re.match(r" {4}\S", line)]
        unknown = next((p[1:] for p in paragraphs[1:] if p[0].startswith("Unrecognized options")), [])
        parts = [f"{called} needs {_and(needed)}"]
        parts += [_not_known([word.strip() for word in unknown], paragraphs)] if unknown else []
        return " and ".join(parts)
    if unknown := re.match(r"Unrecognized options: (.*)", message):
        return f"{called} {_not_known(unknown[1].split(', '), paragraphs)}"
    if choice := re.match(r"invalid choice '(.*)' for argument '(.*?)'\. Expected one of \((.*)\)\.$", message):
        choices = re.findall(r"'([^']*)'", choice[3])
        name = choice[2] if choice[2].startswith("-") else choice[2].upper()
        return f"{name} should be {_and(choices, 'or')}, not {choice[1]!r}"
    if empty := re.match(r"Missing value for argument '(.*?)'", message):
        return f"{empty[1]} needs a value" if empty[1].startswith("-") else f"{called} needs {empty[1].upper()}"
    if value := re.match(r"Error parsing (.*?): .*\b(int|float)\b.*: '(.*)'$", message):
        return f"{value[1]} should be {_KINDS[value[2]]}, not {value[3]!r}"
    return message.rstrip(".") or f"{called} does not understand its options"


def _paragraphs(box: str) -> list[list[str]]:
    """What stands between the rules. Where stdout knows no frames the box is drawn in blanks, with a rule below its
    title; where nothing is drawn, all that was said is one paragraph."""
    lines = box.splitlines()
    framed = [line for line in lines if line.startswith("\u2502")]
    parts: list[list[str]] = [[]]
    for line in framed or lines:
        text = line[2:-2].rstrip()
        if re.fullmatch(r"[\u2500-]{3,}", text.strip()):
            parts.append([])
        elif text:
            parts[-1].append(text)
    return [part for part in parts[bool(not framed and parts[1:]) :] if part] or [lines]


def _not_known(words: Sequence[str], paragraphs: Sequence[Sequence[str]]) -> str:
    """Words that found no place, and what may have been meant. The value of an unknown option is not a fault of its
    own."""
    options = [word for word in words if word.startswith("-")]
    if not options:
        return f"has no place for {_and([repr(word) for word in words])}"
    near = [line.split()[0].rstrip(",") for part in paragraphs[1:] for line in part[1:] if re.match(r" {4}--\S", line)]
    near = [name for name in dict.fromkeys(near) if name not in options]
    return f"has no option {_and(options, 'or')}" + (f"; perhaps {_and(near, 'or')} is meant" if near else "")


def _and(words: Sequence[str], last: str = "and") -> str:
    return f" {last} ".join([*([", ".join(words[:-1])] if words[1:] else []), *words[-1:]])
