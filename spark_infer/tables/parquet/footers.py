"""The footers of a table's files, as far as planning needs them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor

import pyarrow as pa
from pyarrow import ArrowException

from spark_infer.errors import SourceError
from spark_infer.tables.listing import Footer, Listing
from spark_infer.tables.paths import logged_path
from spark_infer.tables.scan.footer import NotParquetError, RawFooter, read_footer
from spark_infer.tables.scan.parquet_schema import SchemaReader
from spark_infer.tables.scan.read_eligibility import file_column_doubts, file_doubt
from spark_infer.tables.storage import Storage

_READ_AT_ONCE = 16


def with_footers(storage: Storage, listing: Listing, paths: Sequence[str]) -> Listing:
    """Read some footers into a listing.

    Raises:
        SourceError: One is damaged or missing; the message names the file.
    """
    return listing.looked_at(dict(zip(paths, read_footers(storage, paths), strict=True)))


class MissingFileError(SourceError):
    """A file of a table has gone since the table was listed."""


def read_footers(storage: Storage, paths: Iterable[str]) -> list[Footer]:
    """Read the footers of some files.

    Raises:
        MissingFileError: One is missing.
        SourceError: One is damaged; the message names the file.
    """
    schemas = SchemaReader()
    arrow: dict[pa.Schema, pa.Schema] = {}

    def read(path: str) -> Footer:
        try:
            with storage.files.open_input_file(storage.at(path)) as stream:
                return _footer(read_footer(stream, schemas), arrow)
        except FileNotFoundError as error:
            raise MissingFileError(
                f"The file {logged_path(storage.at(path))} of the table is missing.",
                next_step="run again when no other job writes this table.",
            ) from error
        except (NotParquetError, ArrowException, OSError) as error:
            raise SourceError(
                f"The file {logged_path(storage.at(path))} is not a readable Parquet file.",
                details=[str(error) if isinstance(error, NotParquetError) else "its footer cannot be read"],
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
    schema = found.schema.remove_metadata()
    return Footer(
        rows=found.rows,
        columns=", ".join(f"{each.name} {each.type}" for each in schema),
        metadata=dict(metadata.metadata or {}),
        group_rows=found.group_rows,
        schema=schemas.setdefault(schema, schema),
        nodes=found.columns,
        doubts=file_column_doubts(found),
    )
