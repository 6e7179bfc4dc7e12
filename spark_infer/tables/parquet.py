"""Parquet tables as a source: footers, partition folders, and the frame over them.

Partition values keep their text. Spark guesses a type for each partition column and reads the folders ``p=001`` and
``p=1`` both as 1; here a column is an integer or a date only where every one of its folders is written exactly as that
value is printed, and a string otherwise. A table of the catalog has the types that the catalog declares.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import date
from typing import TYPE_CHECKING, Any

import pyarrow as pa
from pyarrow import ArrowException

from spark_infer.errors import SourceError
from spark_infer.tables.analysis import first_line
from spark_infer.tables.listing import Footer, Listing, SourceFile
from spark_infer.tables.location import TableLocation
from spark_infer.tables.scan.doubts import file_column_doubts, file_doubt
from spark_infer.tables.scan.footer import NotParquetError, RawFooter, read_footer
from spark_infer.tables.scan.parquet_schema import SchemaReader
from spark_infer.tables.scan.spark_types import NoSparkTypeError, spark_type
from spark_infer.tables.settings import settings
from spark_infer.tables.snapshot import Snapshot
from spark_infer.tables.storage import DataFile, Storage, partition_values, plain_folder

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession
    from pyspark.sql.types import StructType

MOST_FOOTERS = 2_000
EMPTY_TABLE_FILE = "part-00000-no-rows.parquet"
"""Holds the schema of a partitioned table without rows, which Spark would leave without any file."""

PARTITIONED_BY = b"spark_infer.partition_by"
_SPARK_SCHEMA = b"org.apache.spark.sql.parquet.row.metadata"
_READ_AT_ONCE = 16


def snapshot(storage: Storage, location: TableLocation, *, most_footers: int = MOST_FOOTERS) -> Snapshot:
    """Describe a Parquet table from its listing and footers, before any filter.

    Of a table with more than ``most_footers`` files only the first footers are read, and the rows stay unknown.

    Raises:
        SourceError: A file is no readable Parquet file, or lies outside the partition folders.
    """
    files = storage.data_files()
    columns, types = partitioning(storage, files)
    _refuse_stray(location, files, columns)
    footers = read_footers(storage, [file.path for file in files[:most_footers]])
    schemas = {footer.metadata.get(_SPARK_SCHEMA) for footer in footers}
    listing = _listing(files, footers)
    known = next(iter(schemas)) if len(schemas) == 1 else None
    return Snapshot(
        location=location,
        version=None,
        partition_columns=columns,
        partition_types=types,
        rows=listing.rows,
        files=len(files),
        size_bytes=sum(file.size for file in files),
        schema_json=known.decode() if known else None,
        mixed_schemas=len({footer.columns for footer in footers if footer.columns}) > 1,
        listing=listing,
        refused=_refused(listing) if known is None else {},
    )


def counted(storage: Storage, found: Snapshot) -> Snapshot:
    """Read the footers that are still missing where that counts the rows at no great cost."""
    listing = found.listing
    if listing is None or listing.rows is not None or len(listing.files) > MOST_FOOTERS:
        return found
    listing = with_footers(storage, listing, [file.path for file in listing.files if file.path not in listing.footers])
    return replace(found, rows=listing.rows, listing=listing)


def with_footers(storage: Storage, listing: Listing, paths: Sequence[str]) -> Listing:
    """Read some footers into a listing.

    Raises:
        SourceError: One is damaged or missing; the message names the file.
    """
    return listing.looked_at(dict(zip(paths, read_footers(storage, paths), strict=True)))


def _listing(files: Sequence[DataFile], footers: Sequence[Footer]) -> Listing:
    """Put the data files beside their footers, as far as these were read; the marker of an empty table is no data."""
    found = tuple(
        SourceFile(file.path, file.size, partition_values(file.path), modified_ns=file.modified_ns)
        for file in files
        if not _is_marker(file)
    )
    return Listing(found).looked_at({file.path: footer for file, footer in zip(files, footers, strict=False)})


def _refuse_stray(location: TableLocation, files: Sequence[DataFile], columns: Sequence[str]) -> None:
    """Refuse files that Spark would pass over without a word: those in no partition folder, or in another's."""
    plain = [folder for file in files if (folder := plain_folder(file.path)) is not None]
    if plain:
        raise SourceError(
            f"{location.name} has files in a folder that is no partition: {plain[0]}/.",
            details=["Spark would leave their rows out; it looks only into folders that are called name=value."],
            next_step="name that folder itself, move its files, or give it a name of the form name=value.",
        )
    own = tuple(columns)
    stray = [file.path for file in files if tuple(partition_values(file.path)) != own and not _is_marker(file)]
    if stray:
        raise SourceError(
            f"{location.name} mixes partition folders: {stray[0]} is not below {'/'.join(f'{c}=…' for c in columns)}/.",
            details=["Spark would leave its rows out, or refuse the table."],
            next_step="move the file away, or name the folder that you mean.",
        )


