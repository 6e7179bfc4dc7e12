"""Which columns of a feature table a job joins to its source, and whether the two tables fit; nothing is read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import pyarrow as pa

from spark_infer.config.features import FeaturesConfig
from spark_infer.errors import SourceError, nearest
from spark_infer.tables.spark_json import type_names

_INTEGERS = ("tinyint", "smallint", "int", "bigint")
_TIMES = (*_INTEGERS, "date", "timestamp", "timestamp_ntz")
_KEYS = (*_TIMES, "string", "binary", "boolean", "decimal")


@dataclass(frozen=True, kw_only=True)
class FeatureJoin:
    """A join of features, whose columns are known to fit.

    Attributes:
        name: The feature table.
        keys: Column of the source to column of the feature table.
        time: The columns with the time in the source and in the feature table; None for a plain lookup.
        columns: Column of the feature table to its name beside the source's columns.
    """

    name: str
    keys: Mapping[str, str]
    time: tuple[str, str] | None
    columns: Mapping[str, str]


def plan_join(config: FeaturesConfig, source: pa.Schema, features: pa.Schema) -> FeatureJoin:
    """Check that features can be joined to a source.

    Args:
        config: What the job says of them.
        source: The columns of the source, and of features that are joined before these.
        features: The columns of the feature table.

    Raises:
        SourceError: Columns are missing, of types that do not compare, or have names that are taken; all at once.
    """
    keys, time = config.key_columns, config.time_columns
    mine, theirs = type_names(source), type_names(features)
    columns = _columns(config, theirs)
    problems = [
        *(problem for pair in keys.items() for problem in _pair_problems(pair, mine, theirs, _KEYS)),
        *(() if time is None else _pair_problems(time, mine, theirs, _TIMES)),
        *_column_problems(columns, mine, theirs),
    ]
    if problems:
        raise SourceError(
            f"The features of {config.name} cannot be joined to the source.",
            details=problems,
            next_step="change `keys`, `as_of` or `columns`; a mapping of `columns` gives them new names.",
        )
    return FeatureJoin(name=config.name, keys=keys, time=time, columns=columns)


def _columns(config: FeaturesConfig, theirs: Mapping[str, str]) -> dict[str, str]:
    if isinstance(config.columns, dict):
        return dict(config.columns)
    if config.columns != "all":
        return {name: name for name in config.columns}
    used = {*config.key_columns.values(), *(config.time_columns or ())[1:]}
    return {name: name for name in theirs if name not in used}


def _pair_problems(
    pair: tuple[str, str], mine: Mapping[str, str], theirs: Mapping[str, str], kinds: tuple[str, ...]
) -> Iterator[str]:
    ours, other = pair
    missing = [
        f"{name}: the {side} has no such column{nearest(name, types)}"
        for name, side, types in ((ours, "source", mine), (other, "feature table", theirs))
        if name not in types
    ]
    if missing:
        yield from missing
        return
    left, right = mine[ours], theirs[other]
    if left.partition("(")[0].partition(" ")[0] not in kinds:  # decimal(9,2), string collate UTF8_LCASE
        yield f"{ours}: a column of type {left} does not say which rows belong together"
    elif left != right and not {left, right} <= set(_INTEGERS):
        yield f"{ours}: the source has {left}, the feature table has {right} in {other}"


def _column_problems(columns: Mapping[str, str], mine: Mapping[str, str], theirs: Mapping[str, str]) -> Iterator[str]:
    if not columns:
        yield "the feature table has no column beside keys and times"
    taken = {name.casefold(): name for name in mine}
    for name, new in columns.items():
        if name not in theirs:
            yield f"{name}: the feature table has no such column{nearest(name, theirs)}"
        if new.casefold() in taken:
            yield f"{new}: there is a column of this name already"
        taken[new.casefold()] = new
