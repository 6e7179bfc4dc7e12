"""What the arguments of `score_table` and `score_stream` mean as keys of a job file."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from spark_infer.config import JobConfig, ScoreOptions
from spark_infer.engines.local.ddl import parse_ddl
from spark_infer.models.callables.callable_model import as_callable_model
from spark_infer.models.callables.pin import pin_callable, uri_of
from spark_infer.models.configuration import read_configuration
from spark_infer.models.driver import open_store
from spark_infer.models.ref import ModelRef


def source_settings(source: Any, name: str | None) -> Any:
    """Return the keys of ``source`` that an argument of `score_table` stands for, which may be a DataFrame."""
    named = {} if name is None else {"frame_name": name}
    if isinstance(source, Mapping):
        return {**source, **named}
    if isinstance(source, str | os.PathLike):
        return {"path": source, **named} if named else source
    return {"frame": source, **named}


def pinned_model(model: Any, config: JobConfig) -> ModelRef | None:
    """Return the exact model that a caller passed as one, or as plain Python; None for a URI, which a job resolves."""
    if isinstance(model, ModelRef):
        return model
    plain_python = None if isinstance(model, str) else as_callable_model(model)
    return None if plain_python is None else pin_callable(plain_python, config.score, open_store(), parse_ddl)


def job_settings(model: Any, options: Mapping[str, Any], **tables: Any) -> dict[str, Any]:
    """Return the keys of a job file that the arguments of a door stand for.

    Args:
        model: Model URI, the keys of ``model``, or a `ModelRef`.
        options: Keys of the job and of its ``score``; others are left out.
        **tables: The source and the target.
    """
    of_score = set(ScoreOptions.settings())
    keys_of_job = set(JobConfig.settings()) - of_score  # `params` are those of the model
    score: dict[str, Any] = {name: value for name, value in options.items() if name in of_score | keys_of_job}
    if score.get("on_error", "") is None:  # the default, as for every option in Python; in a job file it is the word
        del score["on_error"]
    of_job = {key: score.pop(key) for key in keys_of_job & score.keys()}
    if (configuration := read_configuration(score.pop("model_config", None))) is not None:
        score["model_config"] = configuration
    plain_python = None if isinstance(model, str) else as_callable_model(model)
    uri = model.uri if isinstance(model, ModelRef) else model if plain_python is None else uri_of(plain_python)
    return {**of_job, "model": uri, **tables, "score": score}
