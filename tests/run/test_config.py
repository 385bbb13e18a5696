"""The configuration on disk: there and back, and what is said of a key that is wrong."""

import dataclasses
import json
from dataclasses import dataclass

import pytest

from sanerf.errors import UserError
from sanerf.run.config import RunConfig, TrainingConfig, from_json, to_json


def changed() -> RunConfig:
    return RunConfig(seed=5, downscale=4, training=TrainingConfig(steps=7, learning_rate=0.125))


@pytest.mark.parametrize("config", [RunConfig(), changed()])
def test_a_configuration_comes_back_equal_from_json_text(config):
    assert from_json(RunConfig, json.loads(json.dumps(to_json(config)))) == config


def test_what_is_left_out_has_its_default():
    assert from_json(RunConfig, {"training": {"steps": 7}}) == RunConfig(training=TrainingConfig(steps=7))


def test_a_whole_number_will_do_for_a_float():
    found = from_json(RunConfig, {"training": {"checkpoint_seconds": 5}}).training.checkpoint_seconds
    assert (found, type(found)) == (5.0, float)


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({"sed": 1}, r"unknown key 'sed'; known are .*seed"),
        ({"training": {"step": 1}}, r"unknown key 'training\.step'"),
        ({"training": {"steps": "many"}}, r"training\.steps should be int, not 'many'"),
        ({"training": {"steps": 2.5}}, r"training\.steps should be int, not 2\.5"),
        ({"training": {"learning_rate": True}}, r"training\.learning_rate should be float, not True"),
        ({"seed": True}, "seed should be int, not True"),
        ({"seed": None}, "seed should be int, not None"),
        ({"training": 3}, r"training\.? should be a JSON object, not int"),
        ([], "the configuration should be a JSON object, not list"),
    ],
)
def test_a_wrong_key_or_type_is_named(document, message):
    with pytest.raises(UserError, match=message):
        from_json(RunConfig, document)


@dataclass(frozen=True)
class Optional:
    limit: float | None = 1.0


def test_an_optional_value_may_be_null():
    assert from_json(Optional, {"limit": None}).limit is None
    assert from_json(Optional, {"limit": 2}).limit == 2.0
    with pytest.raises(UserError, match="limit should be float"):
        from_json(Optional, {"limit": "far"})


def test_a_configuration_cannot_be_changed_in_place():
    with pytest.raises(dataclasses.FrozenInstanceError):
        RunConfig().seed = 1
