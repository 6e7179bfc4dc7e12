"""How long a server may keep us waiting, for an answer or for a model's files.

MLflow's own limits (120 seconds a request, seven retries that back off) add up to many minutes before a dead
registry is called dead. MLflow reads them from the environment, so they are set there for the length of a
question and put back; what the user has set stays.
"""

from __future__ import annotations

import contextvars
import os
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from spark_infer.runtime.output_capture import captured_output

Answer = TypeVar("Answer")

# What a server may redirect us to is not what the user configured, and would be sent the user's credentials.
WHOLE_CALL = {"MLFLOW_ALLOW_HTTP_REDIRECTS": "false", "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false"}
QUESTION = WHOLE_CALL | {
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "6",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    "MLFLOW_HTTP_REQUEST_BACKOFF_JITTER": "0",
    "MLFLOW_HTTP_RESPECT_RETRY_AFTER_HEADER": "false",
}

_QUESTION_SECONDS = 15.0
_MOST_FRAMES = 12

# One at a time in this process: two that overlap would put back each other's settings.
_environment = threading.RLock()


@contextmanager
def settings(wanted: Mapping[str, str]) -> Iterator[None]:
    """Set environment variables that are not set, and take them back afterwards."""
    with _environment:
        ours = {name: value for name, value in wanted.items() if name not in os.environ}
        os.environ.update(ours)
        try:
            yield
        finally:
            for name, value in ours.items():
                if os.environ.get(name) == value:
                    del os.environ[name]


def question_seconds(environ: Mapping[str, str]) -> float:
    """Say how long a whole question may take: 15 seconds, or what the user's own limits for MLflow add up to."""
    try:
        each = float(environ["MLFLOW_HTTP_REQUEST_TIMEOUT"])
        retries = int(environ.get("MLFLOW_HTTP_REQUEST_MAX_RETRIES", QUESTION["MLFLOW_HTTP_REQUEST_MAX_RETRIES"]))
    except (KeyError, ValueError):
        return _QUESTION_SECONDS
    return max(_QUESTION_SECONDS, each * (retries + 1) + 3)


class GivenUpError(TimeoutError):
    """A call did not come back in time.

    Attributes:
        stack: Where it stood, the innermost call first.
    """

    def __init__(self, what: str, stack: Sequence[str]) -> None:
        super().__init__(what)
        self.stack = tuple(stack)


def ask(question: Callable[[], Answer], *, seconds: float | None = None) -> Answer:
    """Call ``question`` with MLflow's limits made short, and give up on it after ``seconds``.

    Raises:
        GivenUpError: There was no answer in time.
    """
    seconds = question_seconds(os.environ) if seconds is None else seconds
    with settings(QUESTION):
        return within(seconds, question, "no answer")


def within(seconds: float, call: Callable[[], Answer], nothing: str) -> Answer:
    """Call, and give up after some seconds.

    A database driver or a name server may sit through any limit of HTTP, so the call runs in a thread of its own; one
    that is given up on dies with the process.

    Args:
        seconds: How long.
        call: What to call.
        nothing: What there is then, for the message.

    Raises:
        GivenUpError: It did not come back in time.
    """
    answers: list[Answer] = []
    failures: list[BaseException] = []

    def run() -> None:
        try:
            with captured_output():
                answers.append(call())
        except BaseException as error:  # raised again below, in the thread that asked
            failures.append(error)

    context = contextvars.copy_context()
    thread = threading.Thread(target=context.run, args=(run,), name="spark_infer-registry", daemon=True)
    thread.start()
    thread.join(seconds)
    if failures:
        raise failures[0]
    if not answers:
        raise GivenUpError(f"{nothing} in {seconds:g} seconds", stack_of(thread))
    return answers[0]


def stack_of(thread: threading.Thread) -> list[str]:
    """Where a thread stands, the innermost call first."""
    frame = sys._current_frames().get(thread.ident or 0)
    calls = [] if frame is None else traceback.extract_stack(frame)
    return [
        f"  {Path(call.filename).name}, line {call.lineno}, in {call.name}" for call in calls[: -_MOST_FRAMES - 1 : -1]
    ]
