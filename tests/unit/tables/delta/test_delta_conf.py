"""Delta's jar for the installed versions."""

from __future__ import annotations

from importlib import metadata
from pathlib import Path

import pytest

from spark_infer.errors import EnvironmentProblem
from spark_infer.tables.delta import delta_conf


@pytest.mark.parametrize(
    ("spark", "delta", "jar"),
    [
        ("4.2.0", "4.4.0", "io.delta:delta-spark_4.2_2.13:4.4.0"),
        ("4.0.1", "4.1.0", "io.delta:delta-spark_4.0_2.13:4.1.0"),
        ("4.0.0", "4.0.1", "io.delta:delta-spark_2.13:4.0.1"),
        ("3.5.9", "3.3.2", "io.delta:delta-spark_2.12:3.3.2"),
    ],
)
def test_the_jar_is_that_of_the_installed_versions(
    monkeypatch: pytest.MonkeyPatch, spark: str, delta: str, jar: str
) -> None:
    monkeypatch.delenv("SPARK_HOME", raising=False)
    monkeypatch.setattr(metadata, "version", {"pyspark": spark, "delta-spark": delta}.__getitem__)
    assert delta_conf() == {
        "spark.jars.packages": jar,
        "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
        "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
    }


def test_the_jar_is_for_the_scala_of_spark_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "jars").mkdir()
    (tmp_path / "jars" / "spark-core_2.13-3.5.9.jar").touch()
    monkeypatch.setenv("SPARK_HOME", str(tmp_path))
    monkeypatch.setattr(metadata, "version", {"pyspark": "3.5.9", "delta-spark": "3.3.2"}.__getitem__)
    assert delta_conf()["spark.jars.packages"] == "io.delta:delta-spark_2.13:3.3.2"


def test_a_package_that_is_missing_is_named_with_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> str:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "version", missing)
    with pytest.raises(EnvironmentProblem, match="pyspark") as refused:
        delta_conf()
    assert refused.value.next_step == "pip install 'spark-infer[delta]'"
