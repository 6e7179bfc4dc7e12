"""Whether a column of a Parquet file holds the values that Spark would read from it, type by type."""

from __future__ import annotations

import pyarrow as pa

_UNSIGNED = {pa.uint8(): pa.int16(), pa.uint16(): pa.int32(), pa.uint32(): pa.int64()}


def same_values(found: pa.DataType, wanted: pa.DataType, *, int96: bool = False) -> bool:
    """Whether a lossless cast gives what Spark reads; False where that is not known.

    Args:
        found: The type that pyarrow reads.
        wanted: The type that Spark hands to Python.
        int96: Whether the times are stored as INT96, which Spark takes for instants.
    """
    types = pa.types
    if types.is_dictionary(found):
        return same_values(found.value_type, wanted)
    if types.is_timestamp(wanted):
        return _same_times(found, wanted, int96=int96)
    if types.is_struct(wanted):
        return types.is_struct(found) and _same_fields(list(found), list(wanted), int96=int96)
    if types.is_map(wanted):
        return types.is_map(found) and all(
            same_values(one, other, int96=int96)
            for one, other in ((found.key_type, wanted.key_type), (found.item_type, wanted.item_type))
        )
    if types.is_list(wanted):
        lists = types.is_list(found) or types.is_large_list(found) or types.is_fixed_size_list(found)
        return lists and same_values(found.value_type, wanted.value_type, int96=int96)
    if types.is_large_string(found) or types.is_large_binary(found):
        return bool(wanted == (pa.string() if types.is_large_string(found) else pa.binary()))
    return bool(found == wanted or _UNSIGNED.get(found) == wanted)


def _same_times(found: pa.DataType, wanted: pa.DataType, *, int96: bool) -> bool:
    if not pa.types.is_timestamp(found) or found.unit not in ("ms", "us"):
        return False
    return (found.tz is None) == (wanted.tz is None) if not int96 else wanted.tz is not None


def _same_fields(found: list[pa.Field], wanted: list[pa.Field], *, int96: bool) -> bool:
    return [field.name for field in found] == [field.name for field in wanted] and all(
        same_values(one.type, other.type, int96=int96) for one, other in zip(found, wanted, strict=True)
    )
