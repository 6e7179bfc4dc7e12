"""Parquet tables as a source: footers and partition folders.

Partition values keep their text. Spark guesses a type for each partition column and reads the folders ``p=001`` and
``p=1`` both as 1; here a column is an integer or a date only where every one of its folders is written exactly as that
value is printed, and a string otherwise. A table of the catalog has the types that the catalog declares.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pyarrow as pa

from spark_infer.config import TargetConfig
from spark_infer.errors import SourceError, TargetError
from spark_infer.tables.bookmark import ALL_ROWS, Span
from spark_infer.tables.listing import Footer, Listing, SourceFile
from spark_infer.tables.location import TableLocation
from spark_infer.tables.parquet.footers import MissingFileError, read_footers, with_footers
from spark_infer.tables.parquet.new_files import spanned
from spark_infer.tables.parquet.partitioning import partition_type, refuse_stray
from spark_infer.tables.parquet.streamlog import committed_files, has_stream_log
from spark_infer.tables.scan.spark_types import spark_type
from spark_infer.tables.snapshot import Snapshot
from spark_infer.tables.spark_json import NoSparkTypeError, named_field, schema_from_json
from spark_infer.tables.storage import (
    NULL_PARTITION,
    DataFile,
    Storage,
    partition_folders,
    partition_values,
)
from spark_infer.tables.table_lookup import TableLookup

MOST_FOOTERS = 2_000
_LISTED_AGAIN = 2
"""How often a table is listed again where another job removes a file of it meanwhile."""
_FOOTERS_FOR_SCHEMA = 16
EMPTY_TABLE_FILE = "part-00000-no-rows.parquet"
"""Holds the schema of a partitioned table without rows, which Spark would leave without any file."""

PARTITIONED_BY = b"spark_infer.partition_by"
_SPARK_SCHEMA = b"org.apache.spark.sql.parquet.row.metadata"


def snapshot(
    storage: Storage, location: TableLocation, span: Span = ALL_ROWS, *, most_footers: int = MOST_FOOTERS
) -> Snapshot:
    """Describe a Parquet table from its listing and footers, before any filter.

    Of a table with more than ``most_footers`` files only the first footers are read, and the rows stay unknown.

    Args:
        storage: The table's folder.
        location: The table.
        span: Which of its rows; only the files that hold them are listed.
        most_footers: How many footers are read at most.

    Raises:
        SourceError: A file is no readable Parquet file, or lies outside the partition folders.
    """
    for _ in range(_LISTED_AGAIN):
        try:
            return _snapshot(storage, location, span, most_footers)
        except MissingFileError:  # such as the file of an empty table, which goes when another job adds the first rows
            continue
    return _snapshot(storage, location, span, most_footers)


def _snapshot(storage: Storage, location: TableLocation, span: Span, most_footers: int) -> Snapshot:
    files = _files(storage)
    columns, types = partitioning(storage, files)
    refuse_stray(location.name, [file.path for file in files if not _is_marker(file)], columns)
    there = [file for file in files if file.size]
    files = spanned(location, there, span)
    looked_at = files[:most_footers] or there[:1]
    footers = read_footers(storage, [file.path for file in looked_at])
    schemas = {footer.metadata.get(_SPARK_SCHEMA) for footer in footers}
    listing = _listing(files, dict(zip((file.path for file in looked_at), footers, strict=True)))
    declared = _declared(next(iter(schemas))) if len(schemas) == 1 else None
    return Snapshot(
        location=location,
        version=None,
        partition_columns=columns,
        partition_types=types,
        rows=listing.rows,
        files=len(files),
        size_bytes=sum(file.size for file in files),
        declared=declared,
        mixed_schemas=len({footer.columns for footer in footers if footer.columns}) > 1,
        listing=listing,
        refused=own_columns(listing)[1] if declared is None else {},
        since=span.since,
    )


def _declared(text: bytes | None) -> pa.Schema | None:
    """The columns as Spark wrote them into files; like Spark, None where that cannot be read."""
    try:
        return None if text is None else schema_from_json(json.loads(text)["fields"])
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None


def unreachable(location: TableLocation) -> SourceError:
    """The error for a table that nobody can look at."""
    return SourceError(f"This process cannot reach {location.name}.")


def target_snapshot(lookup: TableLookup, location: TableLocation, target: TargetConfig) -> Snapshot:
    """Describe an existing target by a few footers, or as the catalog knows it.

    Raises:
        SourceError: A file is not a readable Parquet file, or lies outside the partition folders.
        TargetError: This process cannot reach the folder.
    """
    if location.table:
        entry = lookup.catalog(target).describe(location.table)
        columns = entry.partition_columns if entry else ()
        return lookup.describe(location, partition_columns=columns, refusal=unreachable(location))
    storage = location.storage()
    if storage is None:
        raise TargetError(f"This process cannot reach {location.name}.")
    return snapshot(storage, location, most_footers=_FOOTERS_FOR_SCHEMA)


def _files(storage: Storage) -> list[DataFile]:
    """The files of the table: those that a stream's log names where there is one, else those in the folder.

    Spark reads no empty file, such as the markers of object stores; one in a partition folder still tells its values.
    """
    files = committed_files(storage) if has_stream_log(storage) else storage.data_files()
    return [file for file in files if file.size or partition_folders(file.path)]


def counted(storage: Storage, found: Snapshot) -> Snapshot:
    """Read the footers that are still missing where that counts the rows at no great cost."""
    listing = found.listing
    if listing is None or listing.rows is not None or len(listing.files) > MOST_FOOTERS:
        return found
    listing = with_footers(storage, listing, [file.path for file in listing.files if file.path not in listing.footers])
    return replace(found, rows=listing.rows, listing=listing)


def _listing(files: Sequence[DataFile], footers: Mapping[str, Footer]) -> Listing:
    """Put the data files beside their footers, as far as these were read; the marker of an empty table is no data."""
    found = tuple(
        SourceFile(file.path, file.size, partition_values(file.path), modified_ns=file.modified_ns)
        for file in files
        if not _is_marker(file)
    )
    return Listing(found).looked_at(footers)


def partitioning(storage: Storage, files: Sequence[DataFile]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The partition columns that the folders name, and their types by the rule above."""
    texts = [dict(partition_folders(file.path)) for file in files if not _is_marker(file)]
    if not texts and any(map(_is_marker, files)):
        return _marked_partitioning(storage)
    columns = tuple(texts[0]) if texts else ()
    return columns, tuple(partition_type({each.get(name) for each in texts} - {NULL_PARTITION}) for name in columns)


