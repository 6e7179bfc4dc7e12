"""What only Spark can read, such as a view or a query, before its rows are stored; then they are a Parquet table."""

from __future__ import annotations

from spark_infer.config import SourceConfig
from spark_infer.tables.bookmark import ALL_ROWS, Span
from spark_infer.tables.listing import Listing
from spark_infer.tables.location import TableLocation
from spark_infer.tables.snapshot import Snapshot
from spark_infer.tables.table_lookup import TableLookup


class StoredFormat:
    """Rows that are stored before they are scored; a `SourceFormat`."""

    name = "stored"
    declares_columns = True
    catalog_decides = False
    reader = "parquet"
    new_target = "parquet"

    def source_snapshot(
        self, lookup: TableLookup, location: TableLocation, source: SourceConfig, span: Span = ALL_ROWS
    ) -> Snapshot:
        """Describe the table that will have the rows, without any; of a folder, count the files that Spark reads."""
        storage = location.storage()
        sizes = None if storage is None or not storage.kind() else [file.size for file in storage.data_files()]
        return Snapshot(
            location=location,
            version=None,
            partition_columns=(),
            rows=None,
            files=None if sizes is None else len(sizes),
            size_bytes=None if sizes is None else sum(sizes),
            listing=Listing(()),
        )

    def counted(self, found: Snapshot) -> Snapshot:
        """The rows are counted when they are stored."""
        return found
