"""Run a prepared job in processes of this machine, and report what was done."""

from __future__ import annotations

import time
from collections.abc import Callable

from spark_infer.core.totals import TaskTotals
from spark_infer.errors import PlanError, SparkMustReadError
from spark_infer.job.account import facts_of, report_of
from spark_infer.job.local.pool import do_tasks
from spark_infer.job.local.prepare import LocalJob
from spark_infer.job.local.worker import LocalWork
from spark_infer.job.planes.worker import DirectWork
from spark_infer.models.place import Place
from spark_infer.observe.progress import Progress
from spark_infer.observe.report import Report
from spark_infer.tables.handover import hand_over
from spark_infer.tables.sink.spec import SinkSpec, WrittenFile

OnProgress = Callable[[Progress], None]


def run_local(
    job: LocalJob, *, on_progress: OnProgress | None = None, clock: Callable[[], float] = time.perf_counter
) -> Report:
    """Score and write, and report what was done.

    Raises:
        RunError: A process, a file or the write failed; the target is as it was before.
    """
    if job.plane.scan is None or job.plane.sink is None:
        raise PlanError("Engine `local` has only the direct plane.")
    work = DirectWork.of(job.recipe, job.plane.scan, job.plane.tasks)
    place = Place(cpus=job.here.cpus, resources=job.config.resources)
    begin, totals = clock(), []

    def on_done(done: int) -> None:
        if on_progress is not None:
            on_progress(Progress(done, len(job.plane.tasks), job.rows, clock() - begin))

    def fill(into: SinkSpec) -> list[WrittenFile]:
        local = LocalWork(work=work, sink=into, files=job.files, place=place)
        answers = do_tasks(local, range(len(job.plane.tasks)), job.here.processes, on_done)
        totals.append(TaskTotals.of_tasks([stats for _, stats in answers]))
        return [file for files, _ in answers for file in files]

    try:
        written = hand_over(job.write, job.plane.sink, fill, schema=job.schema.json(), facts=facts_of(job))
    except SparkMustReadError as error:
        error.next_step = "set engine: spark; the target is as it was before."
        raise
    return report_of(job, written, totals[0], {"score_and_write": clock() - begin})
