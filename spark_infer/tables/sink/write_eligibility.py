"""When Spark should write a target itself: where the workers' files might differ from its own in a way that matters.

Each doubt is a clause for the reader of a plan. What is not known to be the same counts as a doubt.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pyarrow as pa

from spark_infer.tables.formats import format_of
from spark_infer.tables.plan import WritePlan
from spark_infer.tables.sink.folders import writable
from spark_infer.tables.sink.sink_spec import has_own_metadata
from spark_infer.tables.spark_json import field_to_json

CODECS = {"snappy": "snappy", "gzip": "gzip", "zstd": "zstd", "none": "none", "uncompressed": "none", "lz4_raw": "lz4"}

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
    conf: Mapping[str, str],
    constants: Mapping[str, Any],
) -> tuple[str, ...]:
    """Why Spark should write; empty where the workers may.

    Args:
        plan: The write.
        columns: The columns of the rows to write.
        conf: The session's settings.
        constants: Columns that have one value in all rows.
    """
    return tuple(_doubts(plan, columns, conf, constants))


def _doubts(
    plan: WritePlan,
    columns: pa.Schema,
    conf: Mapping[str, str],
    constants: Mapping[str, Any],
) -> Iterator[str]:
    table_format = format_of(plan.location.format)
    if plan.location.storage() is None:
        yield "this process cannot reach the target's folder"
    if plan.made_by_catalog or (plan.exists and plan.location.table and table_format.catalog_decides):
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
    yield from (f"{field.name} has metadata of its own" for field in columns if has_own_metadata(field_to_json(field)))
    codec = conf.get("spark.sql.parquet.compression.codec", "snappy")
    if codec.lower() not in CODECS:
        yield f"spark.sql.parquet.compression.codec is {codec}"
    for name, plain in _OTHER_WRITING.items():
        if conf.get(name, "") not in plain:
            yield f"{name} is {conf[name]}"
    if any(conf.get(name, "") for name in _ENCRYPTS):
        yield "the files are to be encrypted"
    yield from table_format.write_doubts(plan, conf)


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
