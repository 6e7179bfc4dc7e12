from __future__ import annotations

import pytest

from spark_infer.core.signature import Param, Signature
from spark_infer.errors import ConfigError
from spark_infer.models.params import resolve_params

SIGNATURE = Signature(
    inputs=(),
    params=(
        Param(name="temperature", type="double", default=1.0),
        Param(name="top", type="long", default=3),
        Param(name="stop", type="string", default=["."], shape=(-1,)),
    ),
)


def test_given_parameters_go_over_the_defaults() -> None:
    assert resolve_params(SIGNATURE, {"top": 5}) == {"temperature": 1.0, "top": 5, "stop": ["."]}


def test_without_parameters_the_model_keeps_its_own_defaults() -> None:
    assert resolve_params(SIGNATURE, {}) == {}


def test_all_problems_come_at_once() -> None:
    with pytest.raises(ConfigError) as refusal:
        resolve_params(SIGNATURE, {"temprature": 1, "top": "5", "stop": ".", "temperature": True})
    assert refusal.value.details == (
        "params.temprature is not a parameter of the model (did you mean 'temperature'?)",
        "params.top must be long, got str",
        "params.stop must be a list of string, got str",
        "params.temperature must be double, got bool",
    )


def test_a_model_that_takes_no_parameters_is_given_none() -> None:
    with pytest.raises(ConfigError, match="no parameters"):
        resolve_params(None, {"a": 1})
