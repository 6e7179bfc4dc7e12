"""Say why Spark did not start, from what its JVM wrote."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from spark_infer.errors import EnvironmentProblem
from spark_infer.spark.environment import INSTALL_JAVA

_MOST_CHARACTERS = 200


@dataclass(frozen=True)
class _Cause:
    sign: str
    what: str
    next_step: str


_CAUSES = (
    _Cause(
        r"unresolved dependency|UNRESOLVED DEPENDENCIES|FAILED DOWNLOADS|Server access [Ee]rror",
        "Spark could not fetch the jars of spark.jars.packages ({packages}).",
        "let this machine reach Maven Central, or name a mirror in spark.jars.repositories or spark.jars.ivySettings, "
        "or copy the cache (~/.ivy2.5.2, of Spark 3.5 ~/.ivy2) from a machine that has them; where it "
        "says `not found`, no such version is there: install another delta-spark",
    ),
    _Cause(
        r"UnsupportedClassVersionError|compiled by a more recent version of the Java",
        "The Java that started is too old for this Spark.",
        INSTALL_JAVA,
    ),
    _Cause(
        r"Could not reserve enough space|Invalid (?:initial|maximum) heap size|insufficient memory for the Java"
        r"|System memory \d+ must be at least",
        "The JVM did not get the memory it asked for (spark.driver.memory={memory}).",
        "set spark.driver.memory to what this machine can give, at least 1g",
    ),
    _Cause(
        r"No space left on device|ENOSPC|Disk quota exceeded",
        "Spark could not start, because a disk is full.",
        "free space where Spark keeps its files (spark.local.dir, else SPARK_LOCAL_DIRS or /tmp)",
    ),
    _Cause(
        r"BindException|Cannot assign requested address|UnknownHostException|failed after \d+ retries",
        "Spark could not open its ports on this machine's address.",
        "set SPARK_LOCAL_IP=127.0.0.1, and unset spark.driver.host and spark.driver.bindAddress",
    ),
    _Cause(
        r"Could not parse Master URL|Master must either be",
        "Spark does not know the master {master!r}.",
        "use local[2], local[*], spark://host:7077, yarn or k8s://…",
    ),
    _Cause(
        r"All masters are unresponsive|Failed to connect to master",
        "The Spark master {master!r} does not answer.",
        "check its address and that it runs, or use --set spark.master=local[*]",
    ),
)


def explain_failed_start(
    error: BaseException, *, conf: Mapping[str, str], jvm_output: str, log_file: Path | None
) -> EnvironmentProblem:
    """Turn a failed start into one error that names the cause, the log and the fix.

    Args:
        error: What pyspark or py4j raised.
        conf: The settings of the session that did not start.
        jvm_output: What the JVM wrote meanwhile; empty where it went to the screen.
        log_file: Where it wrote that.
    """
    log = f"Log: {log_file}" if log_file else "What Spark wrote is above."
    text = f"{jvm_output}\n{error}"
    facts = {
        "packages": conf.get("spark.jars.packages", "none"),
        "memory": conf.get("spark.driver.memory", "its default"),
        "master": conf.get("spark.master", ""),
    }
    for cause in _CAUSES:
        if re.search(cause.sign, text):
            return EnvironmentProblem(cause.what.format_map(facts), details=(log,), next_step=cause.next_step)
    return EnvironmentProblem(
        f"Spark did not start: {_reason(text)}",
        details=(log,),
        next_step="run `spark-infer doctor`, which checks Java, Spark and the jars",
    )


def _reason(text: str) -> str:
    """Return the first line that looks like an error, one that only says that there was an error last."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    telling = [line for line in lines if re.search(r"Exception|[Ee]rror\b", line)]
    telling.sort(key=lambda line: line.endswith("Error initializing SparkContext."))
    return (telling or lines[-1:] or ["it gave no reason"])[0][:_MOST_CHARACTERS]
