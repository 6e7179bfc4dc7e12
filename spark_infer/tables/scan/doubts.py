"""When the values in a table's files may be others than those that Spark reads: then Spark reads.

Each doubt is a clause for the reader of a plan. What is not known to be the same counts as a doubt.
Delta: https://github.com/delta-io/delta/blob/master/PROTOCOL.md
Old calendars: https://spark.apache.org/docs/latest/sql-data-sources-parquet.html, "datetimeRebaseModeInRead"
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import pyarrow as pa
from pyarrow import parquet as pq

from spark_infer.tables.deletion_vector import can_read
from spark_infer.tables.delta_log import LogState
from spark_infer.tables.listing import Footer, Listing
from spark_infer.tables.scan.values import readable
from spark_infer.tables.storage import split_uri

_HARMLESS_FEATURES = frozenset(
    (
        "columnMapping",
        "deletionVectors",
        "timestampNtz",
        "typeWidening",
        "typeWidening-preview",
        "v2Checkpoint",
        "vacuumProtocolCheck",
    )
)
"""Features of the reader's protocol that change nothing, or whose use shows elsewhere: in files, or in the schema."""

_LEGACY = (b"org.apache.spark.legacyDateTime", b"org.apache.spark.legacyINT96")
_SPARK_VERSION = b"org.apache.spark.version"
_CORRECTED_SINCE = (3, 1)


def delta_doubts(state: LogState) -> tuple[str, ...]:
    """Why the rows of a Delta version may not be those in its files."""
    return tuple(_delta_doubts(state))


def _delta_doubts(state: LogState) -> Iterator[str]:
    protocol = state.protocol
    unknown = sorted(set(protocol.get("readerFeatures") or ()) - _HARMLESS_FEATURES)
    if unknown:
        yield f"the table has the Delta features {', '.join(unknown)}"
    if int(protocol.get("minReaderVersion") or 1) > 3:
        yield f"the table asks for version {protocol['minReaderVersion']} of Delta's reader protocol"
    if state.column_mapping not in ("none", "name", "id"):
        yield f"the table maps its columns by {state.column_mapping}"
    if "delta.typeChanges" in _metadata_keys(state.schema):
        yield "types of its columns were widened"
    if any(split_uri(file.path)[0] or file.path.startswith("/") for file in state.files):
        yield "some of its files lie outside its folder"
    if len({file.path for file in state.files}) < len(state.files):
        yield "its log has a file more than once"


def deletion_doubts(listing: Listing) -> tuple[str, ...]:
    """Why the workers could not read the deletion vectors of the files."""
    vectors = [file.vector for file in listing.files if file.vector is not None]
    if vectors and not can_read():
        return ("the package pyroaring, which reads deletion vectors, is not installed",)
    outside = not all(vector.in_table for vector in vectors)
    return ("some of its deletion vectors lie outside its folder",) if outside else ()


def column_doubts(schema: Mapping[str, Any], columns: Iterable[str], partitions: Mapping[str, str]) -> tuple[str, ...]:
    """Why values of some columns may be others than those in the files.

    Args:
        schema: Spark's JSON of the table's schema.
        columns: The columns that are read.
        partitions: Partition columns and their types.
    """
    wanted = set(columns)
    doubts = []
    for field in schema["fields"]:
        if field["name"] not in wanted:
            continue
        keys = set(_metadata_keys(field))
        if "__CHAR_VARCHAR_TYPE_STRING" in keys:
            doubts.append(f"{field['name']} is of a type that Spark pads")
        if "parquet.field.id" in keys:
            doubts.append(f"{field['name']} is found by its field id")
        if "EXISTS_DEFAULT" in keys:
            doubts.append(f"{field['name']} has a default for older files")
        if "__COLLATIONS" in keys or "collate" in str(field["type"]):
            doubts.append(f"{field['name']} has a collation")
    for name, type_name in partitions.items():
        if name in wanted and not readable(type_name):
            doubts.append(f"the partition values of {name} ({type_name}) depend on the session")
    return tuple(doubts)


def footer_doubts(footers: Iterable[Footer]) -> tuple[str, ...]:
    """Why pyarrow may read other values from some files than Spark; each reason once."""
    return tuple(dict.fromkeys(footer.doubt for footer in footers if footer.doubt))


def footer_doubt(found: pq.FileMetaData) -> str:
    """Why pyarrow may read other values from a file than Spark; empty where they are the same."""
    metadata = found.metadata or {}
    old = any(key in metadata for key in _LEGACY) or _before_corrected(metadata.get(_SPARK_VERSION))
    if old and _holds_times(found.schema.to_arrow_schema()):
        return "files have dates or timestamps of the old calendar, which Spark rebases"
    return ""


def _before_corrected(version: bytes | None) -> bool:
    if version is None:
        return False  # not Spark's; then the session's setting decides, which is looked at elsewhere
    try:
        return tuple(int(part) for part in version.decode().split(".")[:2]) < _CORRECTED_SINCE
    except ValueError:
        return True


def _holds_times(schema: pa.Schema) -> bool:
    return any("timestamp" in str(field.type) or "date" in str(field.type) for field in schema)


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
