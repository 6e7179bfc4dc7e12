from __future__ import annotations

import datetime
from decimal import Decimal
from typing import Any

import numpy as np
import pytest

from spark_infer.config import ScoreOptions
from spark_infer.config.validate_options import validated
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
        "params.top must be long, got text",
        "params.stop must be a list of string, got text",
        "params.temperature must be double, got a truth value",
    )


def test_a_model_that_takes_no_parameters_is_given_none() -> None:
    with pytest.raises(ConfigError, match="no parameters"):
        resolve_params(None, {"a": 1})


@pytest.mark.parametrize(
    ("given", "plain"),
    [
        (np.int64(3), 3),
        (np.float32(1.5), 1.5),
        (np.bool_(True), True),
        (np.array([1, 2]), [1, 2]),
        ((1, 2), [1, 2]),
        ({"a": [np.int8(1)]}, {"a": [1]}),
        (np.datetime64("2025-01-01"), datetime.date(2025, 1, 1)),
        (np.datetime64("2025-01-01T01", "ns"), datetime.datetime(2025, 1, 1, 1)),
        (np.array(["2025-01-01T01"], "datetime64[us]"), [datetime.datetime(2025, 1, 1, 1)]),
        (datetime.datetime(2025, 1, 1), datetime.datetime(2025, 1, 1)),
    ],
)
def test_numbers_and_times_of_numpy_are_plain_values_that_a_record_can_hold(given: Any, plain: Any) -> None:
    options = validated(ScoreOptions, {"params": {"p": given}})
    assert options.params == {"p": plain}
    assert type(options.params["p"]) is type(plain)
    options.model_dump_json()


@pytest.mark.parametrize("given", [Decimal(1), object(), [object()], np.datetime64("2025-01-01T00:00:00.000000001")])
def test_another_kind_of_value_is_refused(given: Any) -> None:
    with pytest.raises(ConfigError, match=r"params: (a time is finer|\w+ is not a number)"):
        validated(ScoreOptions, {"params": {"p": given}})
