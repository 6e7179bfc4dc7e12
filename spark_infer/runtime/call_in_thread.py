"""A call in a thread of its own, which its caller may stop waiting for."""

from __future__ import annotations

import contextvars
import queue
import threading
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")
Ended = tuple[T] | BaseException
"""What a call came to."""
Wait = Callable[[queue.SimpleQueue[Ended[T]]], Ended[T]]
"""Waits for the one thing that comes into a queue, and raises when that takes too long."""
MakeThread = Callable[[Callable[[], None]], threading.Thread]


def call_in_thread(action: Callable[[], T], wait: Wait[T], thread: MakeThread | None = None) -> T:
    """Call an action in another thread, and wait for it.

    Args:
        action: What to call.
        wait: Waits for it.
        thread: Makes the thread; by default one that does not keep the process alive.
    """
    done: queue.SimpleQueue[Ended[T]] = queue.SimpleQueue()

    def work() -> None:
        try:
            done.put((action(),))
        except BaseException as error:  # raised again below, in the thread that asked
            done.put(error)

    (thread or _daemon)(work).start()
    ended = wait(done)
    if isinstance(ended, BaseException):
        raise ended
    return ended[0]


def _daemon(work: Callable[[], None]) -> threading.Thread:
    context = contextvars.copy_context()
    return threading.Thread(target=context.run, args=(work,), name="spark_infer-call", daemon=True)
