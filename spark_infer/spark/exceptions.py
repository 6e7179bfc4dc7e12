"""Spark's exceptions as errors of spark_infer, translated once."""

from __future__ import annotations

import re
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from pyspark.errors import PySparkException

from spark_infer import errors
from spark_infer.errors import RunError, SourceReadError, SparkInferError, WorkerLostError, WriteError
from spark_infer.runtime.deadline import expired
from spark_infer.tables.paths import logged_path

_OWN = re.compile(
    r"spark_infer\.errors\.(?:\w+\.)?(\w+): (.*?)(?:\n\s*\n|\n\tat |\s*SQLSTATE: \w+\s*(?:\n|\Z)|\Z)", re.DOTALL
)
_FILE = re.compile(
    r"(?:FAILED_READ_FILE[.\w]*|CANNOT_READ_FILE_FOOTER|CANNOT_MERGE_SCHEMAS|"
    # Before Spark 4 these have no name.
    r"Encountered error while reading file|Failed merging schema of file|cannot be converted in file|"
    r"SparkFileNotFoundException)"
    r"[^\n]*?((?:file|s3a?|abfss?|gs|hdfs):\S+)"
)

_LOST = re.compile(
    r"INVALID_HANDLE\.(?:SESSION|OPERATION)_|StatusCode\.UNAVAILABLE|RETRIES_EXCEEDED"
    r"|failed to connect to all addresses|Socket closed"
)


def is_lost(error: BaseException) -> bool:
    """Whether an error, or one that led to it, says that Spark's Java process does not answer any more."""
    found: BaseException | None = error
    while found is not None:
        if type(found).__name__ == "Py4JNetworkError" or (isinstance(found, ConnectionError) and _in_py4j(found)):
            return True
        found = found.__cause__ or found.__context__
    return False


def _in_py4j(error: BaseException) -> bool:
    frames = [frame.f_globals.get("__name__", "") for frame, _ in traceback.walk_tb(error.__traceback__)]
    return bool(frames) and str(frames[-1]).startswith("py4j.")


def is_sparks(error: BaseException) -> bool:
    """Whether an error is one of PySpark's or Py4J's own."""
    return isinstance(error, PySparkException) or type(error).__module__.split(".")[0] in ("py4j", "pyspark")


@contextmanager
def translated() -> Iterator[None]:
    """Raise what a Spark job fails with in spark_infer's words, as `translate` has them."""
    try:
        yield
    except Exception as error:
        ours = translate(error)
        if ours is None or ours is error:
            raise
        raise ours from error


def translate(error: BaseException) -> SparkInferError | None:
    """Say in spark_infer's words why a Spark job failed; None where Spark's own words are the best there are.

    An error that a worker raised on purpose comes back as itself.
    """
    if isinstance(error, SparkInferError):
        return error
    if not is_sparks(error):
        return None
    text = _whole_text(error)
    for found in (
        _own_error,
        _own_check,
        _constraint,
        _damaged_file,
        _dead_worker,
        _missing_library,
        _missing_python,
        _full_disk,
        _lost_server,
        _untold_cause,
    ):
        translated = found(text)
        if translated is not None:
            return translated
    return None


def _whole_text(error: BaseException) -> str:
    """The message, and the causes that a Spark Connect server tells apart from it."""
    causes = getattr(error, "_stacktrace", None)
    return f"{error}\n{causes}" if isinstance(causes, str) else str(error)


def _own_error(text: str) -> SparkInferError | None:
    # The last one is the cause nearest to the driver; Spark repeats it for each retry.
    match = _OWN.search(text)
    if match is None:
        return None
    cls = getattr(errors, match.group(1), None)
    if not (isinstance(cls, type) and issubclass(cls, SparkInferError)):
        return None
    what, *rest = match.group(2).splitlines()
    details = [line.strip() for line in rest if not line.startswith("Next: ")]
    next_step = "".join(line.removeprefix("Next: ") for line in rest if line.startswith("Next: "))
    make: Callable[..., SparkInferError] = cls
    return make(what, details=details, next_step=next_step)


