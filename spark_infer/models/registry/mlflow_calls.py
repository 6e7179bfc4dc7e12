"""Calls of MLflow and what it calls: how long they may take, and what they raise, as one of our errors.

MLflow's own limits (120 seconds a request, seven retries that back off) add up to many minutes before a dead
registry is called dead. MLflow reads them from the environment, so they are set there for the length of a
question and put back; what the user has set stays.

The classes of foreign errors are not looked at: they come from packages that need not be installed.
"""

from __future__ import annotations

import contextvars
import errno
import os
import re
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from spark_infer.config.secrets import without_secrets
from spark_infer.errors import EnvironmentProblem, ModelNotFoundError, RegistryUnavailableError, SparkInferError
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

_DENIED_CODES = ("PERMISSION_DENIED", "UNAUTHENTICATED", "CUSTOMER_UNAUTHORIZED")
_DENIED = re.compile(
    r"AccessDenied|Forbidden|Unauthorized|NoCredentials|Unable to locate credentials|InvalidAccessKeyId"
    r"|SignatureDoesNotMatch|AuthenticationFailed|AuthorizationFailure|DefaultCredentialsError|password authentication"
    r"|PermissionError|Permission denied|\b40[13] (?:Client )?Error|error code 40[13]\b",
    re.IGNORECASE,
)
_GONE = re.compile(r"NoSuchBucket|NoSuchKey|BucketNotFound|ContainerNotFound|FilesystemNotFound|bucket does not exist")
_PACKAGES = {"botocore": "boto3", "google": "google-cloud-storage", "azure": "azure-storage-file-datalake"}
_FULL = re.compile(r"No space left on device|Disk quota exceeded")
_REDIRECT = re.compile(r"error code 30\d\b")

# One at a time in this process: two that overlap would put back each other's settings.
_environment = threading.RLock()


def asked(address: str, question: Callable[[], Answer]) -> Answer:
    """Call ``question`` within the time limit and turn what it raises into our errors.

    Args:
        address: Who is asked.
        question: Talks to MLflow or an object store.
    """
    try:
        return ask(question)
    except Exception as error:
        raise translated(error, address) from printable_cause(error)


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


def translated(error: BaseException, address: str) -> Exception:
    """Turn a foreign exception from a registry or an object store into ours.

    Args:
        error: What was raised.
        address: Who was asked; shown without its secrets.

    Returns:
        An error to raise; an `OSError` where the disk is full, for the store to explain.
    """
    if isinstance(error, SparkInferError):
        return error
    chain = _chain(error)
    text = " | ".join(f"{type(each).__name__}: {each}" for each in chain)
    where = without_secrets(address)
    details = [f"{type(error).__name__}: {_short(error)}"]
    if _FULL.search(text):
        return OSError(errno.ENOSPC, "No space left on device")
    missing = next((each for each in chain if isinstance(each, ImportError)), None)
    if missing is not None:
        module = (missing.name or str(missing)).partition(".")[0]
        return EnvironmentProblem(
            f"Reading {where} needs the Python package {_PACKAGES.get(module, module)!r}.",
            next_step="Install it in the driver's environment.",
        )
    if getattr(error, "error_code", "") in _DENIED_CODES or _DENIED.search(text):
        return RegistryUnavailableError(
            f"Permission denied by {where}.",
            details=details,
            next_step="Check the credentials in the environment (MLFLOW_TRACKING_USERNAME and _PASSWORD or _TOKEN, or "
            "the object store's) and what they may read.",
        )
    if _GONE.search(text):
        return ModelNotFoundError(f"{where} does not exist.", details=details, next_step="Check the address.")
    return _unavailable(error, where, text, details)


def _unavailable(error: BaseException, where: str, text: str, details: list[str]) -> RegistryUnavailableError:
    if isinstance(error, TimeoutError):
        stack = getattr(error, "stack", ())
        return RegistryUnavailableError(
            f"{where} does not answer: {error}.",
            details=["it stood, the innermost call first:", *stack] if stack else (),
            next_step="Check that it is up; for a slow server set MLFLOW_HTTP_REQUEST_TIMEOUT (seconds).",
        )
    if getattr(error, "error_code", "") == "ENDPOINT_NOT_FOUND":
        return RegistryUnavailableError(
            f"{where} answers, but not as an MLflow server.", details=details, next_step="Check the tracking URI."
        )
    if _REDIRECT.search(text):
        return RegistryUnavailableError(
            f"{where} redirects to another address, which is not followed.",
            next_step="Give the final address, or set MLFLOW_ALLOW_HTTP_REDIRECTS=true.",
        )
    return RegistryUnavailableError(
        f"{where} does not answer as it should.", details=details, next_step="Check that it is up, then run again."
    )


def printable_cause(error: BaseException) -> BaseException | None:
    """Return the error to chain, or None where a traceback would print an address with a password."""
    return None if any(without_secrets(str(each)) != str(each) for each in _chain(error)) else error


def _chain(error: BaseException) -> list[BaseException]:
    chain: list[BaseException] = []
    each: BaseException | None = error
    while each is not None and each not in chain:
        chain.append(each)
        each = each.__cause__ or each.__context__
    return chain


def _short(error: BaseException, most: int = 240) -> str:
    text = " ".join(without_secrets(str(error)).split())
    return text if len(text) <= most else text[: most - 1] + "…"
