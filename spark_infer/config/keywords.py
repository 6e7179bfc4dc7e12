"""The options of the doors as keywords: one list for `model_udf`, `score` and `score_table`, in signatures and in help.

What an option means, its default and its limits stand at its field of `ScoreOptions` or `JobConfig`.
"""

from __future__ import annotations

import inspect
import os
import textwrap
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypedDict, TypeVar

from spark_infer.config.aggregate import AggregateConfig
from spark_infer.config.annotations import groups
from spark_infer.config.compile import CompileOptions
from spark_infer.config.decode import DecodeOptions
from spark_infer.config.expect import ExpectedColumn
from spark_infer.config.incremental import IncrementalOptions
from spark_infer.config.isolation import IsolationOptions
from spark_infer.config.job import JobConfig
from spark_infer.config.quarantined import QuarantinedOptions
from spark_infer.config.resources import ResourceOptions
from spark_infer.config.retry import RetryOptions
from spark_infer.config.score import ScoreOptions
from spark_infer.config.steps import PostprocessStep
from spark_infer.config.unit_size import UnitOptions
from spark_infer.errors import ConfigError, did_you_mean, nearest_names
from spark_infer.printable import kind_in_words, quoted

Door = TypeVar("Door", bound=Callable[..., Any])

_INDENT = " " * 8
_COLUMNS = 120


class UdfKeywords(TypedDict, total=False):
    """Options that every door has."""

    inputs: str | Sequence[str] | None
    backend: str | None
    predict_method: str | Sequence[str] | None
    allow_casts: str | Sequence[str] | None
    postprocess: str | Mapping[str, Any] | Sequence[PostprocessStep | Mapping[str, Any] | str] | None
    batch_size: int | str | None
    max_batch_bytes: int | None
    deduplicate: str | None
    row_order: str | None
    accelerate: str | None
    prefetch: str | None
    trust: str | None
    digests: str | Sequence[str] | None
    refuse_pickle: bool | None
    scan_pickle: bool | None
    cache_bytes: int | None
    load_seconds: float | None
    predict_seconds: float | None
    on_error: str | None
    error_column: str | None
    max_bad_rows: int | None
    max_bad_fraction: float | None
    hosting: str | None
    isolation: str | IsolationOptions | Mapping[str, Any] | None
    expect: Mapping[str, ExpectedColumn | Mapping[str, Any]] | None
    model_files: str | os.PathLike[str] | None


class ScoreKeywords(UdfKeywords, total=False):
    """Options of `score`, which sees the table, and those that `model_udf` also takes by position."""

    params: Mapping[str, Any] | None
    model_config: Mapping[str, Any] | str | os.PathLike[str] | None
    extra_env: Mapping[str, str] | None
    decode: DecodeOptions | Mapping[str, Any] | None
    preprocess: str | None
    compile: str | CompileOptions | Mapping[str, Any] | None


class JobKeywords(ScoreKeywords, total=False):
    """Options of `score_table`: those of a job file's ``score``, and keys of the job itself."""

    result_type: str | None
    name: str
    resources: ResourceOptions | Mapping[str, Any] | None
    plane: str
    engine: str
    min_rows: int
    fail_on_empty: bool
    deadline_seconds: float | None
    max_runtime: float | str | None
    retry: RetryOptions | Mapping[str, Any] | None
    units: UnitOptions | Mapping[str, Any] | None
    incremental: bool | IncrementalOptions | Mapping[str, Any] | None
    quarantine: str | Mapping[str, Any] | None
    cache: str | Mapping[str, Any] | None
    aggregate: AggregateConfig | Mapping[str, Any] | None
    quarantined: bool | QuarantinedOptions | Mapping[str, Any] | None


class StreamKeywords(ScoreKeywords, total=False):
    """Options of `score_stream`: those of a job file's ``score``, and keys of the job itself."""

    result_type: str | None
    name: str
    resources: ResourceOptions | Mapping[str, Any] | None
    refresh_model: bool
    stream_options: Mapping[str, str | int | bool] | None
    quarantine: str | Mapping[str, Any] | None


