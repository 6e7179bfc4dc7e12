"""An append that would add rows which an earlier run of the same job has added already."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from spark_infer.errors import BookmarkMovedError, TargetError
from spark_infer.job.units.fingerprint import (
    FILE_DIGITS,
    FILES,
    NEW_ROWS,
    QUARANTINED,
    SECRETS,
    VARIABLES,
    Facts,
    differences,
    digest,
    mode_of,
    stored_session,
    version_in,
)
from spark_infer.job.units.run_plan import RunPlan
from spark_infer.job.units.runs import Runs, plan_in, report_in
from spark_infer.job.units.slices import by_column
from spark_infer.tables.bookmark import SCORE_ALL, Bookmark
from spark_infer.tables.where.sql import canonical

_MOST_DIFFERENCES = 3
_OTHER_WAYS = (
    "select the new rows alone with `incremental`, source.where or source.partition_filter; replace the old ones with "
    "target.mode merge and keys (Delta, on Spark), or overwrite_partitions (a partitioned table); or append all of "
    "them again with --new-run (new_run=True)."
)

_OTHER_ROWS = (
    "have the source say which rows are new, best by a parameter of the job such as the day (docs/sources.md), or give "
    "other rows of a DataFrame another `source_name`; replace the old ones with target.mode merge and keys, or "
    "overwrite_partitions; or append its rows of now with --new-run (new_run=True)."
)


def refuse_repeated_append(runs: Runs, facts: Facts, holds_rows: Callable[[Mapping[str, Any]], bool]) -> None:
    """Refuse a new run that only adds rows (``append``), and reads those that a finished run of the job has added.

    A run repeats an earlier one where its condition (``where`` and ``partition_filter``) is the same or selects more,
    or where it reads a file that the earlier one has read under the same ``where``. Another ``where`` is the user's way
    to select new rows, and is refused only where all files were read without one before: then every row is there.

    Args:
        runs: The runs of the job: of one name, source and target.
        facts: What decides the rows of the new run.
        holds_rows: Whether the target holds rows of a finished run, by its report.

    Raises:
        TargetError: The rows would be in the target twice.
        LedgerError: The account of a run is damaged.
    """
    if not mode_of(facts).adds_only or QUARANTINED in facts:
        return
    for ledger in reversed(runs.of_all_slices()):
        report = report_in(ledger)
        if report is None or not report["rows_scored"]:
            continue
        plan = plan_in(ledger)
        if plan is None or QUARANTINED in plan.facts:
            continue
        if reads_again(plan.facts, facts) and holds_rows(report):
            raise _repeated(ledger.name, plan, report, facts)


def refuse_rows_after_bookmark(runs: Runs, facts: Facts, holds_rows: Callable[[Mapping[str, Any]], bool]) -> None:
    """Refuse an incremental run that only adds rows, where a run without `incremental` has added new rows already.

    Only incremental runs move the bookmark, so that what another run of the job has read after it is new once more.
    Another ``where`` is the user's way to select other rows, as long as neither run is without one.

    Args:
        runs: The runs of the job: of one name, source and target.
        facts: What decides the rows of the new run, whose target has a bookmark.
        holds_rows: Whether the target holds rows of a finished run, by its report.

    Raises:
        TargetError: The rows would be in the target twice.
        LedgerError: The account of a run is damaged.
    """
    found = Bookmark.of_facts(facts[NEW_ROWS]["found"])
    if found is None or not mode_of(facts).adds_only or facts.get(FILES) == "":
        return
    older = set()
    for ledger in reversed(runs.of_all_slices()):
        part = ledger.name.rsplit(".", 2)[0]
        report = None if part in older else report_in(ledger)
        if report is None:
            continue
        if (mark := Bookmark.of_facts(report)) is not None:
            older |= {part} if mark == found else set()
            continue
        plan = plan_in(ledger) if report["rows_scored"] else None
        if plan is None or QUARANTINED in plan.facts:
            continue
        if _reads_after(found, plan.facts, facts) and holds_rows(report):
            raise TargetError(
                "A run of this job without `incremental` has put rows into the target that came after its bookmark, "
                "and they would be appended again.",
                details=[
                    f"run {ledger.name}, of {plan.started_at:%Y-%m-%d %H:%M} UTC: {report['rows_scored']:,} rows of "
                    f"{plan.facts['source version']}",
                    f"the bookmark is at {found.up_to}",
                ],
                next_step=SCORE_ALL,
            )


def refuse_moved_bookmark(facts: Facts, now: Bookmark | None, target: str) -> None:
    """Refuse an incremental run that was planned before another one has added new rows: they would be new once more.

    Args:
        facts: What decides the rows of the new run.
        now: The bookmark of the target.
        target: The target, as it is shown.

    Raises:
        BookmarkMovedError: So it is.
    """
    if NEW_ROWS in facts and Bookmark.of_facts(facts[NEW_ROWS]["found"] or {}) != now:
        raise BookmarkMovedError(
            f"Another command has added new rows to {target} while this one was planned.",
            details=["nothing has run, and nothing has changed"],
            next_step="run the same command again: it scores what is new since then.",
        )


def _reads_after(found: Bookmark, before: Facts, now: Facts) -> bool:
    """Whether an earlier run has read rows that came after the bookmark, and that are read now."""
    earlier, later = _where(before, now), _where(now, now)
    if later != earlier and _NOTHING not in (earlier, later):
        return False
    first, second = (_condition(facts, now, "partition_filter") for facts in (before, now))
    if not _meet(first, second, unchanged=True):
        return False
    version = version_in(before)
    if version is None:
        return bool(_files(before) & _files(now))
    return version > found.source_version and before["source version"].endswith(f" {found.source_id[:8]}")


def reads_again(before: Facts, now: Facts) -> bool:
    """Whether a run reads rows that an earlier one has read, as far as their conditions and their files say."""
    return _selects_again(before, now) or _reads_same_files(before, now)


def _selects_again(before: Facts, now: Facts) -> bool:
    unchanged = before["source version"] == now["source version"]
    earlier, later = _where(before, now), _where(now, now)
    same_where = later in (earlier, _NOTHING) or (unchanged and earlier == _NOTHING)
    filters = [_condition(facts, now, "partition_filter") for facts in (before, now)]
    return same_where and _meet(filters[0], filters[1], unchanged)


def _reads_same_files(before: Facts, now: Facts) -> bool:
    """Whether a run reads files that an earlier one has read under the same ``where``, or all of them under none."""
    earlier, later = _where(before, now), _where(now, now)
    wanted = _files(now)
    known = wanted & _files(before)
    if later in (earlier, _NOTHING):
        return bool(known)
    return earlier == _NOTHING and bool(wanted) and known == wanted


def _files(facts: Facts) -> set[str]:
    text = facts.get(FILES) or ""
    return {text[at : at + FILE_DIGITS] for at in range(0, len(text), FILE_DIGITS)}


def _condition(facts: Facts, now: Facts, name: str) -> tuple[Any, Any]:
    """A condition as the ledger keeps it, and its digest where a secret is hidden in it."""
    before = facts.get(VARIABLES, {}).get(name)
    if before is not None and before == digest(now[name]):
        return now[name], None
    return facts[name], before or facts.get(SECRETS, {}).get(name)


def _where(facts: Facts, now: Facts) -> tuple[Any, Any]:
    text, hidden = _condition(facts, now, "where")
    return None if text is None else canonical(text), hidden


_NOTHING = (None, None)


def _meet(earlier: tuple[Any, Any], later: tuple[Any, Any], unchanged: bool) -> bool:
    """Whether the later filter selects table partitions that the earlier one has selected."""
    if earlier[1] or later[1]:  # the values themselves are not in the ledger
        return earlier == later
    selected = by_column(earlier[0])
    return all(
        bool({*selected[column]} & {*values}) if column in selected else unchanged
        for column, values in by_column(later[0]).items()
    )


def _repeated(run: str, plan: RunPlan, report: Mapping[str, Any], facts: Facts) -> TargetError:
    changed = differences(plan.facts, facts)
    more = len(changed) - _MOST_DIFFERENCES
    next_step = _OTHER_ROWS if stored_session(plan.facts) else SCORE_ALL if NEW_ROWS in facts else _OTHER_WAYS
    return TargetError(
        f"This job has put {report['rows_scored']:,} rows into the target before, and would append them again.",
        details=[
            f"run {run}, of {plan.started_at:%Y-%m-%d %H:%M} UTC",
            *changed[:_MOST_DIFFERENCES],
            *([f"{more} more differences"] if more > 0 else []),
        ],
        next_step=next_step,
    )
