"""Score units in a pool of processes: all their tasks stand in one queue."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence

from spark_infer.engines.direct_work import DirectWork
from spark_infer.engines.gathered import Gathered
from spark_infer.engines.local.pool import do_tasks
from spark_infer.engines.local.process import LocalWork
from spark_infer.engines.prepared_job import PreparedJob
from spark_infer.engines.unit import Unit
from spark_infer.engines.unit_progress import OnProgress, UnitProgress
from spark_infer.engines.unit_run import Scored, UnitRun
from spark_infer.errors import PlanError
from spark_infer.runtime.local_resources import LocalResources
from spark_infer.tables.storage import Storage


class LocalUnits:
    """Scores units in a pool of processes.

    Args:
        job: The job.
        run: Its run.
        on_progress: Called with how far the run is.
        here: What this machine gives.
    """

    def __init__(self, job: PreparedJob, run: UnitRun, on_progress: OnProgress | None, here: LocalResources) -> None:
        self._job = job
        self._run = run
        self._on_progress = on_progress
        self._here = here

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
            assigned=self._here.assigned(job.config.resources),
        )
        gathered = Gathered(units, wanted)
        progress = UnitProgress(units, self._run.units, self._run.rows(units), self._on_progress)
        for empty in gathered.empty():
            progress.unit()
            yield empty
        if gathered.numbers:
            progress.begin()
        for number, (files, stats) in do_tasks(
            work, gathered.numbers, self._here.processes, gathered.is_wanted, job.deadline
        ):
            progress.task()
            if (scored := gathered.add(number, files, stats)) is not None:
                progress.unit()
                yield scored
