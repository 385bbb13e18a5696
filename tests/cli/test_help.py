"""What `--help` says of every command."""

import re

import pytest

from sanerf import __version__
from sanerf.cli.commands import COMMANDS


@pytest.mark.parametrize("command", COMMANDS)
def test_help_shows_what_an_option_wants_and_never_none(command, sanerf):
    ended = sanerf(command, "--help")
    assert ended.code == 0
    assert re.search(r"--seed INT", ended.out)
    assert "None" not in ended.out


def test_options_that_need_not_be_given_have_a_placeholder(sanerf):
    assert re.search(r"sanerf doctor \[-h\] \[SCENE\]", sanerf("doctor", "--help").out)
    ended = sanerf("evaluate", "--help")
    for shown in (r"--masks DIR ", r"--name NAME ", r"--report PATH\.html "):
        assert re.search(shown, ended.out), ended.out
    ended = sanerf("segment", "--help")
    assert re.search(r"--prompts PROMPTS\.json ", ended.out) and re.search(r"--remove NAME,NAME ", ended.out)
    assert re.search(r"--holdout every:8\|none\|FILE", sanerf("train", "--help").out)


def test_the_version_is_printed(sanerf):
    ended = sanerf("--version")
    assert (ended.code, ended.out, ended.err) == (0, f"sanerf {__version__}\n", "")