OF_SCORE = ("keep", "where", "model_name_column", "model_version_column", "resources")
OF_UDF = ("deterministic", "env_manager", "prebuilt_env_uri")
"""Options of one door alone, which it does not share through the lists above."""

JOB_KEYS = frozenset(JobKeywords.__annotations__) - frozenset(ScoreOptions.settings())
"""Which of `JobKeywords` are keys of the job itself."""


def spells_out(keywords: type[Any]) -> Callable[[Door], Door]:
    """Show a door's options, one by one, in its signature and docstring: for `help`, notebooks and the API reference.

    Args:
        keywords: The `TypedDict` of its ``**options``, whose line in the docstring the options replace.
    """
    fields = {**JobConfig.settings(), **ScoreOptions.settings()}
    types = {name: getattr(each, "__forward_arg__", each) for name, each in keywords.__annotations__.items()}

    def spell_out(door: Door) -> Door:
        signature = inspect.signature(door)
        *own, options = signature.parameters.values()
        more = [
            inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=_default(fields[name]), annotation=kind)
            for name, kind in types.items()
        ]
        door.__signature__ = signature.replace(parameters=[*own, *more])  # type: ignore[attr-defined]
        before, mark, after = (door.__doc__ or "").partition(f"{_INDENT}**{options.name}: ")
        if mark:  # none with `python -OO`
            described = (_described(name, fields[name].description or "") for name in types)
            door.__doc__ = before + "\n".join(described) + "\n" + after.partition("\n")[2]
        return door

    return spell_out


def _default(field: Any) -> object:
    return None if field.default_factory is not None else field.default


def _described(name: str, description: str) -> str:
    return textwrap.fill(
        f"{name}: {description}", _COLUMNS, initial_indent=_INDENT, subsequent_indent=_INDENT + " " * 4
    )


def unknown_options(door: Callable[..., Any], given: Iterable[str], lacks: Mapping[str, str]) -> list[str]:
    """Say which options a door does not have, and who has them or which name is meant.

    Args:
        door: The door.
        given: Names of options.
        lacks: Options of other doors that it cannot have, each with the reason and what to do.
    """
    known = inspect.signature(door).parameters
    unknown = [name for name in given if name not in known]
    return [f"{door.__name__} has no option {quoted(name)}{_why(name, known, lacks)}" for name in unknown]


def _why(name: str, known: Mapping[str, Any], lacks: Mapping[str, str]) -> str:
    homes = {each: home for each, home in {**_homes("target" in known), **lacks}.items() if each not in known}
    if name in homes:
        return f": {homes[name]}"
    near = nearest_names(name, [*known, *homes])
    if near and near[0] in homes:
        return f" (did you mean {near[0]!r}? {homes[near[0]]})"
    return did_you_mean([each for each in near if each in known])


def _homes(is_job: bool) -> dict[str, str]:
    """Say of every option who has it: for a job, as the key of a group before as an option of another door."""
    in_groups: dict[str, list[str]] = {}
    for group in ("source", "target", "model", "resources", "units"):
        for name in next(iter(groups(JobConfig.settings()[group]))).settings():
            in_groups.setdefault(name, []).append(group)
    of_groups = {
        name: f"it is a key of {' and '.join(f'`{group}`' for group in names)}, as in "
        f"{'' if is_job else 'score_table(…, '}{names[0]}={{{name!r}: …}}{'' if is_job else ')'}"
        for name, names in in_groups.items()
    }
    of_job = dict.fromkeys(JOB_KEYS, "it is an option of score_table")
    of_score = dict.fromkeys((*ScoreKeywords.__annotations__, *OF_SCORE), "it is an option of score")
    of_udf = dict.fromkeys(OF_UDF, "it is an option of model_udf")
    return of_udf | of_score | of_job | of_groups if is_job else of_groups | of_job | of_score | of_udf


def mapping(given: object, name: str) -> dict[str, Any]:
    """Return the keys of an option that is a mapping; None has none.

    Raises:
        ConfigError: It is something else.
    """
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        raise ConfigError(
            f"{name} is {kind_in_words(given)}, and should be a mapping of its keys.",
            next_step="docs/job-file.md lists them.",
        )
    return dict(given)