def own_columns(listing: Listing) -> tuple[pa.Schema, dict[str, str]]:
    """Columns as Spark reads them, of the first file where files differ, and the stored types that Spark refuses."""
    types: dict[str, Any] = {}
    refused: dict[str, str] = {}
    for node in (node for nodes in listing.schemas for node in nodes):
        try:
            types.setdefault(node.name, spark_type(node))
        except NoSparkTypeError as error:
            if not node.annotation.startswith("GEO"):  # it depends on the session which of these Spark knows
                refused[node.name] = str(error)
    read = [{"name": name, "type": kind} for name, kind in types.items() if name not in refused]
    return schema_from_json(read), refused


def with_partitions(data: Iterable[pa.Field], found: Snapshot) -> pa.Schema:
    """The data columns and, behind them, the partition columns."""
    partitions = {name.casefold() for name in found.partition_columns}
    columns = [field for field in data if field.name.casefold() not in partitions]
    return pa.schema([*columns, *(named_field(name, type_name) for name, type_name in found.types.items())])


def _is_marker(file: DataFile) -> bool:
    return file.path == EMPTY_TABLE_FILE


def _marked_partitioning(storage: Storage) -> tuple[tuple[str, ...], tuple[str, ...]]:
    (footer,) = read_footers(storage, [EMPTY_TABLE_FILE])
    types: dict[str, str] = json.loads(footer.metadata.get(PARTITIONED_BY, b"{}"))
    return tuple(types), tuple(types.values())
