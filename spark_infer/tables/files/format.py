"""A folder of files as a source: one row for each file."""

from __future__ import annotations

from spark_infer.config import SourceConfig
from spark_infer.tables.bookmark import ALL_ROWS, Span
from spark_infer.tables.files import table_snapshot
from spark_infer.tables.location import TableLocation
from spark_infer.tables.snapshot import Snapshot
from spark_infer.tables.table_lookup import TableLookup


class FilesFormat:
    """Folders of files; a `SourceFormat`."""

    name = "files"
    declares_columns = True
    catalog_decides = False
    reader = "files"
    new_target = "parquet"

    def source_snapshot(
        self, lookup: TableLookup, location: TableLocation, source: SourceConfig, span: Span = ALL_ROWS
    ) -> Snapshot:
        """List the folder."""
        return table_snapshot.snapshot(location, source.pattern, span)

    def counted(self, found: Snapshot) -> Snapshot:
        """Each file is one row."""
        return found
