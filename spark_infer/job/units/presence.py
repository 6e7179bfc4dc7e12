"""Whether a target still holds what a finished run put there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from spark_infer.errors import UnfinishedRunError
from spark_infer.job.units.find import StillThere
from spark_infer.job.units.runplan import RunPlan
from spark_infer.tables.delta_log import list_log, taken
from spark_infer.tables.storage import Storage
from spark_infer.tables.transaction import published


def presence(table: Storage, kind: str, mode: str) -> StillThere:
    """Return who looks at a target.

    Rows that were added are there as long as the table is the same one. A table or partitions that were replaced count
    only as long as nobody has written to the table since: to replace them again does no harm.

    Args:
        table: The target's folder.
        kind: Its format.
        mode: The write mode.
    """

    def still_there(plan: RunPlan, report: Mapping[str, Any], newest: bool) -> bool:
        replaced = mode.startswith("overwrite")
        if kind == "delta":
            return _in_delta(table, report, replaced=replaced, newest=newest)
        return _in_parquet(table, report, replaced=replaced, newest=newest)

    return still_there


def _in_delta(table: Storage, report: Mapping[str, Any], *, replaced: bool, newest: bool) -> bool:
    log = list_log(table)
    app = str(report.get("app"))
    found = taken(table, app)
    if log is None or not (published(table, app) if found is None else found):
        return False
    return not replaced or (newest and report.get("target_version") == log.newest)


def _in_parquet(table: Storage, report: Mapping[str, Any], *, replaced: bool, newest: bool) -> bool:
    files = list(report.get("some_files") or ())
    infos = table.files.get_file_info([table.at(path) for path in files])
    left = sum(info.is_file for info in infos)
    if replaced:
        return newest and bool(files) and left == len(files) and len(table.data_files()) == report.get("files_in_table")
    if files and not left:
        raise UnfinishedRunError(
            "This job has been done before, but the files that it wrote are no longer in the target.",
            details=[f"run {report.get('run')}, {report.get('rows_scored'):,} rows; nothing was done now"],
            next_step="if the rows are to be scored and written again, say --new-run (new_run=True).",
        )
    return True
