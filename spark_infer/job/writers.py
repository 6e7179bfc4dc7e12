"""Choose who writes what the workers of the direct plane have read: they themselves, or Spark."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pyarrow as pa

from spark_infer.engines.plane import Plane
from spark_infer.tables.plan import WritePlan
from spark_infer.tables.sink.sink_spec import SinkSpec, file_metadata
from spark_infer.tables.sink.write_eligibility import CODECS, write_doubts
from spark_infer.tables.spark_json import plain


def with_writers(
    plane: Plane,
    write: WritePlan,
    *,
    schema: pa.Schema,
    constants: Mapping[str, Any],
    conf: Mapping[str, str],
    run_id: str,
) -> Plane:
    """Decide whether the workers of a direct plane also write; looks at the target's log, changes nothing.

    Args:
        plane: The direct plane.
        write: What is to be written.
        schema: The target's columns.
        constants: Columns that have one value in all rows.
        conf: The session's settings.
        run_id: Unique name of the run.
    """
    write = write.as_staged() if write.merges else write
    doubts = write_doubts(write, schema, conf, constants)
    if doubts:
        return replace(plane, writes_why="; ".join(doubts))
    stored = pa.schema([field for field in schema if field.name not in write.partition_by])
    codec = conf.get("spark.sql.parquet.compression.codec", "snappy").lower()
    sink = SinkSpec(
        run_id=run_id,
        schema=plain(schema),
        constants=constants,
        partition_by=write.partition_by,
        scope=write.scope,
        later_texts=tuple(name for name in write.later_texts if name in schema.names),
        codec=CODECS[codec],
        metadata=file_metadata(stored),
    )
    return replace(plane, sink=sink)
