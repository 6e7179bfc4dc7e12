"""Which files and row groups of a scan can hold rows of a condition: by partition values and by statistics."""

from __future__ import annotations

import json
import re
import struct
from collections.abc import Mapping
from datetime import date
from functools import cache
from typing import Any

import pyarrow as pa
from pyarrow import parquet as pq

from spark_infer.tables.listing import SourceFile
from spark_infer.tables.scan import values
from spark_infer.tables.where.prune import UNKNOWN, Bounds, may_hold
from spark_infer.tables.where.terms import Term, columns_of


def file_may_hold(
    file: SourceFile,
    condition: Term,
    schema: pa.Schema,
    partitions: Mapping[str, str],
    stored: Mapping[str, str] | None = None,
) -> bool:
    """Say whether a file can hold a row that is asked for.

    Args:
        file: The file.
        condition: Which rows are asked for.
        schema: The types of the condition's columns.
        partitions: The partition columns and their Spark types.
        stored: Column to its name in the statistics, where that is another.
    """
    statistics = json.loads(file.statistics or "{}")

    def bounds(column: str) -> Bounds:
        if column in partitions:
            return _of_partition(file, column, partitions[column])
        return _of_log(statistics, (stored or {}).get(column, column), schema.field(column).type)

    return may_hold(condition, bounds)


def is_plain(leaf: pq.ColumnSchema) -> bool:
    """Whether a leaf of a file is a column: a field ``b`` of a struct ``a`` has the path of a column ``a.b``."""
    return bool(leaf.path == leaf.name)


def groups_that_may_hold(
    found: pq.FileMetaData, groups: list[int], condition: Term, stored: Mapping[str, str], fixed: Mapping[str, Any]
) -> list[int]:
    """Keep the row groups that can hold a row that is asked for.

    Args:
        found: The file's footer.
        groups: The row groups in question.
        condition: Which rows are asked for.
        stored: Column to its name in the file, for those whose values are read as they are stored.
        fixed: Column to its one value, for those that are not in the file.
    """
    wanted = {stored[name] for name in columns_of(condition) if name in stored}
    places = {
        leaf.path: at
        for at, leaf in enumerate(found.schema)
        if leaf.path in wanted and is_plain(leaf) and _is_in_order(leaf, found.created_by or "")
    }

    def may(group: int) -> bool:
        @cache
        def bounds(column: str) -> Bounds:
            if column in fixed:
                return _of_value(fixed[column])
            at = places.get(stored.get(column, ""))
            return UNKNOWN if at is None else _of_group(found.row_group(group), at)

        return may_hold(condition, bounds)

    return [group for group in groups if may(group)]


def _is_in_order(leaf: pq.ColumnSchema, created_by: str) -> bool:
    """Whether the smallest and the largest value of a leaf are those by the order of its type.

    Numbers with a sign were always compared as numbers. All else was first compared as bytes with a sign, under names
    that were replaced later. pyarrow does not show which ones a file has: the writer must be one that knows the order.
    See ``min`` and ``ColumnOrder`` in https://github.com/apache/parquet-format/blob/master/src/main/thrift/parquet.thrift
    and PARQUET-251, PARQUET-686 and PARQUET-1025.
    """
    logical = leaf.logical_type.type
    if leaf.physical_type in ("BOOLEAN", "FLOAT", "DOUBLE"):
        return True
    if leaf.physical_type in ("INT32", "INT64"):
        has_sign = logical != "DECIMAL" and not leaf.converted_type.startswith("UINT")
        return has_sign or _knows_orders(created_by)
    kinds = {"BYTE_ARRAY": ("STRING", "ENUM", "JSON"), "FIXED_LEN_BYTE_ARRAY": ("DECIMAL",)}
    return logical in kinds.get(leaf.physical_type, ()) and _knows_orders(created_by)


def _knows_orders(created_by: str) -> bool:
    found = re.match(r"(parquet-mr|parquet-cpp-arrow) version (\d+)\.(\d+)", created_by)
    return found is not None and (found[1] != "parquet-mr" or (int(found[2]), int(found[3])) >= (1, 10))


def _of_partition(file: SourceFile, column: str, type_name: str) -> Bounds:
    try:
        return _of_value(values.parsed(file.values.get(column), type_name))
    except ValueError:
        return UNKNOWN


def _of_value(value: Any) -> Bounds:
    return Bounds(low=value, high=value, nulls=value is None, values=value is not None)


def _of_log(statistics: Mapping[str, Any], column: str, kind: pa.DataType) -> Bounds:
    rows, nulls = statistics.get("numRecords"), (statistics.get("nullCount") or {}).get(column)
    low, high = ((statistics.get(side) or {}).get(column) for side in ("minValues", "maxValues"))
    if pa.types.is_date(kind):
        low, high = _date(low), _date(high)
    elif pa.types.is_float32(kind):
        low, high = _single(low), _single(high)
    elif not pa.types.is_integer(kind) and not pa.types.is_floating(kind) and not pa.types.is_string(kind):
        low = high = None  # decimals lose digits in JSON, and times depend on how they were written
    if not isinstance(rows, int) or not isinstance(nulls, int):
        return Bounds(low, high)
    return Bounds(low, high, nulls=nulls > 0, values=nulls < rows)


def _date(text: Any) -> date | None:
    try:
        return date.fromisoformat(text) if isinstance(text, str) else None
    except ValueError:
        return None


def _single(number: Any) -> float | None:
    """A bound of a float column: JSON has its shortest decimals, which as a double are another number."""
    if not isinstance(number, int | float) or isinstance(number, bool):
        return None
    try:
        return float(struct.unpack("f", struct.pack("f", number))[0])
    except OverflowError:
        return None


def _of_group(group: pq.RowGroupMetaData, at: int) -> Bounds:
    found = group.column(at).statistics
    if found is None:
        return UNKNOWN
    nulls = found.null_count if found.has_null_count else None
    try:
        low, high = (found.min, found.max) if found.has_min_max else (None, None)
    # Dates that Python does not know, texts that are no UTF-8, and decimals stored as whole numbers in pyarrow 19.
    except (ValueError, OverflowError, pa.ArrowNotImplementedError):
        low = high = None
    if low != low or high != high:  # a NaN, beside which neither is to be trusted
        low = high = None
    return Bounds(low, high, nulls=nulls != 0, values=nulls is None or nulls < group.num_rows)
