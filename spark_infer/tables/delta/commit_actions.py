"""What a Delta commit holds, as deltalake takes it: the files that it adds and replaces, and what it says of itself."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from spark_infer.tables.delta.log import LogState
from spark_infer.tables.listing import SourceFile
from spark_infer.tables.plan import WritePlan
from spark_infer.tables.predicate import PartitionScope
from spark_infer.tables.publishing.work import Txn
from spark_infer.tables.sink.sink_spec import WrittenFile
from spark_infer.tables.spark_json import to_json


def adds(files: Sequence[WrittenFile]) -> list[Any]:
    """Return the add actions of new files."""
    from deltalake.transaction import AddAction

    now = int(time.time() * 1000)
    return [
        AddAction(
            path=file.path,
            size=file.size,
            partition_values=dict(file.values),
            modification_time=now,
            data_change=True,
            stats=json.dumps({"numRecords": file.rows, **file.statistics}),
        )
        for file in files
    ]


@dataclass(frozen=True)
class Replacement:
    """What deltalake needs to know of the files that come and go.

    Attributes:
        mode: deltalake's, which the table's history names: ``append`` or ``overwrite``.
        filters: With ``overwrite``, which partitions go; None for all.
        removes: With ``append``, the files that go.
        adds: The files that come.
    """

    mode: str
    filters: list[tuple[str, str, Any]] | None = None
    removes: Sequence[Any] = ()
    adds: Sequence[Any] = ()


def replacement(state: LogState, plan: WritePlan) -> Replacement:
    """Decide how the files that a write replaces are taken out of the newest version of its table.

    The table's history names deltalake's mode, so it is an overwrite wherever that replaces just these files.
    """
    if plan.mode.replaces_table:
        return Replacement("overwrite")
    if plan.scope is None:
        return Replacement("append")
    filters = _filters(state, plan.scope)
    if filters is not None:
        return Replacement("overwrite", filters)
    scope = plan.scope
    return Replacement("append", removes=removes([file for file in state.files if scope.holds(file.values)]))


def replaces_rows(state: LogState, plan: WritePlan) -> bool:
    """Whether a table has files in the partitions that a write replaces."""
    return plan.scope is not None and any(plan.scope.holds(file.values) for file in state.files)


def _filters(state: LogState, scope: PartitionScope) -> list[tuple[str, str, Any]] | None:
    """Write a scope as deltalake's filters; None where they would choose other files than the scope does.

    They compare values as the log spells them, and have no way to ask for null beside other values.
    """
    filters: list[tuple[str, str, Any]] = []
    for column in scope.columns:
        texts = [literal.text for literal in column.literals]
        if texts == [None]:
            filters.append((column.name, "=", ""))
        elif None in texts:
            return None
        else:
            filters.append((column.name, "in", texts))
        if any(
            column.holds(file.values.get(column.name)) != (file.values.get(column.name) in texts)
            for file in state.files
        ):
            return None
    return filters


def removes(files: Sequence[SourceFile]) -> list[Any]:
    """Return the remove actions of files."""
    from deltalake.transaction import RemoveAction

    now = int(time.time() * 1000)
    return [RemoveAction(file.path, True, now, file.size, dict(file.values)) for file in files]


def properties(
    plan: WritePlan, files: Sequence[WrittenFile], stamp: str, txn: Txn, *, retries: int | None = None
) -> Any:
    """Return what a commit is recognised by, and what the table's history says of it."""
    from deltalake import CommitProperties, Transaction

    now = int(time.time() * 1000)
    recognised = [Transaction(each.app, each.version, now) for each in (txn, *txn.also)]
    about = _about(plan, files, stamp)
    return CommitProperties(custom_metadata=about, app_transactions=recognised, max_commit_retries=retries)


def _about(plan: WritePlan, files: Sequence[WrittenFile], stamp: str) -> dict[str, Any]:
    """What the table's history says of a commit, under the names that Spark's own writes have."""
    metrics = {
        "numFiles": str(len(files)),
        "numOutputRows": str(sum(file.rows for file in files)),
        "numOutputBytes": str(sum(file.size for file in files)),
    }
    replaced = {"operationParameters": {"predicate": plan.scope.sql}} if plan.exists and plan.scope is not None else {}
    return {"userMetadata": stamp, "operationMetrics": metrics, **replaced}


def relaxed(schema: pa.Schema) -> Any:
    """Spark's JSON of columns which may be null, as may every value inside one: as Spark makes tables."""
    return _nullable(to_json(schema))


def commented(schema: Any, comments: Mapping[str, str]) -> Any:
    """The same JSON with comments at columns that have none."""
    fields = [
        {**field, "metadata": {"comment": comments[field["name"]], **(field.get("metadata") or {})}}
        if field["name"] in comments
        else field
        for field in schema["fields"]
    ]
    return {**schema, "fields": fields}


def _nullable(part: Any) -> Any:
    if isinstance(part, list):
        return [_nullable(each) for each in part]
    if not isinstance(part, dict):
        return part
    relaxed = dict.fromkeys(("nullable", "containsNull", "valueContainsNull") & part.keys(), True)
    return {key: value if key == "metadata" else _nullable(value) for key, value in part.items()} | relaxed
