"""A start that failed is told as its cause, with the log and the fix."""

from __future__ import annotations

from pathlib import Path

import pytest

from spark_infer.spark.failed_start import explain_failed_start

CONF = {"spark.jars.packages": "io.delta:delta:1", "spark.driver.memory": "64g", "spark.master": "spark://h:7077"}


@pytest.mark.parametrize(
    ("line", "what", "next_step"),
    [
        ("[unresolved dependency: io.delta#delta;1: not found]", "io.delta:delta:1", "Maven Central"),
        ("Error: Could not reserve enough space for object heap", "spark.driver.memory=64g", "spark.driver.memory"),
        ("java.net.BindException: Cannot assign requested address", "ports", "SPARK_LOCAL_IP=127.0.0.1"),
        ("java.net.UnknownHostException: box: Name or service not known", "ports", "SPARK_LOCAL_IP=127.0.0.1"),
        ("java.lang.UnsupportedClassVersionError: org/apache/spark/launcher/Main", "too old", "Java 17"),
        ("java.io.IOException: No space left on device", "disk is full", "spark.local.dir"),
        ("Could not parse Master URL: 'sparc://h'", "master 'spark://h:7077'", "local[2]"),
    ],
)
def test_a_known_sign_in_the_log_becomes_its_cause_and_fix(line: str, what: str, next_step: str) -> None:
    error = explain_failed_start(
        RuntimeError("[JAVA_GATEWAY_EXITED] Java gateway process exited."),
        conf=CONF,
        jvm_output=f"WARN nothing\n{line}\n\tat somewhere\n",
        log_file=Path("run.log"),
    )
    assert what in error.what
    assert next_step in error.next_step
    assert "run.log" in str(error)


def test_an_unknown_failure_shows_its_first_telling_line_and_points_to_doctor() -> None:
    output = "one\n1 ERROR SparkContext: Error initializing SparkContext.\n"
    output += "java.lang.IllegalStateException: no luck\n\tat x\njava.lang.RuntimeException: later\n"
    error = explain_failed_start(RuntimeError("gone"), conf={}, jvm_output=output, log_file=None)
    assert error.what == "Spark did not start: java.lang.IllegalStateException: no luck"
    assert "spark-infer doctor" in error.next_step


def test_a_long_line_is_cut() -> None:
    error = explain_failed_start(RuntimeError("Exception " + "x" * 5000), conf={}, jvm_output="", log_file=None)
    assert len(error.what) < 300
