"""Which publisher a write needs."""

from __future__ import annotations

from spark_infer.tables import transaction
from spark_infer.tables.plan import WritePlan
from spark_infer.tables.publishers.append import AppendDelta, AppendParquet
from spark_infer.tables.publishers.whole import WholeDelta, WholeParquet
from spark_infer.tables.publishers.work import Log, Publisher, PublishWork


def publisher_of(work: PublishWork, log: Log = transaction) -> Publisher:
    """Choose how the files of a run become part of its target; changes nothing.

    Args:
        work: The run.
        log: How Delta's log is read and written.
    """
    delta = work.plan.location.format == "delta"
    if one_by_one(work.plan):
        return AppendDelta(work, log) if delta else AppendParquet(work)
    return WholeDelta(work, log) if delta else WholeParquet(work)


def one_by_one(plan: WritePlan) -> bool:
    """Whether units are seen as they are done: only where they are added to what is there."""
    return plan.mode == "append" and not plan.creates
