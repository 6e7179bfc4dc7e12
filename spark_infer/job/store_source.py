"""Store the rows of a source that only Spark can read, and prepare the job that scores them."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from dataclasses import replace

from spark_infer.config import JobConfig
from spark_infer.engines.prepared_job import PreparedJob
from spark_infer.errors import PlanError, RunError
from spark_infer.job.prepare import prepare_job
from spark_infer.job.row_count import check_planned_rows
from spark_infer.job.units.concurrent_drivers import taking_part
from spark_infer.job.units.stored_rows import (
    next_number,
    reading,
    remove_sessions,
    seal_rows,
    stored_runs,
    wait_for_others,
)
from spark_infer.runtime.process_state import this_process
from spark_infer.tables.ledger.ledger import UNITS


def after_storing(job: PreparedJob, clock: Callable[[], float] = time.perf_counter) -> PreparedJob:
    """Have the engine store the rows of a job's source, and return the job that scores them.

    A command that is killed before all of them are there leaves nothing that counts: the next one stores them again.
    From then on every command of the run scores these.

    Args:
        job: The job, whose source is not stored.
        clock: Seconds that only grow.

    Raises:
        RunError: Spark failed to read or write them; nothing was scored.
        PlanError: They are too few.
    """
    begun = clock()
    config = _stored(job, clock)
    seconds = clock() - begun
    again = prepare_job(
        job.engine, config, model=job.recipe.ref, new_run=job.new_run, deadline=job.deadline, clock=clock
    )
    before = {name: job.seconds[name] + again.seconds.get(name, 0) for name in job.seconds}
    return replace(again, seconds={**before, "store": seconds})


def _stored(job: PreparedJob, clock: Callable[[], float]) -> JobConfig:
    config, store = job.config, job.source.store
    assert store is not None
    ledger = stored_runs(job.engine.tables, config).stored
    session, begun = uuid.uuid4().hex[:8], clock()
    if (there := wait_for_others(config, ledger, job.deadline.sleep)) is not None:
        return reading(config, ledger, there)
    number = next_number(ledger)
    with taking_part(ledger, session, job.deadline.sleep):
        ledger.make_folder(ledger.folder.below(UNITS))
        ledger.make_folder(ledger.staged(session).parent())
        this_process().failpoints.reach("storing")
        try:
            files = job.deadline.plan(lambda: store(ledger.staged(session)), job.engine.call_in_thread)
            check_planned_rows(config, sum(file.rows for file in files))
        except (RunError, PlanError):
            remove_sessions(ledger, [session])
            raise
        return reading(config, ledger, seal_rows(config, ledger, number, session, files, clock() - begun))
