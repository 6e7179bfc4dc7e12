"""Which publisher a write needs."""

from __future__ import annotations

from spark_infer.tables.delta import transaction
from spark_infer.tables.formats import format_of
from spark_infer.tables.plan import WritePlan
from spark_infer.tables.publishers.work import Log, Publisher, PublishWork


def publisher_of(work: PublishWork, log: Log = transaction) -> Publisher:
    """Choose how the files of a run become part of its target; changes nothing.

    Args:
        work: The run.
        log: How Delta's log is read and written.
    """
    return format_of(work.plan.location.format).publisher(work, log, one_by_one=one_by_one(work.plan))


def one_by_one(plan: WritePlan) -> bool:
    """Whether units are seen as they are done: only where they are added to what is there."""
    return plan.mode == "append" and not plan.creates