def _own_check(text: str) -> SparkInferError | None:
    # A condition that the write itself carries: Spark raises our text, and nothing is committed.
    match = re.search(
        r"(?:USER_RAISED_EXCEPTION\W+|RuntimeException: )spark_infer: ([^\n]*?)(?:\. SQLSTATE|\s*SQLSTATE|\n|\Z)", text
    )
    if match is None:
        return None
    what = match.group(1).rstrip(".")
    return WriteError(
        f"{what[:1].upper()}{what[1:]}.",
        next_step="narrow the source with partition_filter or where, or declare these partitions too; nothing was "
        "written.",
    )


def _constraint(text: str) -> SparkInferError | None:
    # Delta's own words quote the row.
    match = re.search(
        r"DELTA_(?:VIOLATE_CONSTRAINT\w*|NOT_NULL_CONSTRAINT_VIOLATED)\]?\s*([^\n]*?)(?: violated by|\n|\Z)", text
    )
    if match is None:
        return None
    return WriteError(
        f"A scored row breaks a constraint of the target: {match.group(1).strip()[:200]}",
        next_step="filter such rows with `where`, or change the constraint; nothing was written.",
    )


def _damaged_file(text: str) -> SparkInferError | None:
    match = _FILE.search(text)
    if match is None:
        return None
    return SourceReadError(
        f"A file of the source cannot be read: {logged_path(match.group(1).rstrip('.'))}",
        next_step="restore or remove this file, then run again; units that were done stay done.",
    )


def _dead_worker(text: str) -> SparkInferError | None:
    # Which words Spark has for it depends on whether it was writing to the worker or reading from it.
    told = ("Python worker exited unexpectedly", "Python worker failed to connect back")
    lost = re.search(r"SocketException: (Connection reset|Broken pipe)", text) and "ython" in text
    if not lost and not any(words in text for words in told):
        return None
    if (stopped := expired(text)) is not None:
        return stopped
    return WorkerLostError(
        "A Python worker died without an exception: killed for memory, or crashed in native code.",
        details=["the last Python stack, if there is one, is in the log of the executor"],
        next_step="lower batch_size or max_batch_bytes, or give the executors more memory "
        "(spark.executor.memoryOverhead).",
    )


def _missing_library(text: str) -> SparkInferError | None:
    match = re.search(r"ModuleNotFoundError: No module named '([\w.]+)'", text)
    if match is None:
        return None
    return RunError(
        f"The Python of Spark's workers has no module {match.group(1)!r}.",
        next_step="install it where the workers run, or set spark.pyspark.python to an environment that has it.",
    )


def _missing_python(text: str) -> SparkInferError | None:
    match = re.search(r"Cannot run program [\\\"]*([^\\\"\s]+).*?(?:No such file|Permission denied)", text)
    if match is None:
        return None
    return RunError(
        f"A node has no Python {match.group(1)!r} for Spark's workers.",
        next_step="set spark.pyspark.python to one that every node has, or bring one with --archives env.tar.gz#env.",
    )


def _full_disk(text: str) -> SparkInferError | None:
    if "No space left on device" not in text:
        return None
    return WriteError(
        "A disk is full.", next_step="free space and run the same command again; units that were done stay done."
    )


def _lost_server(text: str) -> SparkInferError | None:
    if not _LOST.search(text):
        return None
    return RunError(
        "The Spark Connect server was lost while it worked: it ended, closed the session, or cannot be reached.",
        details=["its work may have gone on: look at the target's newest version before the next run"],
        next_step="open a new session, then run again.",
    )


def _untold_cause(text: str) -> SparkInferError | None:
    # Spark 4.2: the server fails over a cause that has no text, such as the EOFException of a dead worker, and the
    # client knows of the write alone.
    if not re.fullmatch(r"\[TASK_WRITE_FAILED\][^\n]*", text.strip()):
        return None
    return RunError(
        "A task failed, and the Spark Connect server does not say why, as when a Python worker died without an "
        "exception: killed for memory, or crashed in native code.",
        details=["the cause is in the log of the server"],
        next_step="lower batch_size or max_batch_bytes, or give the server more memory.",
    )
