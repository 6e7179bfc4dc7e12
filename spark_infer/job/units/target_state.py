"""Whether a target still holds what a finished run put there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from spark_infer.errors import UnfinishedRunError
from spark_infer.job.units.run_plan import RunPlan
from spark_infer.job.units.runs import StillThere
from spark_infer.tables.delta_log import added_in, list_log, taken, taken_back
from spark_infer.tables.ledger.ledger import Ledger
from spark_infer.tables.publishers.work import app_of
from spark_infer.tables.storage import Storage
from spark_infer.tables.transaction import published


def target_state_of(table: Storage, kind: str, mode: str) -> StillThere:
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


def holds_rows(table: Storage, kind: str, report: Mapping[str, Any]) -> bool:
    """Whether a target still holds at least a part of the rows of a finished run.

    Args:
        table: The target's folder.
        kind: Its format.
        report: What the run reported.
    """
    files = list(report.get("some_files") or ())
    if kind == "delta":
        files = files or added_in(table, report.get("target_version"))  # Spark wrote them
        return _took(table, str(report.get("app"))) and (not files or len(taken_back(table, files)) < len(files))
    return any(info.is_file for info in table.files.get_file_info([table.at(path) for path in files]))


def contents(table: Storage) -> dict[str, int]:
    """What a plain folder of files holds: how many of them, and their bytes."""
    files = table.data_files()
    return {"files": len(files), "bytes": sum(file.size for file in files)}


def rows_left(table: Storage, kind: str, ledger: Ledger, plan: RunPlan) -> int:
    """Rows of an unfinished run that the target holds.

    Args:
        table: The target's folder.
        kind: Its format.
        ledger: The account of the run.
        plan: What it planned.
    """
    sealed = ledger.all_sealed()
    if kind == "delta":
        newest = published(table, app_of(ledger, plan.run_id))
        by_unit = plan.write["exists"] and plan.facts.get("target settings", {}).get("mode") == "append"
        return sum(entry.rows for unit, entry in sealed.items() if newest and (unit < newest or not by_unit))
    files = [file for entry in sealed.values() for file in entry.files]
    there = table.files.get_file_info([table.at(file.path) for file in files])
    return sum(file.rows for file, info in zip(files, there, strict=True) if info.is_file)


def _in_delta(table: Storage, report: Mapping[str, Any], *, replaced: bool, newest: bool) -> bool:
    log = list_log(table)
    if log is None or not _took(table, str(report.get("app"))):
        return False
    if replaced:
        return newest and report.get("target_version") == log.newest
    if lost := taken_back(table, report.get("some_files") or ()):
        raise _gone(report, lost)
    return True


def _took(table: Storage, app: str) -> bool:
    """Whether a Delta table's log has commits of a run."""
    found = taken(table, app)
    return bool(published(table, app) if found is None else found)


def _in_parquet(table: Storage, report: Mapping[str, Any], *, replaced: bool, newest: bool) -> bool:
    files = list(report.get("some_files") or ())
    infos = table.files.get_file_info([table.at(path) for path in files])
    lost = [info.path for info in infos if not info.is_file]
    if replaced:
        return newest and bool(files) and not lost and contents(table) == report.get("in_table")
    if lost:
        raise _gone(report, lost)
    return True


def _gone(report: Mapping[str, Any], lost: Sequence[str]) -> UnfinishedRunError:
    return UnfinishedRunError(
        f"This job has been done before, but {len(lost):,} files that it wrote are no longer in the target.",
        details=[
            f"run {report.get('run')}, {report.get('rows_scored'):,} rows; nothing was done now",
            "they were removed, overwritten or restored since, by this job or by somebody else",
        ],
        next_step="if the rows are to be scored and written again, say --new-run (new_run=True); those that are still "
        "there would then be there twice.",
    )
