"""When the values in a table's files may be others than those that Spark reads: then Spark reads.

Each doubt is a clause for the reader of a plan. What is not known to be the same counts as a doubt.
Old calendars: https://spark.apache.org/docs/latest/sql-data-sources-parquet.html, "datetimeRebaseModeInRead"
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import pyarrow as pa
from pyarrow import parquet as pq

from spark_infer.tables.delta.deletion_vector import can_read
from spark_infer.tables.listing import Footer, Listing, SourceFile
from spark_infer.tables.scan.footer import NotParquetError, RawFooter
from spark_infer.tables.scan.parquet_schema import Node
from spark_infer.tables.scan.task import Scan
from spark_infer.tables.scan.type_compatibility import UnlikeSparkError, stored_columns
from spark_infer.tables.scan.values import parsed
from spark_infer.tables.spark_json import field_to_json

_OLD_TIMES, _OLD_INT96 = b"org.apache.spark.legacyDateTime", b"org.apache.spark.legacyINT96"
_SPARK_VERSION = b"org.apache.spark.version"
_CORRECTED_SINCE, _CORRECTED_INT96_SINCE = (3, 0), (3, 1)

_FIRST_NEW_DAY = -141_427
"""1582-10-15, from which on both calendars have the same days, in days since 1970."""

_FIRST_NEW_MILLISECOND = -2_208_988_800_000
"""1900-01-01 in UTC, from which on no time zone of the old calendar differs from today's.

