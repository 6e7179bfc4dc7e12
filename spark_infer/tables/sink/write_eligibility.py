"""When Spark should write a target itself: where the workers' files might differ from its own in a way that matters.

Each doubt is a clause for the reader of a plan. What is not known to be the same counts as a doubt.
Delta: https://github.com/delta-io/delta/blob/master/PROTOCOL.md
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator, Mapping
from typing import Any

import pyarrow as pa

from spark_infer.tables.delta_log import LogState
from spark_infer.tables.plan import WritePlan
from spark_infer.tables.sink.folders import writable

CODECS = {"snappy": "snappy", "gzip": "gzip", "zstd": "zstd", "none": "none", "uncompressed": "none", "lz4_raw": "lz4"}

_PLAIN_WRITER_FEATURES = frozenset(("appendOnly", "invariants", "timestampNtz", "vacuumProtocolCheck"))
_PLAIN_READER_FEATURES = frozenset(("timestampNtz", "vacuumProtocolCheck"))
_OLD_PLAIN_WRITER = 2
"""Up to this version of the writer's protocol a table knows `appendOnly` and invariants, and no other feature."""

_OTHER_WRITING = {
    "spark.sql.parquet.writeLegacyFormat": ("", "false"),
    "spark.sql.parquet.datetimeRebaseModeInWrite": ("", "CORRECTED"),
    "spark.sql.parquet.fieldId.write.enabled": ("", "true", "false"),
}


_ENCRYPTS = ("parquet.crypto.factory.class", "spark.hadoop.parquet.crypto.factory.class")
"""Keys alone encrypt nothing: https://github.com/apache/parquet-java/blob/master/parquet-hadoop/README.md"""


def write_doubts(
    plan: WritePlan,
    columns: pa.Schema,
    schema: Mapping[str, Any],
    conf: Mapping[str, str],
    existing: LogState | None,
    constants: Mapping[str, Any],
) -> tuple[str, ...]:
    """Why Spark should write; empty where the workers may.

    Args:
        plan: The write.
        columns: The rows to write, as Arrow has them.
        schema: The same as Spark's JSON.
        conf: The session's settings.
        existing: The Delta table that is there now, where its log is readable.
        constants: Columns that have one value in all rows.
    """
    return tuple(_doubts(plan, columns, schema, conf, existing, constants))


def _doubts(
    plan: WritePlan,
    columns: pa.Schema,
    schema: Mapping[str, Any],
    conf: Mapping[str, str],
    existing: LogState | None,
    constants: Mapping[str, Any],
) -> Iterator[str]:
    if plan.location.storage() is None:
        yield "this process cannot reach the target's folder"
    if plan.location.table and (plan.creates or plan.location.format == "parquet"):
        yield "the catalog keeps the target's files"
    if plan.target_file_bytes is not None:
        yield "`target_file_bytes` asks for Spark's shuffle"
    for name, kind in zip(plan.partition_by, plan.partition_types, strict=True):
        if name not in columns.names:
            yield f"{name}, which the target is partitioned by, is for Delta to fill"
        elif name in constants:
            yield f"{name} has one value in all rows"
        if not writable(kind):
            yield f"how a partition value of {name} ({kind}) is written depends on the session"
    yield from (f"{field.name} is {field.type}" for field in columns if not _plain(field.type))
    yield from (f"{each['name']} has metadata of its own" for each in schema["fields"] if _marked(each))
    codec = conf.get("spark.sql.parquet.compression.codec", "snappy")
    if codec.lower() not in CODECS:
        yield f"spark.sql.parquet.compression.codec is {codec}"
    for name, plain in _OTHER_WRITING.items():
        if conf.get(name, "") not in plain:
            yield f"{name} is {conf[name]}"
    if any(conf.get(name, "") for name in _ENCRYPTS):
        yield "the files are to be encrypted"
    if plan.location.format == "delta":
        yield from _delta_doubts(plan, conf, existing)


def _delta_doubts(plan: WritePlan, conf: Mapping[str, str], existing: LogState | None) -> Iterator[str]:
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
        if _marked(field) or not _all_nullable(field):
            yield f"{field['name']} is NOT NULL or has a rule of its own, which Spark checks"


def _all_nullable(part: Any) -> bool:
    if isinstance(part, Mapping):
        asked = ("nullable", "containsNull", "valueContainsNull")
        return all(part.get(key, True) for key in asked) and all(map(_all_nullable, part.values()))
    return all(map(_all_nullable, part)) if isinstance(part, list) else True


def _marked(field: Mapping[str, Any]) -> bool:
    """Whether a column has metadata that changes how values are written; comments do not."""
    return bool(set(field.get("metadata") or ()) - {"comment"}) or "collate" in str(field["type"])


def _plain(kind: pa.DataType) -> bool:
    types = pa.types
    if types.is_struct(kind):
        return all(_plain(field.type) for field in kind)
    if types.is_map(kind):
        return _plain(kind.key_type) and _plain(kind.item_type)
    if types.is_list(kind):
        return _plain(kind.value_type)
    if types.is_timestamp(kind):
        return bool(kind.unit == "us")
    plain = (types.is_boolean, types.is_signed_integer, types.is_float32, types.is_float64, types.is_string)
    return any(is_it(kind) for is_it in (*plain, types.is_binary, types.is_date32, types.is_decimal128))
