"""Words that are no command or no option: one sentence and exit code 2, however wide the terminal and whatever it
draws."""

import os

import pytest
from command_process import assert_refused, in_a_process

from sanerf.cli.arguments import parse_command
from sanerf.cli.commands import COMMANDS
from sanerf.errors import UserError

TRAIN = ("train", "scene", "--out", "run")
HELP = "; see `sanerf train --help`$"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "a command is missing; the commands are demo, .* weights; see `sanerf --help`$"),
        (("trian", "scene"), "there is no command 'trian'; perhaps train is meant; see `sanerf --help`$"),
        (("xyzzy",), "there is no command 'xyzzy'; the commands are demo, "),
        (("--seed", "3", *TRAIN), "a command comes first and then its options, not '--seed'; "),
        (("train",), "sanerf: sanerf train needs SCENE and --out RUN" + HELP),
        ((*TRAIN, "--stpes", "3"), "sanerf train has no option --stpes; perhaps --steps is meant" + HELP),
        ((*TRAIN, "--what", "rgb"), "sanerf train has no option --what" + HELP),
        (("train", "scene", "--uot", "run"), "sanerf train needs --out RUN and has no option --uot" + HELP),
        ((*TRAIN, "second"), "sanerf train has no place for 'second'" + HELP),
        ((*TRAIN, "--steps", "many"), "sanerf: --steps should be a whole number, not 'many'" + HELP),
        ((*TRAIN, "--seed", "1.5"), "sanerf: --seed should be a whole number, not '1.5'" + HELP),
        ((*TRAIN, "--minutes", "two"), "sanerf: --minutes should be a number, not 'two'" + HELP),
        ((*TRAIN, "--backend", "jax"), "--backend should be auto, torch, numba or triton, not 'jax'" + HELP),
        ((*TRAIN, "--steps"), "sanerf: --steps needs a value" + HELP),
        (("weights", "buy"), "sanerf: ACTION should be list, verify, pull or add, not 'buy'; "),
    ],
)
def test_what_cannot_be_parsed_is_one_sentence_and_names_the_help(words, message, sanerf):
    ended = sanerf(*words)
    assert_refused(ended, message)
    assert ended.err.count("\n") == 1


def test_a_narrow_terminal_breaks_no_words_and_keeps_its_width(monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    long = "a" * 90
    with pytest.raises(UserError, match=f"^--backend should be auto, torch, numba or triton, not '{long}'; see "):
        parse_command(COMMANDS, [*TRAIN, "--backend", long])
    assert os.environ["COLUMNS"] == "40"


def test_the_same_where_stdout_knows_no_frames():
    prelude = "import sys; sys.stdout.reconfigure(encoding='ascii')"
    assert_refused(in_a_process(*TRAIN, "--stpes", "3", prelude=prelude), "no option --stpes; perhaps --steps is")
    assert_refused(in_a_process("train", prelude=prelude), "sanerf train needs SCENE and --out RUN" + HELP)
