"""The keywords of the doors are the options of a job file, by name and type; each door shows and checks its own."""

from __future__ import annotations

import inspect
from typing import Unpack, get_type_hints

import pytest
from pydantic import ConfigDict, TypeAdapter

from spark_infer.config import JobConfig, ScoreOptions
from spark_infer.config.keywords import JOB_KEYS, JobKeywords, ScoreKeywords, UdfKeywords, refuse_unknown, spells_out
from spark_infer.errors import ConfigError

EVERYTHING = {
    "inputs": "a",
    "params": {"k": 1},
    "model_config": {"k": 1},
    "extra_env": {"A": "1"},
    "backend": "sklearn",
    "predict_method": "predict",
    "result_type": "double",
    "allow_casts": "long->double",
    "preprocess": "m:f",
    "postprocess": "m:g",
    "batch_size": 1,
    "max_batch_bytes": 1,
    "deduplicate": "auto",
    "row_order": "trust",
    "accelerate": "off",
    "compile": "onnx",
    "trust": "digests",
    "digests": "0" * 64,
    "refuse_pickle": True,
    "scan_pickle": True,
    "cache_bytes": 1,
    "load_seconds": 1.0,
    "predict_seconds": 1.0,
    "model_files": "/mnt/models",
}


@spells_out(UdfKeywords)
def door(uri: str, *, mine: str = "", **options: Unpack[UdfKeywords]) -> None:
    """Open it.

    Args:
        uri: Where.
        mine: Mine.
        **options: The others.

    Returns:
        Nothing.
    """
    refuse_unknown(door, options, lacks={"compile": "a door sees no rows; use the window"})


def test_the_keywords_are_the_options_of_a_job_file() -> None:
    options, job = set(ScoreOptions.settings()), set(JobConfig.settings())
    assert set(JobKeywords.__annotations__) - JOB_KEYS == options
    assert set(ScoreKeywords.__annotations__) == options - {"result_type"}  # `score` takes Spark's types too
    assert job >= JOB_KEYS


@pytest.mark.parametrize("name", sorted(ScoreOptions.settings()))
def test_a_keyword_takes_what_a_job_file_can_say_and_what_an_option_holds(name: str) -> None:
    kind: TypeAdapter[object] = TypeAdapter(
        get_type_hints(JobKeywords)[name], config=ConfigDict(arbitrary_types_allowed=True)
    )
    attribute = {field.alias or its_name: its_name for its_name, field in ScoreOptions.model_fields.items()}[name]
    held = getattr(ScoreOptions.model_validate(EVERYTHING), attribute)
    default = getattr(ScoreOptions(), attribute)
    assert held != default
    for value in (EVERYTHING[name], held, default):
        kind.validate_python(value, strict=True)


def test_a_door_shows_its_options_in_its_signature_and_its_docstring() -> None:
    shown = inspect.signature(door).parameters
    assert list(shown) == ["uri", "mine", *UdfKeywords.__annotations__]
    assert (str(shown["batch_size"]), shown["cache_bytes"].default) == ("batch_size: 'int | None' = None", 4 * 2**30)
    text = " ".join((door.__doc__ or "").split())
    for name in UdfKeywords.__annotations__:
        assert f"{name}: {ScoreOptions.settings()[name].description}" in text
    assert ("**options" in text, text[-17:]) == (False, "Returns: Nothing.")


def test_an_option_that_a_door_lacks_is_refused_with_the_reason_or_the_nearest_name() -> None:
    with pytest.raises(ConfigError) as caught:
        door("m", batch_sizes=5, compile="onnx", plane="direct", mines="")  # type: ignore[call-arg]
    assert str(caught.value).splitlines() == [
        "door has no option `batch_sizes`, `compile`, `plane`, `mines`.",
        "  batch_sizes is not an option (did you mean 'batch_size' or 'max_batch_bytes'?)",
        "  compile: a door sees no rows; use the window",
        "  plane: it is an option of score_table",
        "  mines is not an option (did you mean 'mine'?)",
        "Next: help(spark_infer.door) lists its options.",
    ]
