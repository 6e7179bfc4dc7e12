"""The keywords of the doors are the options of a job file, by name and type; each door shows and checks its own."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import get_type_hints

import pytest
from pydantic import ConfigDict, TypeAdapter
from typing_extensions import Unpack

from spark_infer.config import JobConfig, ScoreOptions
from spark_infer.config.keywords import (
    JOB_KEYS,
    OF_SCORE,
    OF_UDF,
    JobKeywords,
    ScoreKeywords,
    UdfKeywords,
    spells_out,
    unknown_options,
)

ROOT = Path(__file__).parents[3]

EVERYTHING = {
    "inputs": "a",
    "params": {"k": 1},
    "model_config": {"k": 1},
    "extra_env": {"A": "1"},
    "backend": "sklearn",
    "predict_method": "predict",
    "result_type": "double",
    "allow_casts": "long->double",
    "decode": {"image": {"size": 8}},
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
    "on_error": "null",
    "error_column": "why",
    "max_bad_rows": 1,
    "max_bad_fraction": 0.5,
    "hosting": "worker",
    "prefetch": "off",
    "isolation": "process",
    "expect": {"prediction": {"min": 0.0}},
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
    assert (str(shown["batch_size"]), shown["cache_bytes"].default) == (
        "batch_size: 'int | str | None' = None",
        4 * 2**30,
    )
    text = " ".join((door.__doc__ or "").split())
    for name in UdfKeywords.__annotations__:
        assert f"{name}: {ScoreOptions.settings()[name].description}" in text
    assert ("**options" in text, text[-17:]) == (False, "Returns: Nothing.")


def test_an_option_that_a_door_lacks_is_refused_with_the_reason_or_the_nearest_name() -> None:
    given = ("batch_sizes", "compile", "plane", "mines", "colour")
    assert unknown_options(door, given, lacks={"compile": "a door sees no rows; use the window"}) == [
        "door has no option 'batch_sizes' (did you mean 'batch_size' or 'max_batch_bytes'?)",
        "door has no option 'compile': a door sees no rows; use the window",
        "door has no option 'plane': it is an option of score_table",
        "door has no option 'mines' (did you mean 'mine'?)",
        "door has no option 'colour'",
    ]


@spells_out(JobKeywords)
def job_door(*, source: str, target: str, model: str, **options: Unpack[JobKeywords]) -> None:
    """Open it."""


@pytest.mark.parametrize(
    ("opened", "name", "answer"),
    [
        (door, "mode", ": it is a key of `target`, as in score_table(…, target={'mode': …})"),
        (door, "mod", " (did you mean 'mode'? it is a key of `target`, as in score_table(…, target={'mode': …}))"),
        (door, "keep", ": it is an option of score"),
        (door, "keeps", " (did you mean 'keep'? it is an option of score)"),
        (door, "deterministic", ": it is an option of model_udf"),
        (door, "format", ": it is a key of `source` and `target`, as in score_table(…, source={'format': …})"),
        (door, "engin", " (did you mean 'engine'? it is an option of score_table)"),
        (job_door, "keep", ": it is a key of `target`, as in target={'keep': …}"),
        (job_door, "where", ": it is a key of `source`, as in source={'where': …}"),
        (job_door, "env_manager", ": it is an option of model_udf"),
        (job_door, "batchsize", " (did you mean 'batch_size'?)"),
    ],
)
def test_an_option_of_another_door_is_refused_with_the_door_that_has_it(
    opened: Callable[..., None], name: str, answer: str
) -> None:
    assert unknown_options(opened, [name], lacks={}) == [f"{opened.__name__} has no option {name!r}{answer}"]


def test_options_of_one_door_alone_are_those_of_its_signature() -> None:
    of_score, of_udf = (
        {argument.arg for argument in (*function.args.args, *function.args.kwonlyargs)}
        for name in ("dataframe", "udf")
        for function in ast.walk(ast.parse((ROOT / f"spark_infer/spark/{name}.py").read_text(encoding="utf-8")))
        if isinstance(function, ast.FunctionDef) and function.name in ("score", "model_udf")
    )
    assert {*OF_SCORE} == of_score - of_udf - {"df", "spark"}
    assert {*OF_UDF} == of_udf - of_score - {"spark", *ScoreKeywords.__annotations__}
