"""A pool of processes that do the tasks of one run."""

from __future__ import annotations

import pickle
import queue
import threading
from collections.abc import Callable, Sequence
from typing import Any

from spark_infer.core.pipes import Child
from spark_infer.errors import RunError, SparkInferError
from spark_infer.job.local.worker import MODULE, LocalWork

Answer = Any
OnDone = Callable[[int], None]


def do_tasks(job: LocalWork, numbers: Sequence[int], processes: int, on_done: OnDone) -> list[Answer]:
    """Do tasks in processes of their own, which end with this call.

    The first failure ends the others at once. No task is tried again: what failed here would fail again.

    Args:
        job: What every process needs.
        numbers: The tasks.
        processes: How many processes there may be.
        on_done: Is told how many tasks are done, from the threads of the pool.

    Returns:
        The tasks' answers, in any order.

    Raises:
        RunError: A task failed, or its process died.
    """
    pool = _Pool(numbers, on_done)
    children = [Child(MODULE, own_group=True) for _ in range(min(processes, len(numbers)))]
    message = pickle.dumps(job)
    threads = [threading.Thread(target=pool.work, args=(child, message), daemon=True) for child in children]
    try:
        for thread in threads:
            thread.start()
        pool.wait(len(threads))
    except BaseException:
        for child in children:
            child.kill()
        raise
    finally:
        for thread in threads:
            thread.join()
        for child in children:
            child.close()
    return pool.answers


class _Pool:
    """The tasks of a run that are still to do, and what became of the others."""

    def __init__(self, numbers: Sequence[int], on_done: OnDone) -> None:
        self._left: queue.SimpleQueue[int] = queue.SimpleQueue()
        for number in numbers:
            self._left.put(number)
        self._ended: queue.SimpleQueue[BaseException | None] = queue.SimpleQueue()
        self._on_done = on_done
        self._lock = threading.Lock()
        self.answers: list[Answer] = []

    def work(self, child: Child, job: bytes) -> None:
        """Have a child do one task after the other, until none is left or one fails."""
        try:
            child.ask(job)
            while True:
                answer = child.ask(str(self._left.get_nowait()).encode())
                with self._lock:
                    self.answers.append(answer)
                    self._on_done(len(self.answers))
        except queue.Empty:
            self._ended.put(None)
        except EOFError:
            self._ended.put(_died(child.status()))
        except BaseException as error:
            self._ended.put(error)

    def wait(self, threads: int) -> None:
        """Wait for the end of all work, or for the first failure."""
        for _ in range(threads):
            if (error := self._ended.get()) is not None:
                raise error if isinstance(error, SparkInferError) else _unknown(error) from error


def _died(status: int) -> RunError:
    return RunError(
        f"A process of engine `local` died with exit status {status}: killed for memory, or crashed in native code.",
        next_step="lower batch_size or max_batch_bytes, or set resources.cpus so that fewer processes run at once; the "
        "target is as it was before.",
    )


def _unknown(error: BaseException) -> RunError:
    return RunError(
        f"A task failed: {type(error).__name__}.",
        details=["its text is hidden, since it may quote row values; it is the cause of this error"],
        next_step="the target is as it was before.",
    )
