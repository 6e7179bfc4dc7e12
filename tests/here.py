"""Engine `local`'s tasks in the process of the test: starting processes takes seconds, and has tests of its own."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from spark_infer.engines.job_deadline import Deadline
from spark_infer.engines.local.process import Work


def tasks_here(
    job: Work, numbers: Sequence[int], processes: int, wanted: Callable[[int], bool], deadline: Deadline
) -> Iterator[tuple[int, Any]]:
    """Do tasks here, with all that a process would be sent and would answer."""
    sent: Work = pickle.loads(pickle.dumps(job))
    for number in numbers:
        if wanted(number):
            yield number, pickle.loads(pickle.dumps(sent.do(number)))