def partitioning(storage: Storage, files: Sequence[DataFile]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The partition columns that the folders name, and their types by the rule above."""
    values = [partition_values(file.path) for file in files if not _is_marker(file)]
    if not values and any(map(_is_marker, files)):
        return _marked_partitioning(storage)
    columns = tuple(values[0]) if values else ()
    return columns, tuple(_round_trip_type({each.get(name) for each in values}) for name in columns)


def read_footers(storage: Storage, paths: Iterable[str]) -> list[Footer]:
    """Read the footers of some files.

    Raises:
        SourceError: One is damaged or missing; the message names the file.
    """
    schemas = SchemaReader()
    arrow: dict[pa.Schema, pa.Schema] = {}

    def read(path: str) -> Footer:
        try:
            with storage.files.open_input_file(storage.at(path)) as stream:
                return _footer(read_footer(stream, schemas), arrow)
        except FileNotFoundError as error:
            raise SourceError(
                f"The file {storage.at(path)} vanished while the table was looked at.",
                next_step="run again when no other job writes this table.",
            ) from error
        except (NotParquetError, ArrowException, OSError) as error:
            raise SourceError(
                f"The file {storage.at(path)} is not a readable Parquet file.",
                details=["its footer is damaged or it is of another format"],
                next_step="restore or remove the file.",
            ) from error

    with ThreadPoolExecutor(_READ_AT_ONCE, "spark-infer-footers") as pool:
        return list(pool.map(read, paths))


def _footer(found: RawFooter, schemas: dict[pa.Schema, pa.Schema]) -> Footer:
    """Take what planning needs out of a footer; files with the same columns share one schema."""
    if doubt := file_doubt(found):
        columns = ", ".join(f"{each.name} {each}" for each in found.columns)
        return Footer(rows=found.rows, columns=columns, metadata={}, doubt=doubt, nodes=found.columns)
    metadata = found.metadata
    schema = metadata.schema.to_arrow_schema().remove_metadata()
    return Footer(
        rows=found.rows,
        columns=", ".join(f"{each.name} {each.type}" for each in schema),
        metadata=dict(metadata.metadata or {}),
        group_rows=found.group_rows,
        schema=schemas.setdefault(schema, schema),
        nodes=found.columns,
        doubts=file_column_doubts(found),
    )


def frame(spark: SparkSession, found: Snapshot) -> DataFrame:
    """The whole table as a DataFrame.

    No Spark job starts where the files carry Spark's schema, or columns of types that are the same to everybody; of
    others that something else wrote, Spark reads footers in one small job of its own.
    """
    location = found.location
    if location.table:
        return spark.table(location.table)
    path = location.path or ""
    try:
        schema = _schema(spark, found, path)
        return spark.read.schema(schema).parquet(path)
    except SourceError:
        raise
    except Exception as error:  # PySpark's exceptions cannot be named here
        raise SourceError(f"Spark cannot read {location.name}: {first_line(error)}") from error


def _schema(spark: SparkSession, found: Snapshot, path: str) -> StructType:
    if found.schema_json is not None:
        fields = json.loads(found.schema_json)["fields"]
    elif (plain := _plain_fields(found)) is not None:
        fields = plain
    elif found.refused and found.listing is not None:
        fields = _fields_that_spark_reads(found.listing, found.refused)
    else:
        # The types that Spark guesses for the partitions are replaced below.
        with settings(spark, {"spark.sql.sources.partitionColumnTypeInference.enabled": "false"}):
            inferred = spark.read.option("mergeSchema", str(found.mixed_schemas).lower()).parquet(path).schema
        fields = json.loads(inferred.json())["fields"]
    # The class StructType without importing PySpark.
    struct_type: Any = type(spark.range(0).schema)
    schema: StructType = struct_type.fromJson({"type": "struct", "fields": with_partitions(fields, found)})
    return schema


def _plain_fields(found: Snapshot) -> list[Mapping[str, Any]] | None:
    """The columns as Spark's JSON where no setting and no annotation can make Spark read another type; else None."""
    if found.mixed_schemas or found.listing is None or len(found.listing.schemas) != 1:
        return None
    ((*nodes,),) = found.listing.schemas
    twins = len({node.name.casefold() for node in nodes}) < len(nodes)
    if not nodes or twins or any((node.physical, node.annotation) not in _PLAIN_TYPES for node in nodes):
        return None
    if any(node.repetition == "repeated" for node in nodes):
        return None
    return [{"name": node.name, "type": spark_type(node), "nullable": True, "metadata": {}} for node in nodes]


_PLAIN_TYPES = (
    ("BOOLEAN", ""),
    ("INT32", ""),
    ("INT64", ""),
    ("FLOAT", ""),
    ("DOUBLE", ""),
    ("BYTE_ARRAY", "STRING"),
)
"""What a file can hold in one way only."""


def _refused(listing: Listing) -> dict[str, str]:
    """Columns whose types Spark refuses, and the types; one of them keeps Spark from reading the others' types."""
    refused = {}
    for node in (node for nodes in listing.schemas for node in nodes):
        try:
            spark_type(node)
        except NoSparkTypeError as error:
            refused[node.name] = str(error)
    return refused


def _fields_that_spark_reads(listing: Listing, refused: Collection[str]) -> list[Mapping[str, Any]]:
    """The other columns as Spark's JSON; where files differ, the type in the first one."""
    types: dict[str, Any] = {}
    for node in (node for nodes in listing.schemas for node in nodes):
        if node.name not in refused and node.name not in types:
            types[node.name] = spark_type(node)
    return [{"name": name, "type": kind, "nullable": True, "metadata": {}} for name, kind in types.items()]


def with_partitions(fields: Sequence[Mapping[str, Any]], found: Snapshot) -> list[Mapping[str, Any]]:
    """The data columns and, behind them, the partition columns, as Spark's JSON has fields."""
    partitions = {name.casefold() for name in found.partition_columns}
    return [
        *(each for each in fields if each["name"].casefold() not in partitions),
        *(
            {"name": name, "type": _JSON_NAMES.get(type_name, type_name), "nullable": True, "metadata": {}}
            for name, type_name in found.types.items()
        ),
    ]


_JSON_NAMES = {"int": "integer", "bigint": "long"}


def _round_trip_type(values: set[str | None]) -> str:
    texts = [text for text in values if text is not None]
    if texts and all(_is_written_as(int, text) for text in texts):
        return "int" if all(-(2**31) <= int(text) < 2**31 for text in texts) else _wide(texts)
    if texts and all(_is_written_as(date.fromisoformat, text) for text in texts):
        return "date"
    return "string"


def _wide(texts: Iterable[str]) -> str:
    return "bigint" if all(-(2**63) <= int(text) < 2**63 for text in texts) else "string"


def _is_written_as(parse: Any, text: str) -> bool:
    try:
        return str(parse(text)) == text
    except ValueError:
        return False


def _is_marker(file: DataFile) -> bool:
    return file.path == EMPTY_TABLE_FILE


def _marked_partitioning(storage: Storage) -> tuple[tuple[str, ...], tuple[str, ...]]:
    (footer,) = read_footers(storage, [EMPTY_TABLE_FILE])
    types: dict[str, str] = json.loads(footer.metadata.get(PARTITIONED_BY, b"{}"))
    return tuple(types), tuple(types.values())
