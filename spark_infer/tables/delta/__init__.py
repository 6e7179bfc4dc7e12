"""Delta tables, and the settings that Spark needs for them."""

from __future__ import annotations

import os
from importlib import metadata
from pathlib import Path

from spark_infer.errors import EnvironmentProblem, install_extra

_EXTENSION = "io.delta.sql.DeltaSparkSessionExtension"
_CATALOG = "org.apache.spark.sql.delta.catalog.DeltaCatalog"


def delta_conf() -> dict[str, str]:
    """The Spark settings that Delta needs, for the installed versions of PySpark and delta-spark.

    Raises:
        EnvironmentProblem: One of the two is not installed.

    Example:
        >>> sorted(delta_conf())
        ['spark.jars.packages', 'spark.sql.catalog.spark_catalog', 'spark.sql.extensions']
    """
    try:
        pyspark, delta = metadata.version("pyspark"), metadata.version("delta-spark")
    except metadata.PackageNotFoundError as error:
        raise EnvironmentProblem(
            f"The Python package {error.name} is not installed, and Delta tables need it.",
            next_step=install_extra("delta"),
        ) from error
    return {
        "spark.jars.packages": f"io.delta:{_artefact(pyspark, delta)}:{delta}",
        "spark.sql.extensions": _EXTENSION,
        "spark.sql.catalog.spark_catalog": _CATALOG,
    }


def _artefact(pyspark: str, delta: str) -> str:
    """Name of Delta's jar: since Delta 4.1 it says which Spark it was built for, and always for which Scala."""
    built_for = "_" + ".".join(pyspark.split(".")[:2]) if _numbers(delta) >= (4, 1) else ""
    return f"delta-spark{built_for}_{_scala(pyspark)}"


def _scala(pyspark: str) -> str:
    """The Scala of the Spark that starts: of 3.5 there are builds for two, and PySpark brings the older."""
    home = os.environ.get("SPARK_HOME")
    for core in Path(home).glob("jars/spark-core_*.jar") if home else ():
        return core.name.removeprefix("spark-core_").partition("-")[0]
    return "2.12" if _numbers(pyspark) < (4, 0) else "2.13"


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".")[:2])
