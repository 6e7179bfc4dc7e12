"""The options of the doors as keywords: one list for `model_udf`, `score` and `score_table`, in signatures and in help.

What an option means, its default and its limits stand at its field of `ScoreOptions` or `JobConfig`.
"""

from __future__ import annotations

import inspect
import os
import textwrap
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypedDict, TypeVar

from spark_infer.config.incremental import IncrementalOptions
from spark_infer.config.job import JobConfig, UnitOptions
from spark_infer.config.resources import ResourceOptions
from spark_infer.config.score import CompileOptions, ScoreOptions
from spark_infer.config.steps import PostprocessStep
from spark_infer.errors import ConfigError, nearest

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
    batch_size: int | None
    max_batch_bytes: int | None
    deduplicate: str | None
    row_order: str | None
    accelerate: str | None
    trust: str | None
    digests: str | Sequence[str] | None
    refuse_pickle: bool | None
    scan_pickle: bool | None
    cache_bytes: int | None
    load_seconds: float | None
    predict_seconds: float | None
    model_files: str | os.PathLike[str] | None


class ScoreKeywords(UdfKeywords, total=False):
    """Options of `score`, which sees the table, and those that `model_udf` also takes by position."""

    params: Mapping[str, Any] | None
    model_config: Mapping[str, Any] | str | os.PathLike[str] | None
    extra_env: Mapping[str, str] | None
    preprocess: str | None
    compile: str | CompileOptions | Mapping[str, Any] | None


class JobKeywords(ScoreKeywords, total=False):
    """Options of `score_table`: those of a job file's ``score``, and keys of the job itself."""

    result_type: str | None
    name: str
    resources: ResourceOptions | Mapping[str, Any] | None
    plane: str
    engine: str
    deadline_seconds: float | None
    units: UnitOptions | Mapping[str, Any] | None
    incremental: bool | IncrementalOptions | Mapping[str, Any] | None


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


def refuse_unknown(door: Callable[..., Any], given: Iterable[str], lacks: Mapping[str, str]) -> None:
    """Refuse options that a door does not have.

    Args:
        door: The door.
        given: Names of its ``**options``.
        lacks: Options of other doors that it cannot have, each with the reason and what to do.

    Raises:
        ConfigError: There are such options; all of them, with the reason or the nearest name.
    """
    known = inspect.signature(door).parameters
    if unknown := [name for name in given if name not in known]:
        raise ConfigError(
            f"{door.__name__} has no option {', '.join(f'`{name}`' for name in unknown)}.",
            details=[_why(name, known, lacks) for name in unknown],
            next_step=f"help(spark_infer.{door.__name__}) lists its options.",
        )


def _why(name: str, known: Iterable[str], lacks: Mapping[str, str]) -> str:
    if name in lacks:
        return f"{name}: {lacks[name]}"
    if name in JOB_KEYS:
        return f"{name}: it is an option of score_table"
    return f"{name} is not an option{nearest(name, known)}"
