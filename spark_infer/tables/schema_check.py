"""Does a frame fit the target: its columns, its types, its partitioning. Every problem is listed, nothing is cast."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence

import pyarrow as pa

from spark_infer.errors import nearest
from spark_infer.tables.spark_json import may_be_null, type_json, type_name, type_names

_UNSTORABLE = ("void", "interval", "map", "array", "struct", "variant", "binary")
_DELTA_FORBIDS = frozenset(" ,;{}()\n\t=")
_INTEGERS = ("tinyint", "smallint", "int", "bigint")


def storable_problems(schema: pa.Schema, *, plain_names: bool) -> list[str]:
    """List the columns that no table can hold: names used twice, types without a stored form.

    Args:
        schema: The frame's schema.
        plain_names: Whether the format forbids blanks and punctuation in names (Delta without column mapping).
    """
    counts = Counter(each.name.casefold() for each in schema)
    problems = [f"the column {name!r} occurs {count} times" for name, count in counts.items() if count > 1]
    for name, kind in type_names(schema).items():
        if "void" in kind or "interval" in kind:
            problems.append(f"{name}: the type {kind} cannot be stored")
        if plain_names and _DELTA_FORBIDS & set(name):
            problems.append(f"{name!r}: a new Delta table allows no blank and none of , ; {{ }} ( ) = in a name")
    return problems


def partitioning_problems(partition_by: Sequence[str], schema: pa.Schema) -> list[str]:
    """List what keeps a frame from being partitioned by these columns."""
    types = type_names(schema)
    problems = []
    for name, count in Counter(partition_by).items():
        if name not in types:
            problems.append(f"there is no column {name!r}{nearest(name, types)}")
        elif types[name].startswith(_UNSTORABLE):
            problems.append(f"{name}: a table cannot be partitioned by {types[name]}")
        if count > 1:
            problems.append(f"{name!r} is named {count} times")
    if partition_by and set(types) <= set(partition_by):
        problems.append("all columns are named, which leaves none for the files")
    return problems


def schema_problems(
    frame: pa.Schema, table: pa.Schema, *, folder_types: Mapping[str, str], may_lack: Collection[str] = ()
) -> list[str]:
    """List every column that keeps the frame from being added to an existing table.

    A column that may be null goes into a NOT NULL column: the table's format checks each row. What it does not check,
    nulls inside arrays, maps and structs, is refused here.

    Args:
        frame: The schema of the rows to write.
        table: The schema of the existing table.
        folder_types: Types of partition columns that only the folders' names tell; any type that is written the same
            way fits them.
        may_lack: Columns of the table that the rows need not bring.
    """
    mine = {each.name.casefold(): each for each in frame}
    theirs = {each.name.casefold(): each for each in table}
    problems = []
    for key, field in theirs.items():
        if key not in mine and field.name in may_lack:
            continue
        if key not in mine:
            note = "" if may_be_null(field) else ", which is NOT NULL"
            problems.append(f"missing: {field.name} {type_name(field)}{note}")
            continue
        if mine[key].name != field.name:
            problems.append(f"{mine[key].name}: the table spells it {field.name!r}")
        got, has = type_name(mine[key]), type_name(field)
        if field.name in folder_types:
            if not _same_folder(got, folder_types[field.name]):
                problems.append(f"{field.name}: the rows have {got}, the table's folders {folder_types[field.name]}")
        elif got != has:
            problems.append(f"{field.name}: the rows have {got}, the table has {has}")
        elif _may_hold_null(type_json(mine[key]), type_json(field)):
            problems.append(f"{field.name}: a value inside may be null, which the table's {has} does not allow")
    for key, field in mine.items():
        if key not in theirs:
            names = [each.name for each in table]
            problems.append(f"unknown: {field.name} {type_name(field)}{nearest(field.name, names)}")
    return problems


def _same_folder(got: str, folder: str) -> bool:
    return got == folder or got == "string" or (got in _INTEGERS and folder in _INTEGERS)


def _may_hold_null(mine: object, theirs: object) -> bool:
    """Compare two types' JSON, which have the same shape: is mine nullable anywhere that theirs is not?"""
    if isinstance(mine, list) and isinstance(theirs, list):
        return any(map(_may_hold_null, mine, theirs))
    if not isinstance(mine, dict) or not isinstance(theirs, dict):
        return False
    flags = ("nullable", "containsNull", "valueContainsNull")
    if any(mine.get(flag) is True and theirs.get(flag) is False for flag in flags):
        return True
    return any(
        _may_hold_null(mine.get(part), theirs.get(part)) for part in ("fields", "type", "elementType", "valueType")
    )


def spelled_as(names: Iterable[str], table: Iterable[str]) -> tuple[str, ...]:
    """Names in the table's own spelling, where they differ in case only."""
    spelling = {name.casefold(): name for name in table}
    return tuple(spelling.get(name.casefold(), name) for name in names)
