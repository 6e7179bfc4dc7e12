"""Engine `local`'s tasks in the process of the test: starting processes takes seconds, and has tests of its own."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from spark_infer.engines.direct_work import written_files
from spark_infer.engines.job_deadline import Deadline
from spark_infer.engines.local.process import LocalWork


def tasks_here(
    job: LocalWork, numbers: Sequence[int], processes: int, wanted: Callable[[int], bool], deadline: Deadline
) -> Iterator[tuple[int, Any]]:
    """Do tasks here, with all that a process would be sent and would answer."""
    sent: LocalWork = pickle.loads(pickle.dumps(job))
    for number in numbers:
        if wanted(number):
            done = written_files(sent.work, sent.folder, number, sent.assigned, sent.sink)
            yield number, pickle.loads(pickle.dumps(done))
