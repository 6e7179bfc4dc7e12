"""When Spark should write a Delta table itself: features and rules of Delta that the workers' files could break.

https://github.com/delta-io/delta/blob/master/PROTOCOL.md
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator, Mapping
from typing import Any

from spark_infer.tables.delta.log import LogState
from spark_infer.tables.plan import WritePlan
from spark_infer.tables.sink.sink_spec import has_own_metadata

_PLAIN_WRITER_FEATURES = frozenset(("appendOnly", "invariants", "timestampNtz", "vacuumProtocolCheck"))
_PLAIN_READER_FEATURES = frozenset(("timestampNtz", "vacuumProtocolCheck"))
_OLD_PLAIN_WRITER = 2
"""Up to this version of the writer's protocol a table knows `appendOnly` and invariants, and no other feature."""


def delta_write_doubts(plan: WritePlan, conf: Mapping[str, str], existing: LogState | None) -> Iterator[str]:
    """Yield why Spark should write to a Delta table, a clause each.

    Args:
        plan: The write.
        conf: The session's settings.
        existing: The table that is there now, where its log is readable.
    """
    if importlib.util.find_spec("deltalake") is None:
        yield "the package deltalake, which commits their files, is not installed"
    if "%" in (plan.location.path or ""):
        yield "deltalake takes a % in the target's path for an escape"
    if odd := sorted(set("\n\r\t\\") & set(plan.location.path or "")):
        yield f"deltalake takes no {odd[0]!r} in the target's path"
    if plan.creates:
        defaults = [name for name in conf if name.startswith("spark.databricks.delta.properties.defaults.")]
        if defaults:
            yield f"{defaults[0]} is for Spark to apply"
        return
    if existing is None:
        yield "only Spark can read the target's log"
        return
    if plan.new_schema:
        yield "the write changes the table's columns"
    if plan.mode.startswith("overwrite") and existing.appends_only:
        yield "the target takes no other writes than appends"
    if plan.mode.startswith("overwrite") and not all(file.path.isascii() for file in existing.files):
        # Spark writes such a path into the log as it is, deltalake escaped: the files to replace would not be found.
        yield "names of the files to replace are not all ASCII"
    yield from table_doubts(existing)


def table_doubts(existing: LogState) -> Iterator[str]:
    """Why Spark should write to an existing Delta table: rules that hold for its rows, and features of its own."""
    protocol, configuration = existing.protocol, existing.configuration
    features = set(protocol.get("writerFeatures") or ()) - _PLAIN_WRITER_FEATURES
    features |= set(protocol.get("readerFeatures") or ()) - _PLAIN_READER_FEATURES
    if features:
        yield f"the target has the Delta features {', '.join(sorted(features))}"
    elif not protocol.get("writerFeatures") and int(protocol.get("minWriterVersion") or 1) > _OLD_PLAIN_WRITER:
        yield f"the target asks for version {protocol['minWriterVersion']} of Delta's writer protocol"
    rules = [name for name in configuration if name.startswith("delta.constraints.")]
    if rules:
        yield f"the target has the constraint {rules[0].removeprefix('delta.constraints.')}"
    if configuration.get("delta.enableChangeDataFeed", "").lower() == "true":
        yield "the target keeps a change data feed"
    if "delta.setTransactionRetentionDuration" in configuration:
        yield "the target forgets which commits it has taken (delta.setTransactionRetentionDuration)"
    if "delta.parquet.compression.codec" in configuration:
        yield "the target has a codec of its own"
    for field in existing.schema["fields"]:
        if has_own_metadata(field) or not _all_nullable(field):
            yield f"{field['name']} is NOT NULL or has a rule of its own, which Spark checks"


def _all_nullable(part: Any) -> bool:
    if isinstance(part, Mapping):
        asked = ("nullable", "containsNull", "valueContainsNull")
        return all(part.get(key, True) for key in asked) and all(map(_all_nullable, part.values()))
    return all(map(_all_nullable, part)) if isinstance(part, list) else True
