"""Whether columns of a Parquet file give the values that Spark would read from them, and how.

Spark reads a file's type as another one where its vectorized reader knows how:
https://github.com/apache/spark/blob/master/sql/core/src/main/java/org/apache/spark/sql/execution/datasources/parquet/ParquetVectorUpdaterFactory.java
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from spark_infer.core.casts import exact, retype
from spark_infer.core.signature import marked
from spark_infer.tables.scan.column_mapping import as_in_table, field_id
from spark_infer.tables.scan.task import Scan

_BYTES_IN_INT32 = (pa.int8(), pa.int16(), pa.int32())
"""What Parquet stores as INT32 with a sign; Spark cuts a number to the type that it wants."""

_UNSIGNED = {
    pa.uint8(): pa.int16(),
    pa.uint16(): pa.int32(),
    pa.uint32(): pa.int64(),
    pa.uint64(): pa.decimal128(20, 0),
}
_TEXTS = (
    pa.string(),
    pa.binary(),
    pa.large_string(),
    pa.large_binary(),
    pa.string_view(),
    pa.binary_view(),
)
"""What Parquet stores as bytes of any length; Spark takes them for texts or for bytes without a look."""


class UnlikeSparkError(ValueError):
    """Spark may read other values from a column; the message says why, a clause."""


@dataclass(frozen=True)
class StoredColumn:
    """A column in a file.

    Attributes:
        name: Its name there.
        kind: Its type there, with the table's names inside.
    """

    name: str
    kind: pa.DataType


def stored_columns(file: pa.Schema, scan: Scan) -> dict[str, StoredColumn]:
    """Find the columns of a scan in a file; those that it does not have are left out.

    Args:
        file: The file's columns, as pyarrow reads them.
        scan: Which columns are wanted, and with which types.

    Raises:
        UnlikeSparkError: Spark may read other values.
    """
    columns = {}
    names = _Names.of(file)
    for wanted, asked in scan.from_files:
        name = _stored_name(names, asked, case_sensitive=scan.case_sensitive)
        if name is None:
            continue
        kind = file.field(name).type
        named = kind if scan.stored is None else as_in_table(kind, asked.type, wanted.type)
        if named is None or not same_values(named, wanted.type, beyond_spark=scan.beyond_spark):
            raise UnlikeSparkError(f"column {wanted.name!r} is {kind} in a file and {wanted.type} in the table")
        columns[wanted.name] = StoredColumn(name, named)
    return columns


@dataclass(frozen=True)
class _Names:
    """The columns of a file by what a table finds them by.

    Attributes:
        by_id: Names by field id; None stands for columns without one.
        by_case: Names by themselves without case, in the file's order.
        count: How many columns there are.
    """

    by_id: dict[str | None, str]
    by_case: dict[str, list[str]]
    count: int

    @classmethod
    def of(cls, file: pa.Schema) -> _Names:
        by_case: dict[str, list[str]] = defaultdict(list)
        for name in file.names:
            by_case[name.casefold()].append(name)
        return cls({field_id(each): each.name for each in file}, by_case, len(file))


def _stored_name(file: _Names, asked: pa.Field, *, case_sensitive: bool) -> str | None:
    """The name in a file of a column that is found by its id or by its name; None where the file does not have it."""
    if (wanted := field_id(asked)) is not None:
        if file.by_id.keys() <= {None} or len(file.by_id) < file.count:
            raise UnlikeSparkError("the table finds its columns by ids, which a file lacks or has twice")
        return file.by_id.get(wanted)
    same = file.by_case.get(asked.name.casefold(), [])
    twins = [name for name in same if name != asked.name]
    if twins and not case_sensitive:
        raise UnlikeSparkError(f"column {asked.name!r} is spelled {twins[0]!r} in a file")
    if len(same) - len(twins) > 1:
        raise UnlikeSparkError(f"column {asked.name!r} stands twice in a file")
    return asked.name if asked.name in same else None


def same_values(found: pa.DataType, wanted: pa.DataType, *, beyond_spark: bool = False) -> bool:
    """Whether `as_spark` gives what Spark reads; False where that is not known.

    Args:
        found: The type that pyarrow reads; times that are stored as INT96 are instants in UTC.
        wanted: The type that Spark hands to Python.
        beyond_spark: Whether types that Spark refuses are wanted as far as they can be cast exactly.
    """
    types = pa.types
    if types.is_dictionary(found):
        return same_values(found.value_type, wanted)
    if isinstance(found, pa.BaseExtensionType):
        return not types.is_nested(found.storage_type) and same_values(
            found.storage_type, wanted, beyond_spark=beyond_spark
        )
    if types.is_null(found):  # an INT32 without values
        return beyond_spark or wanted == pa.int32()
    if types.is_struct(wanted):
        plain = types.is_struct(found) and marked(wanted) is None  # a variant may be shredded into further fields
        return plain and _same_fields(list(found), list(wanted), beyond_spark)
    if types.is_map(wanted):
        return types.is_map(found) and all(
            same_values(one, other, beyond_spark=beyond_spark)
            for one, other in ((found.key_type, wanted.key_type), (found.item_type, wanted.item_type))
        )
    if types.is_list(wanted):
        lists = types.is_list(found) or types.is_large_list(found) or types.is_fixed_size_list(found)
        return lists and same_values(found.value_type, wanted.value_type, beyond_spark=beyond_spark)
    if types.is_timestamp(wanted):
        return _same_times(found, wanted, beyond_spark)
    if types.is_decimal128(wanted):
        return _same_numbers(found, wanted)
    if beyond_spark and types.is_float16(found):
        return bool(wanted == pa.float32())
    return bool(
        found == wanted
        or _UNSIGNED.get(found) == wanted
        or (found in _BYTES_IN_INT32 and wanted in (*_BYTES_IN_INT32, pa.int64(), pa.float64()))
        or (found == pa.float32() and wanted == pa.float64())
        or (found in _TEXTS and wanted in (pa.string(), pa.binary()))
        or (types.is_fixed_size_binary(found) and wanted == pa.binary())
        or (types.is_duration(found) and wanted == pa.int64())
    )


def _same_times(found: pa.DataType, wanted: pa.DataType, beyond_spark: bool) -> bool:
    if not pa.types.is_timestamp(found) or found.unit not in ("ms", "us", *(("ns",) if beyond_spark else ())):
        return False
    # Spark takes a stored time without a zone for an instant in UTC.
    return wanted.tz is not None or found.tz is None


def _same_numbers(found: pa.DataType, wanted: pa.Decimal128Type) -> bool:
    """Whether a decimal has room for all digits of a type, before the point and behind it."""
    if found in _UNSIGNED:
        return bool(_UNSIGNED[found] == wanted)
    whole = wanted.precision - wanted.scale
    if found in _BYTES_IN_INT32 or found == pa.int64():
        return bool(whole >= (20 if found == pa.int64() else 10))
    return bool(pa.types.is_decimal(found) and found.scale <= wanted.scale and found.precision - found.scale <= whole)


def _same_fields(found: list[pa.Field], wanted: list[pa.Field], beyond_spark: bool) -> bool:
    return [field.name for field in found] == [field.name for field in wanted] and all(
        same_values(one.type, other.type, beyond_spark=beyond_spark) for one, other in zip(found, wanted, strict=True)
    )


def as_spark(array: pa.Array, wanted: pa.DataType) -> pa.Array:
    """Cast a column as Spark reads it, at every depth; the types are such that `same_values` agreed.

    Raises:
        pyarrow.ArrowInvalid: A value has no place in the type, or more digits than its own type allows.
    """
    if _holds_decimals(array.type):
        array.validate(full=True)
    return retype(array, wanted, _cast)


def _cast(array: pa.Array, wanted: pa.DataType) -> pa.Array:
    if isinstance(array.type, pa.BaseExtensionType):
        array = array.storage
    cuts = array.type in _BYTES_IN_INT32 and wanted in _BYTES_IN_INT32
    return pc.cast(array, wanted, safe=False) if cuts or array.type in _TEXTS else exact(array, wanted)


def _holds_decimals(kind: pa.DataType) -> bool:
    types = pa.types
    if types.is_dictionary(kind):
        return _holds_decimals(kind.value_type)
    if types.is_nested(kind):
        return any(_holds_decimals(kind.field(at).type) for at in range(kind.num_fields))
    return bool(types.is_decimal(kind))
