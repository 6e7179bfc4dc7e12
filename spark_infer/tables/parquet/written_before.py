"""What a Parquet table holds of earlier runs: which of their files are there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from spark_infer.errors import WriteError
from spark_infer.tables.bookmark import SCORE_ALL, Bookmark
from spark_infer.tables.ledger.ledger import Ledger
from spark_infer.tables.predicate import PartitionScope
from spark_infer.tables.storage import Storage, partition_values


class ParquetWritten:
    """What a Parquet table holds of earlier runs; a `WrittenBefore`."""

    def bookmark(self, table: Storage, job: str, report: Mapping[str, Any] | None) -> Bookmark | None:
        """That of the newest finished run, as long as the files of it are there."""
        found = None if report is None else Bookmark.of_facts(report)
        if report is None or found is None or found.job != job:
            return None
        if lost := self.lost_files(table, report):
            raise WriteError(
                f"{len(lost):,} files are gone from {table.root} that the last run with new rows has put there.",
                details=["nobody can tell which rows the table still holds"],
                next_step=SCORE_ALL,
            )
        return found

    def newest_batch(self, table: Storage, stream: str) -> None:
        """Nothing but the files tells."""

    def contents(self, table: Storage) -> dict[str, int]:
        """How many files the folder holds, and their bytes."""
        files = table.data_files()
        return {"files": len(files), "bytes": sum(file.size for file in files)}

    def has_run(self, table: Storage, report: Mapping[str, Any]) -> bool:
        """Nothing but the files tells."""
        return True

    def is_unchanged(self, table: Storage, report: Mapping[str, Any]) -> bool:
        """Whether all of the run's files are there, and the folder holds as much as it did."""
        files = list(report.get("some_files") or ())
        return bool(files) and not self.lost_files(table, report) and self.contents(table) == report.get("in_table")

    def holds_partitions(self, table: Storage, report: Mapping[str, Any], scope: PartitionScope) -> bool:
        """Compare them with the files in their folders."""
        there = {file.path for file in table.data_files() if scope.holds(partition_values(file.path))}
        return there == set(report["some_files"])

    def lost_files(self, table: Storage, report: Mapping[str, Any]) -> list[str]:
        """Those that are not in the folder any more."""
        infos = table.files.get_file_info([table.at(path) for path in report.get("some_files") or ()])
        return [info.path for info in infos if not info.is_file]

    def holds_rows(self, table: Storage, report: Mapping[str, Any]) -> bool:
        """Whether one of the run's files is there, or any where Spark has made the table: nobody knows its files."""
        files = report.get("some_files") or ()
        return _any_there(table, files) if files else bool(table.data_files())

    def holds_some_of(self, table: Storage, ledger: Ledger, run_id: str) -> bool:
        """Whether one of the run's files is there."""
        return _any_there(table, [file.path for entry in ledger.all_sealed().values() for file in entry.files])

    def rows_left(self, table: Storage, ledger: Ledger, run_id: str, *, one_by_one: bool) -> int:
        """The rows of the run's files that are there."""
        files = [file for entry in ledger.all_sealed().values() for file in entry.files]
        there = table.files.get_file_info([table.at(file.path) for file in files])
        return sum(file.rows for file, info in zip(files, there, strict=True) if info.is_file)


def _any_there(table: Storage, paths: Sequence[str]) -> bool:
    return any(info.is_file for info in table.files.get_file_info([table.at(path) for path in paths]))
