"""Whether a target still holds what a finished run put there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from spark_infer.config.write_modes import WriteMode
from spark_infer.errors import UnfinishedRunError
from spark_infer.job.units.find_run import StillThere
from spark_infer.job.units.run_plan import RunPlan
from spark_infer.tables.formats import TableFormat
from spark_infer.tables.predicate import PartitionScope, partition_scope
from spark_infer.tables.storage import Storage


def target_state_of(table: Storage, table_format: TableFormat, mode: WriteMode) -> StillThere:
    """Return who looks at a target.

    Rows that were added are there as long as the table is the same one. Partitions that were replaced count as long as
    they hold the run's files and no others, a table that was replaced only as long as nobody has written to it since:
    to replace them again does no harm.

    Args:
        table: The target's folder.
        table_format: Its format.
        mode: The write mode.
    """

    def still_there(plan: RunPlan, report: Mapping[str, Any], newest: bool) -> bool:
        if not table_format.written.has_run(table, report):
            return False
        if mode.replaces_partitions and (partitions := scope_of(plan)) is not None and "some_files" in report:
            return table_format.written.holds_partitions(table, report, partitions)
        if mode.replaces_files:
            return newest and table_format.written.is_unchanged(table, report)
        if lost := table_format.written.lost_files(table, report):
            raise _gone(report, lost)
        return True

    return still_there


def scope_of(plan: RunPlan) -> PartitionScope | None:
    """The table partitions that a run may replace; None where they do not fit the table."""
    parts = dict(zip(plan.write["partition_by"], plan.write["partition_types"], strict=True))
    scope, problems = partition_scope(plan.facts["target settings"]["partitions"], parts)
    return None if problems else scope


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
