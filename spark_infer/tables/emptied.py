"""Which table partitions a write took all rows out of and put none into: what the reader of its report should know."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from pyarrow import ArrowException

from spark_infer.tables.delta.log import list_log, read_log
from spark_infer.tables.plan import WritePlan
from spark_infer.tables.predicate import canonical_text
from spark_infer.tables.sink.folders import folder_of
from spark_infer.tables.storage import Storage


def emptied_notes(before: Iterable[str], after: Iterable[str]) -> tuple[str, ...]:
    """Tell which of some table partitions are no longer there.

    Args:
        before: Their folders, as Spark names them, before the write.
        after: The same after it.
    """
    return tuple(f"The partition {each} got no row and was emptied." for each in sorted({*before} - {*after} - {""}))


def emptied_in_delta(plan: WritePlan, table: Storage | None, version: int | None) -> tuple[str, ...]:
    """Compare a version of a Delta table with the one before it.

    Args:
        plan: The write that made the version; where it declares no partitions, nothing is compared.
        table: The table's folder; None where this process cannot reach it, and so cannot tell.
        version: The version; None where the write made none.
    """
    if table is None or not version or plan.scope is None:
        return ()
    try:
        log = list_log(table)
    except (ArrowException, OSError):
        return ()  # the rows are there, which matters more
    if log is None:
        return ()
    before, after = (read_log(table, log, each) for each in (version - 1, version))
    if before is None or after is None:
        return ()
    return emptied_notes(*({*_folders(plan, (file.values for file in state.files))} for state in (before, after)))


def _folders(plan: WritePlan, partitions: Iterable[Mapping[str, str | None]]) -> Iterable[str]:
    types = dict(zip(plan.partition_by, plan.partition_types, strict=True))
    for values in partitions:
        if plan.scope is not None and plan.scope.holds(values):
            yield folder_of({name: canonical_text(values.get(name), type_name) for name, type_name in types.items()})
