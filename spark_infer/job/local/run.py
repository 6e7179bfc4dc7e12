"""Score the units of a prepared job in processes of this machine."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Sequence

from spark_infer.errors import PlanError, SparkMustReadError
from spark_infer.job.local.pool import do_tasks
from spark_infer.job.local.prepare import LocalJob
from spark_infer.job.local.worker import LocalWork
from spark_infer.job.planes.worker import DirectWork
from spark_infer.job.units.drive import Scored
from spark_infer.job.units.gather import Gathered
from spark_infer.job.units.run import UnitRun, again, run_units
from spark_infer.job.units.told import OnProgress, Told
from spark_infer.job.units.unit import Unit
from spark_infer.models.place import Place
from spark_infer.observe.report import Report
from spark_infer.tables.storage import Storage


def run_local(
    job: LocalJob, *, on_progress: OnProgress | None = None, clock: Callable[[], float] = time.perf_counter
) -> Report:
    """Score what is left and publish it, and report what was done.

    Raises:
        RunError: A process, a file or the write failed; units that were done before stay done.
    """
    if job.plane.scan is None or job.plane.sink is None or job.start is None:
        raise PlanError("Engine `local` has only the direct plane.")
    if (done := again(job.start)) is not None:
        return done
    try:
        return run_units(job, job.start, lambda run: _Pool(job, run, on_progress), clock=clock)
    except SparkMustReadError as error:
        error.next_step = "set engine: spark."
        raise


class _Pool:
    """Scores units in a pool of processes."""

    def __init__(self, job: LocalJob, run: UnitRun, on_progress: OnProgress | None) -> None:
        self._job = job
        self._run = run
        self._on_progress = on_progress

    def __call__(
        self, units: Sequence[Unit], folder: Storage, session: str, wanted: Callable[[Unit], bool]
    ) -> Generator[Scored]:
        """Score units; all their tasks stand in one queue, so that no process waits for the end of a unit."""
        job = self._job
        if job.plane.scan is None:
            raise PlanError("Engine `local` has only the direct plane.")
        work = LocalWork(
            work=DirectWork.of(job.recipe, job.plane.scan, self._run.tasks),
            sink=self._run.sink(session).into(folder.uri),
            files=job.files,
            place=Place(cpus=job.here.cpus, resources=job.config.resources),
        )
        gathered = Gathered(units, wanted)
        told = Told(units, self._run.units, self._run.rows(units), self._on_progress)
        for empty in gathered.empty():
            told.unit()
            yield empty
        for number, (files, stats) in do_tasks(
            work, gathered.numbers, job.here.processes, gathered.is_wanted, job.deadline
        ):
            told.task()
            if (scored := gathered.add(number, files, stats)) is not None:
                told.unit()
                yield scored