https://github.com/apache/spark/blob/master/sql/catalyst/src/main/scala/org/apache/spark/sql/catalyst/util/RebaseDateTime.scala
"""

_FIRST_NEW = {
    "DATE": _FIRST_NEW_DAY,
    "TIMESTAMP(MILLIS,true)": _FIRST_NEW_MILLISECOND,
    "TIMESTAMP(MICROS,true)": _FIRST_NEW_MILLISECOND * 1000,
    "TIMESTAMP(MILLIS,false)": _FIRST_NEW_MILLISECOND,
    "TIMESTAMP(MICROS,false)": _FIRST_NEW_MILLISECOND * 1000,
}
"""The least value that Spark does not rebase."""


def deletion_doubts(listing: Listing) -> tuple[str, ...]:
    """Why the workers could not read the deletion vectors of the files."""
    vectors = [file.vector for file in listing.files if file.vector is not None]
    if vectors and not can_read():
        return ("the package pyroaring, which reads deletion vectors, is not installed",)
    outside = not all(vector.in_table for vector in vectors)
    return ("some of its deletion vectors lie outside its folder",) if outside else ()


def column_doubts(schema: pa.Schema, columns: Iterable[str]) -> tuple[str, ...]:
    """Why values of some columns may be others than those in the files.

    Args:
        schema: All columns of the table.
        columns: The columns that are read.
    """
    wanted = set(columns)
    doubts = []
    for field in (field_to_json(field) for field in schema if field.name in wanted):
        keys = set(_metadata_keys(field))
        if "__CHAR_VARCHAR_TYPE_STRING" in keys:
            doubts.append(f"{field['name']} is of a type that Spark pads")
        if "parquet.field.id" in keys:
            doubts.append(f"{field['name']} is found by its field id")
        if "EXISTS_DEFAULT" in keys:
            doubts.append(f"{field['name']} has a default for older files")
        if "__COLLATIONS" in keys or "collate" in str(field["type"]):
            doubts.append(f"{field['name']} has a collation")
    return tuple(doubts)


def partition_doubts(files: Iterable[SourceFile], partitions: Mapping[str, str]) -> tuple[str, ...]:
    """Why partition values may be others than their text says.

    Args:
        files: The files of the table.
        partitions: Partition columns that are looked at, and their types.
    """
    texts = {(name, file.values.get(name)) for file in files for name in partitions}
    unclear = {name for name, text in texts if not _is_clear(text, partitions[name])}
    return tuple(
        f"only Spark can tell what partition values of {name} are as {type_name}"
        for name, type_name in partitions.items()
        if name in unclear
    )


def _is_clear(text: str | None, type_name: str) -> bool:
    try:
        parsed(text, type_name)
    except ValueError:
        return False
    return True


def footer_doubts(footers: Iterable[Footer], scan: Scan) -> tuple[str, ...]:
    """Why pyarrow may read other values from some files than Spark; each reason once.

    Args:
        footers: What the files say about themselves.
        scan: What is read from them.
    """
    doubts: dict[str, None] = {}
    names: dict[int, list[str]] = {}  # by schema, which most files share
    for footer in footers:
        if footer.doubt or footer.schema is None:
            doubts[footer.doubt] = None
            continue
        if id(footer.schema) not in names:
            try:
                names[id(footer.schema)] = [column.name for column in stored_columns(footer.schema, scan).values()]
            except UnlikeSparkError as error:
                names[id(footer.schema)] = []
                doubts[str(error)] = None
        doubts.update((footer.doubts[name], None) for name in names[id(footer.schema)] if name in footer.doubts)
    return tuple(doubts)


def file_doubt(found: RawFooter) -> str:
    """Why only Spark can read a file, whatever is wanted of it; empty where workers can.

    Raises:
        NotParquetError: Nobody can.
    """
    if found.is_encrypted:
        return "the footers of files are encrypted"
    try:
        if found.is_signed:
            return "columns of files are encrypted"
        names, miscount = found.schema.names, found.miscount
    except (pa.ArrowException, OSError) as error:
        if not found.is_whole:
            raise NotParquetError("its footer cannot be parsed") from error
        return "pyarrow cannot read the footers of files"
    if miscount:
        raise NotParquetError(miscount)
    if not found.columns or [node.name for node in found.columns] != names:
        return "pyarrow finds other columns in files than Spark"
    groups = (found.metadata.row_group(number) for number in range(min(1, found.metadata.num_row_groups)))
    codecs = {group.column(at).compression for group in groups for at in range(group.num_columns)}
    unknown = sorted(codec for codec in codecs if codec != "UNCOMPRESSED" and not _is_known(codec))
    return f"pyarrow does not know how files are compressed ({', '.join(unknown)})" if unknown else ""


def _is_known(codec: str) -> bool:
    try:
        return bool(pa.Codec.is_available(codec.lower()))
    except (ValueError, pa.ArrowException):
        return False


def file_column_doubts(found: RawFooter) -> dict[str, str]:
    """Column to why pyarrow may read other values from it than Spark does; for files that workers can read."""
    leaves = ((column.name, leaf) for column in found.columns for leaf in column.leaves())
    doubts = ((name, _leaf_doubt(found.metadata, at, leaf)) for at, (name, leaf) in enumerate(leaves))
    return {name: f"{name} {doubt}" for name, doubt in doubts if doubt}


def _leaf_doubt(found: pq.FileMetaData, at: int, leaf: Node) -> str:
    """Why pyarrow may read other values from a leaf, as what is said of the column; empty where it reads the same."""
    metadata = found.metadata or {}
    if leaf.physical == "INT96":
        if _SPARK_VERSION not in metadata:
            return (
                "is INT96, and another writer than Spark may have stored negative times of day, which pyarrow misreads"
            )
        if _is_of_old_calendar(metadata, _OLD_INT96, _CORRECTED_INT96_SINCE):
            return "has INT96 timestamps of the old calendar, which Spark rebases"
    first = _FIRST_NEW.get(leaf.annotation)
    if first is None or not _is_of_old_calendar(metadata, _OLD_TIMES, _CORRECTED_SINCE):
        return ""
    return "" if _begins_at(found, at, first) else "has dates or timestamps of the old calendar, which Spark rebases"


def _is_of_old_calendar(metadata: Mapping[bytes, bytes], mark: bytes, corrected_since: tuple[int, int]) -> bool:
    """Whether Spark rebases; of files that Spark did not write, the session decides, which is looked at elsewhere.

    https://github.com/apache/spark/blob/master/sql/core/src/main/scala/org/apache/spark/sql/execution/datasources/DataSourceUtils.scala
    """
    version = metadata.get(_SPARK_VERSION)
    if version is None:
        return False
    try:
        return mark in metadata or tuple(int(part) for part in version.decode().split(".")[:2]) < corrected_since
    except ValueError:
        return True


def _begins_at(found: pq.FileMetaData, at: int, first: int) -> bool:
    """Whether statistics show that no value of a column lies before a number."""
    return all(_least(found.row_group(number), at, first) >= first for number in range(found.num_row_groups))


def _least(group: pq.RowGroupMetaData, at: int, first: int) -> int:
    found = group.column(at).statistics
    if found is not None and found.has_null_count and found.null_count == group.column(at).num_values:
        return first
    least = found.min_raw if found is not None and found.has_min_max else None
    return least if isinstance(least, int) else first - 1


def _metadata_keys(part: Any) -> Iterator[str]:
    """The names of all metadata, at every depth of a schema's JSON."""
    if isinstance(part, Mapping):
        for key, value in part.items():
            if key == "metadata" and isinstance(value, Mapping):
                yield from value
            else:
                yield from _metadata_keys(value)
    elif isinstance(part, list):
        for each in part:
            yield from _metadata_keys(each)
