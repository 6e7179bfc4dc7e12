"""Engine `local`'s tasks in the process of the test: starting processes takes seconds, and has tests of its own."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest

from spark_infer import Report, ScoringJob
from spark_infer.config import JobConfig
from spark_infer.engines.job_deadline import Deadline
from spark_infer.engines.local import units as local_units
from spark_infer.engines.local.process import Work


@contextmanager
def no_processes() -> Iterator[None]:
    """Jobs of engine `local` run in this process meanwhile."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(local_units, "do_tasks", tasks_here)
        yield


def run_here(document: dict[str, Any]) -> Report:
    """Run a job of engine `local` in this process."""
    with no_processes():
        return ScoringJob(JobConfig.model_validate(document)).run()


def tasks_here(
    job: Work, numbers: Sequence[int], processes: int, wanted: Callable[[int], bool], deadline: Deadline
) -> Iterator[tuple[int, Any]]:
    """Do tasks here, with all that a process would be sent and would answer."""
    sent: Work = pickle.loads(pickle.dumps(job))
    for number in numbers:
        if wanted(number):
            yield number, pickle.loads(pickle.dumps(sent.do(number)))
