"""Rules of an existing Delta table, and of its MERGE, that some rows can never keep: told before any is scored."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from spark_infer.config import TargetConfig
from spark_infer.errors import TargetError
from spark_infer.tables.delta.log import LogState
from spark_infer.tables.formats import format_of
from spark_infer.tables.location import TableLocation

_UNCOMPARABLE = ((r"\bmap<", "map"), (r"(?:^|[:<,])variant(?:$|[,>])", "variant"))
"""A type stands after the colon of its field's name, which may itself be `variant`."""
_GENERATED = "delta.generationExpression"
_FILLED = {"delta.identity.start", _GENERATED, "CURRENT_DEFAULT"}
_CHAR = re.compile(r"\bchar\(\d+\)")


def refuse_appends_only(location: TableLocation, log: LogState | None) -> None:
    """Refuse a table whose rules forbid to take rows out.

    Raises:
        TargetError: Its log says so.
    """
    if log is not None and log.appends_only:
        raise TargetError(
            f"The table {location.name} takes no other writes than appends (delta.appendOnly).",
            next_step="choose mode append, or change the table.",
        )


def optional_columns(
    names: Collection[str], nullable: Collection[str], log: LogState | None, *, mode: str
) -> tuple[str, ...]:
    """Return the columns of a Delta table that rows need not bring: null there, or filled by Delta itself.

    Args:
        names: The table's columns.
        nullable: Those of them that may be null.
        log: What the table's log says; None where only Spark can read it.
        mode: The write mode. An append may lack a partition column only where Delta generates it, and rows that
            replace partitions have to say which.
    """
    filled = {each["name"] for each in _fields(log) if _FILLED & set(_metadata(each))}
    generated = {each["name"] for each in _fields(log) if _GENERATED in _metadata(each)}
    parts = () if mode == "merge" or log is None else log.partition_columns
    needed = {name for name in parts if name not in generated or mode != "append"}
    return tuple(name for name in names if name in {*nullable, *filled} - needed)


def identity_problems(log: LogState | None, brought: Collection[str], *, merges: bool) -> list[str]:
    """List the identity columns that rows with values of their own cannot go into.

    Args:
        log: What the table's log says; None where there is none, or only Spark can read it.
        brought: The columns of the rows.
        merges: Whether rows that are there are changed too: MERGE updates no identity column of either kind.
    """
    marked = [each for each in _fields(log) if "delta.identity.start" in _metadata(each) and each["name"] in brought]
    closed = [each["name"] for each in marked if not _metadata(each).get("delta.identity.allowExplicitInsert")]
    problems = [f"{name} is GENERATED ALWAYS AS IDENTITY, so that only Delta fills it" for name in closed]
    if merges:
        open_ = [each["name"] for each in marked if each["name"] not in closed]
        problems += [f"{name} is an identity column, which Delta's MERGE does not update" for name in open_]
    return problems


def merge_problems(
    target: TargetConfig, location: TableLocation, types: Mapping[str, str], log: LogState | None
) -> list[str]:
    """List what keeps rows from being merged into a table.

    Args:
        target: Where the rows should go, with the keys.
        location: The same place, found.
        types: Column to type, of the rows.
        log: What the table's log says; None where there is none, or only Spark can read it.
    """
    problems = (
        []
        if format_of(location.format).takes_merge
        else ["`merge` needs a Delta table: set `format: delta`, or choose another mode"]
    )
    if location.storage() is None:
        problems.append("`merge` needs a table whose folder this process can reach, to stage the scored rows beside it")
    problems += [f"`keys` names {key}, which is not a column of the target" for key in target.keys if key not in types]
    problems += [
        f"the column {name} has a ` in its name, which Delta's MERGE does not take" for name in types if "`" in name
    ]
    for kind, what in _UNCOMPARABLE:
        held = [key for key in target.keys if re.search(kind, types.get(key, ""))]
        problems += [f"the key {key} is or holds a {what}, which cannot be compared" for key in held]
    keys = [each for each in _fields(log) if each["name"] in target.keys]
    stored = {each["name"]: str(_metadata(each).get("__CHAR_VARCHAR_TYPE_STRING", "")) for each in keys}
    problems += [
        f"the key {name} is or holds a CHAR in the table, which Delta's MERGE cannot compare: VARCHAR and STRING it can"
        for name, kind in stored.items()
        if _CHAR.search(kind)
    ]
    return problems


def _fields(log: LogState | None) -> Sequence[Mapping[str, Any]]:
    return log.schema.get("fields", ()) if log is not None else ()


def _metadata(field: Mapping[str, Any]) -> Mapping[str, Any]:
    return field.get("metadata") or {}
