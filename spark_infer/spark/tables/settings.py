"""Spark settings: those under which rows can be lost unseen, and those that hold only around a write."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

from spark_infer.errors import EnvironmentProblem
from spark_infer.spark.session_settings import set_value, setting

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

logger = logging.getLogger(__name__)

_HELD = threading.RLock()

_COMMITTER = "mapreduce.fileoutputcommitter.algorithm.version"
_LOSES_ROWS = {
    "spark.sql.files.ignoreCorruptFiles": "leaves out the rows of damaged files without a word",
    "spark.sql.files.ignoreMissingFiles": "leaves out the rows of files that vanish without a word",
    "spark.sql.streaming.fileStreamSink.ignoreMetadata": "reads the rows of a stream's failed batches too",
}


def refuse_lossy_settings(spark: SparkSession) -> None:
    """Refuse a session whose settings can lose or double rows silently; name each setting.

    Raises:
        EnvironmentProblem: At least one such setting is on.
    """
    problems = [f"{name}=true {why}" for name, why in _LOSES_ROWS.items() if setting(spark, name).lower() == "true"]
    for name in (_COMMITTER, f"spark.hadoop.{_COMMITTER}"):
        if setting(spark, name) == "2":
            problems.append(f"{name}=2 lets a failed task leave half of its rows in the table")
            break
    if problems:
        names = " and ".join(problem.split("=")[0] for problem in problems)
        raise EnvironmentProblem(
            "Settings of this Spark session can lose or double rows.",
            details=problems,
            next_step=f"remove {names} from the session (the defaults are right).",
        )


_CALENDARS = {
    "spark.sql.parquet.datetimeRebaseModeInRead": "datetimeRebaseMode",
    "spark.sql.parquet.int96RebaseModeInRead": "int96RebaseMode",
    "spark.sql.parquet.datetimeRebaseModeInWrite": "",
    "spark.sql.parquet.int96RebaseModeInWrite": "",
}
"""How dates before 1582 and instants before 1900 are read and written, and the option of a reader for the same."""


def corrected_calendar(spark: SparkSession) -> dict[str, str]:
    """The settings by which old dates are read and stored as they are: the defaults of Spark 4, not of Spark 3.5.

    What the session sets itself stays.
    """
    return {name: "CORRECTED" for name in _CALENDARS if set_value(spark, name) is None}


def calendar_options(spark: SparkSession) -> dict[str, str]:
    """The same as options of a reader of Parquet files, for actions that hold no settings."""
    return {_CALENDARS[name]: value for name, value in corrected_calendar(spark).items() if _CALENDARS[name]}


class SessionConf(Mapping[str, str]):
    """The settings of a session that were set, by name; to go through all of them takes a query (15 ms)."""

    def __init__(self, spark: SparkSession) -> None:
        self._spark = spark

    def __getitem__(self, name: str) -> str:
        value = set_value(self._spark, name)
        if value is None:
            raise KeyError(name)
        return value

    def __iter__(self) -> Iterator[str]:
        return iter([row[0] for row in self._spark.sql("SET").collect()])

    def __len__(self) -> int:
        return sum(1 for _ in self)


@contextmanager
def settings(spark: SparkSession, values: Mapping[str, str]) -> Iterator[None]:
    """Hold settings of the session while the body runs, then put back what was there.

    The runs of one process take turns here, for as long as the body runs: a session has one value of a setting for
    all of its threads. Two runs at once would put back each other's values, which then stay, and one run's commit
    would carry the other's facts. A thread may hold settings inside settings.

    A setting that a managed platform does not let us change is left as it is, with a warning in the log.
    """
    with _HELD:
        before = {name: set_value(spark, name) for name in values}
        try:
            for name, value in values.items():
                _put(spark, name, value)
            yield
        finally:
            for name, old in before.items():
                _put(spark, name, old)


def can_set(spark: SparkSession, name: str) -> bool:
    """Whether a session lets us set a setting; it has its old value afterwards."""
    with _HELD:
        before = set_value(spark, name)
        try:
            spark.conf.set(name, before or "0")
        except Exception:  # each kind of session and platform has an exception of its own
            return False
        _put(spark, name, before)
        return True


def _put(spark: SparkSession, name: str, value: str | None) -> None:
    try:
        if value is None:
            spark.conf.unset(name)
        else:
            spark.conf.set(name, value)
    except Exception as error:  # as above; the setting is a wish, not a need
        logger.warning("Spark does not let this session set %s: %s", name, type(error).__name__)
