"""Prefetching: the next batch is read and prepared in a thread while the model predicts the last one."""

from __future__ import annotations

from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class PrefetchChoice:
    """Whether a task reads and prepares a batch while the model predicts the last one.

    Attributes:
        is_on: Whether.
        why: The reason, for the plan.
    """

    is_on: bool
    why: str


def choose_prefetch(option: str, *, cpus: int, on_gpu: bool) -> PrefetchChoice:
    """Decide whether there is something to compute with while the model predicts.

    Args:
        option: What the user asked for: ``auto`` or ``off``.
        cpus: Cores of a task.
        on_gpu: Whether the model predicts on a GPU.
    """
    if option == "off":
        return PrefetchChoice(False, "as the job says")
    if on_gpu:
        return PrefetchChoice(True, "the model predicts on a GPU")
    if cpus > 1:
        return PrefetchChoice(True, f"a task has {cpus:,} cores")
    return PrefetchChoice(False, "a task has one core")


class _End:
    """There is no further item."""


def prefetch(items: Generator[T]) -> Generator[T]:
    """Yield what a generator yields, and have it make the next item meanwhile, in a thread of its own.

    One item is ahead at most. What the generator raises is raised here, in its turn. However this one ends, also closed
    early, the thread ends before it, and the generator is closed.

    Args:
        items: What is made ahead; nobody else may use it.
    """

    def following() -> T | _End:
        return next(items, _End())

    try:
        with ThreadPoolExecutor(1, thread_name_prefix="spark_infer-prefetch") as thread:
            pending = thread.submit(following)
            while not isinstance(item := pending.result(), _End):
                pending = thread.submit(following)
                yield item
    finally:
        items.close()
