"""Columns of a source that cannot be scored or kept; all of them in one error."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

import pyarrow as pa

from spark_infer.errors import SchemaMismatchError
from spark_infer.tables.spark_json import why_unsupported


def refuse_unsupported(schema: pa.Schema, columns: Iterable[str]) -> None:
    """Refuse columns that cannot be read, or cannot cross to Python.

    Raises:
        SchemaMismatchError: One of ``columns`` has such a type.
    """
    wanted = set(columns)
    problems = [
        f"column {field.name!r} is {why}"
        for field in schema
        if field.name in wanted and (why := why_unsupported(field))
    ]
    if problems:
        raise SchemaMismatchError(
            "The table has columns that cannot be scored or passed through.",
            problems=problems,
            next_step="leave them out with keep=[…], or cast them in the table; preprocess needs every column.",
        )


def refuse_case_twins(schema: pa.Schema, columns: Iterable[str]) -> None:
    """Refuse columns that a session without case sensitivity cannot tell apart.

    Raises:
        SchemaMismatchError: One of ``columns`` has such a twin in the table.
    """
    by_case: dict[str, list[str]] = defaultdict(list)
    for name in schema.names:
        by_case[name.casefold()].append(name)
    twins = {name: by_case.get(name.casefold(), []) for name in columns}
    problems = [f"column {name!r}: the table has {found}" for name, found in twins.items() if len(found) > 1]
    if problems:
        case = any(len(set(found)) > 1 for found in twins.values())
        raise SchemaMismatchError(
            "Spark cannot tell some columns of the table apart.",
            problems=problems,
            next_step="rename them, or set spark.sql.caseSensitive to true." if case else "rename them.",
        )
