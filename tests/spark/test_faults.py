"""Spark's words for a failure, as errors of spark_infer; those that a server says only at times."""

from __future__ import annotations

import traceback

import pytest
from pyspark.errors import PySparkException
from pyspark.errors.exceptions import connect

from spark_infer import errors
from spark_infer.errors import RunError, SourceReadError, SparkInferError, WorkerLostError, WriteError
from spark_infer.spark.exceptions import translate

WRITE_FAILED = "[TASK_WRITE_FAILED] Task failed while writing rows to file:/data/scored. SQLSTATE: 58030"


@pytest.mark.skipif(not hasattr(connect, "SparkException"), reason="Spark 3.5 tells no causes apart from the message")
@pytest.mark.parametrize(
    ("causes", "error", "words"),
    [
        # Spark 4.2: the server cannot tell a cause without a text, such as the EOFException of a dead worker.
        (None, RunError, "the Spark Connect server does not say why"),
        (
            "org.apache.spark.SparkException\nCaused by: org.apache.spark.SparkException: Python worker exited "
            "unexpectedly (crashed).",
            WorkerLostError,
            "A Python worker died without an exception",
        ),
        (
            "org.apache.spark.SparkException\nCaused by: java.io.IOException: No space left on device",
            WriteError,
            "disk is full",
        ),
    ],
)
def test_a_failed_write_on_spark_connect_is_told_by_its_causes(
    causes: str | None, error: type[Exception], words: str
) -> None:
    raised = connect.SparkException(message=WRITE_FAILED, server_stacktrace=causes)
    translated = translate(raised)
    assert type(translated) is error
    assert words in str(translated)


def test_a_failed_write_with_a_cause_of_its_own_in_the_message_stays_as_spark_tells_it() -> None:
    assert translate(PySparkException(message=f"{WRITE_FAILED}\nCaused by: java.lang.Error: something new")) is None


@pytest.mark.parametrize(
    "said",
    [
        "[FAILED_READ_FILE.NO_HINT] Encountered error while reading file file:///in/a.parquet. SQLSTATE: KD001",
        "org.apache.spark.SparkException: Encountered error while reading file file:///in/a.parquet. Details:",
        "org.apache.spark.SparkFileNotFoundException: File file:///in/a.parquet does not exist",
        "Parquet column cannot be converted in file file:///in/a.parquet. Column: [x], Expected: int, Found: INT64.",
    ],
)
def test_a_file_that_cannot_be_read_is_named_in_whatever_words_a_version_has(said: str) -> None:
    translated = translate(PySparkException(message=f"Job aborted due to stage failure: {said}"))
    assert isinstance(translated, SourceReadError)
    assert translated.what == "A file of the source cannot be read: file:///in/a.parquet"


def kinds(root: type[SparkInferError]) -> list[type[SparkInferError]]:
    return [root, *(kind for each in root.__subclasses__() for kind in kinds(each))]


def test_each_error_of_a_worker_is_the_same_error_on_the_driver() -> None:
    ours = [kind for kind in kinds(SparkInferError) if getattr(errors, kind.__name__, None) is kind]
    assert len(ours) > 15
    for kind in ours:
        raised = kind.__new__(kind)
        SparkInferError.__init__(raised, "it failed here")
        text = "".join(traceback.format_exception(raised))
        assert type(translate(PySparkException(message=f"[PYTHON_EXCEPTION] {text}"))) is kind
