"""Read the settings of a Spark session; every other module reads them here.

A session of Databricks' serverless compute raises CONFIG_NOT_AVAILABLE for each setting that it does not offer, also
where the caller names a default. Such a setting was not set by anybody.
Source: https://docs.databricks.com/aws/en/error-messages/config-not-available-error-class and
https://github.com/databricks/databricks-sdk-py/issues/1112
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from spark_infer.spark.analysis import condition

_NOT_THERE = ("CONFIG_NOT_AVAILABLE", "SQL_CONF_NOT_FOUND")


class Session(Protocol):
    """What is needed of a Spark session."""

    @property
    def conf(self) -> Any:
        """Its settings."""


def setting(spark: Session, name: str) -> str:
    """The value of a setting that was set, or ``""``."""
    return _value(lambda: spark.conf.get(name, None)) or ""


def set_value(spark: Session, name: str) -> str | None:
    """The value of a setting that was set, else None; an empty text is a value."""
    return _value(lambda: spark.conf.get(name, None))


def value_in_force(spark: Session, name: str) -> str | None:
    """The value of a setting, Spark's own default included; None where this Spark does not have the setting."""
    # With a default of ours, even None, Spark would leave out its own.
    return _value(lambda: spark.conf.get(name))


def _value(read: Callable[[], Any]) -> str | None:
    try:
        found = read()
    except Exception as error:  # PySpark's exceptions cannot be named here
        if condition(error) in _NOT_THERE or str(error).lstrip("[").startswith(_NOT_THERE):
            return None
        raise
    return None if found is None else str(found)
