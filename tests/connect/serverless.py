"""Have the Spark Connect sessions of this process refuse what Databricks' serverless compute refuses.

The session stays the real one, on a real server: only what Databricks documents as missing raises what it raises
there. What every Spark Connect session lacks (`sparkContext`, `_jvm`, RDDs) it refuses by itself.

- Settings: six can be set; each other one raises CONFIG_NOT_AVAILABLE, also where it is read with a default.
  https://docs.databricks.com/aws/en/spark/conf (Configure Spark properties for serverless notebooks and jobs),
  https://docs.databricks.com/aws/en/error-messages/config-not-available-error-class and
  https://github.com/databricks/databricks-sdk-py/issues/1112
- Caching and global views raise NOT_SUPPORTED_WITH_SERVERLESS.
  https://docs.databricks.com/aws/en/compute/serverless/limitations and
  https://docs.databricks.com/aws/en/error-messages/error-classes
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from pyspark.errors import AnalysisException
from pyspark.sql.connect.conf import RuntimeConf
from pyspark.sql.connect.dataframe import DataFrame

OFFERED = frozenset(
    {
        "spark.databricks.execution.timeout",
        "spark.sql.ansi.enabled",
        "spark.sql.files.maxPartitionBytes",
        "spark.sql.legacy.timeParserPolicy",
        "spark.sql.session.timeZone",
        "spark.sql.shuffle.partitions",
    }
)
asked_for: set[str] = set()
"""The settings that were refused, to see that something was."""


def refuse_as_serverless() -> None:
    """From now on."""
    for name in ("get", "set", "unset", "isModifiable"):
        setattr(RuntimeConf, name, _of_offered_settings(getattr(RuntimeConf, name)))
    for name, what in (
        ("cache", "PERSIST TABLE"),
        ("persist", "PERSIST TABLE"),
        ("createGlobalTempView", "GLOBAL TEMPORARY VIEW"),
        ("createOrReplaceGlobalTempView", "GLOBAL TEMPORARY VIEW"),
    ):
        setattr(DataFrame, name, _not_supported(what))


def _of_offered_settings(method: Callable[..., Any]) -> Callable[..., Any]:
    def of_offered(self: RuntimeConf, key: str, *given: Any, **named: Any) -> Any:
        # PySpark's own client reads a few, which Databricks' client gets in other ways.
        caller = sys._getframe(1).f_globals["__name__"]
        if key not in OFFERED and not caller.startswith("pyspark."):
            asked_for.add(key)
            raise AnalysisException(
                f"[CONFIG_NOT_AVAILABLE] Configuration {key} is not available. SQLSTATE: 42K0I",
                errorClass="CONFIG_NOT_AVAILABLE",
                messageParameters={"config": key},
            )
        return method(self, key, *given, **named)

    return of_offered


def _not_supported(what: str) -> Callable[..., Any]:
    def refuse(*_: Any, **__: Any) -> Any:
        raise AnalysisException(
            f"[NOT_SUPPORTED_WITH_SERVERLESS] {what} is not supported on serverless compute. SQLSTATE: 0A000",
            errorClass="NOT_SUPPORTED_WITH_SERVERLESS",
            messageParameters={},
        )

    return refuse
