"""A pool of processes that do the tasks of one run."""

from __future__ import annotations

import logging
import os
import pickle
import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any

from spark_infer.engines.job_deadline import Deadline
from spark_infer.engines.local.process import MODULE, Work
from spark_infer.engines.local.stack_files import stacks_folder
from spark_infer.errors import RunError, SparkInferError, WorkerLostError
from spark_infer.runtime.child_process import Child
from spark_infer.runtime.deadline import FOLDER, expired, stacks_of
from spark_infer.runtime.fork_server import fork_server
from spark_infer.runtime.output_capture import LOG_LEVEL

logger = logging.getLogger(__name__)

Answer = Any
Wanted = Callable[[int], bool]


def do_tasks(
    job: Work, numbers: Sequence[int], processes: int, wanted: Wanted, deadline: Deadline
) -> Iterator[tuple[int, Answer]]:
    """Do tasks in processes of their own, which end with this call, and yield what each answers.

    The first failure ends the others at once. No task is tried again: what failed here would fail again.

    Args:
        job: What every process needs.
        numbers: The tasks.
        processes: How many processes there may be.
        wanted: Is asked before a task begins, from the threads of the pool.
        deadline: When all of them must be done.

    Raises:
        RunError: A task failed, or its process died.
    """
    server = fork_server()
    with stacks_folder() as stacks, nullcontext() if server is None else server.used():
        pool = _Pool(numbers, wanted, stacks)
        environ = {FOLDER: str(stacks)}
        # What native code and threads of a model print may be values of rows: not for the screen, unless that is asked
        # for.
        log = None if os.environ.get(LOG_LEVEL) else partial(logger.info, "%s")
        count = min(processes, len(numbers))
        children = [Child(MODULE, own_group=True, environ=environ, log=log, server=server) for _ in range(count)]
        message = pickle.dumps(job)
        threads = [threading.Thread(target=pool.work, args=(child, message), daemon=True) for child in children]
        try:
            for thread in threads:
                thread.start()
            yield from pool.answers(len(threads), deadline)
        except BaseException:
            for child in children:
                child.kill()
            raise
        finally:
            for thread in threads:
                thread.join()
            for child in children:
                child.close()


class _Pool:
    """The tasks of a run that are still to do, and what became of the others."""

    def __init__(self, numbers: Sequence[int], wanted: Wanted, stacks: Path) -> None:
        self._left: queue.SimpleQueue[int] = queue.SimpleQueue()
        for number in numbers:
            self._left.put(number)
        self._told: queue.SimpleQueue[tuple[int, Answer] | BaseException | None] = queue.SimpleQueue()
        self._wanted = wanted
        self._stacks = stacks

    def work(self, child: Child, job: bytes) -> None:
        """Have a child do one task after the other, until none is left or one fails."""
        try:
            child.ask(job)
            while True:
                number = self._left.get_nowait()
                if self._wanted(number):
                    self._told.put((number, child.ask(str(number).encode())))
        except queue.Empty:
            self._told.put(None)
        except EOFError:
            status = child.status()
            self._told.put(expired(stacks_of(self._stacks, child.pid)) or _died(status))
        except BaseException as error:
            self._told.put(error)

    def answers(self, threads: int, deadline: Deadline) -> Iterator[tuple[int, Answer]]:
        """Yield answers until all threads have ended; the first failure is raised."""
        while threads:
            told = deadline.get(self._told)
            if told is None:
                threads -= 1
            elif isinstance(told, BaseException):
                raise told if isinstance(told, SparkInferError) else _unknown(told) from told
            else:
                yield told


def _died(status: int) -> RunError:
    more_memory = "set resources.cpus so that fewer processes run at once"
    return WorkerLostError.process_died("A process of engine `local`", status, more_memory=more_memory)


def _unknown(error: BaseException) -> RunError:
    return RunError(
        f"A task failed: {type(error).__name__}.",
        details=["its text is hidden, since it may quote row values; it is the cause of this error"],
    )
