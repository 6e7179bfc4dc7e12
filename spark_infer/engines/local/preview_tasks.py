"""Score some rows in processes of this machine and hand them back; nothing is written."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from functools import partial

from spark_infer.engines.direct_work import DirectWork
from spark_infer.engines.local.pool import do_tasks
from spark_infer.engines.local.process import nothing_sent
from spark_infer.engines.prepared_job import MatchedJob
from spark_infer.engines.preview_rows import Previewed, Selection, preview_task
from spark_infer.models.files.distribution import ModelFiles, open_folder
from spark_infer.runtime.assignment import Assignment
from spark_infer.runtime.local_resources import LocalResources


@dataclass(frozen=True, kw_only=True)
class PreviewWork:
    """Tasks that read, score and hand back; plain values."""

    work: DirectWork
    files: ModelFiles
    assigned: Assignment
    selection: Selection

    def do(self, number: int) -> Previewed:
        """Do a task."""
        return preview_task(
            self.work, partial(open_folder, self.files, nothing_sent), number, self.assigned, self.selection
        )


def preview(job: MatchedJob, selection: Selection, here: LocalResources) -> Generator[Previewed]:
    """Score the rows of a selection: a sample in all processes, the first rows in one, until nobody wants more.

    Args:
        job: The job.
        selection: Which rows.
        here: What this machine gives.
    """
    assert job.plane.scan is not None  # engine `local` has no other plane
    selection, tasks = selection.among(job.plane.tasks)
    work = PreviewWork(
        work=DirectWork.of(job.recipe, job.plane.scan, tasks),
        files=job.files,
        assigned=here.assigned(job.config.resources),
        selection=selection,
    )
    processes = 1 if selection.share is None else here.processes
    answers = do_tasks(work, range(len(tasks)), processes, lambda number: True, job.deadline)
    if selection.share is None:
        yield from (answer for _, answer in answers)
    else:
        yield from (answer for _, answer in sorted(answers, key=lambda each: each[0]))
