"""What a worker lacks is told before scoring starts."""

from __future__ import annotations

from pathlib import Path

import pytest

import spark_infer
from spark_infer.errors import EnvironmentProblem
from tests.cluster.driver import Driver, spark
from tests.spark.lacking import python_without
from tests.spark.made import CountingModel

pytestmark = pytest.mark.slow


def score_with(model: str, folder: str, python: str) -> None:
    """Run a table job whose workers use a Python of that path."""
    from spark_infer import score_table

    spark().range(3).selectExpr("double(id) as x").write.parquet(f"{folder}/source")
    context = spark().sparkContext
    before, context.pythonExec = context.pythonExec, python
    try:
        score_table(spark(), source=f"{folder}/source", target={"path": f"{folder}/target"}, model=model)
    finally:
        context.pythonExec = before


def test_libraries_that_the_workers_lack_are_named_before_a_row_is_scored(
    driver: Driver, counting: CountingModel, tmp_path: Path
) -> None:
    with pytest.raises(EnvironmentProblem, match="the Python of Spark's workers") as refused:
        driver(score_with, counting.folder, str(tmp_path), python_without(tmp_path, "mlflow", "spark_infer"))
    assert refused.value.details == ("spark-infer is not installed", "mlflow is not installed")
    assert refused.value.next_step == f"there: pip install 'spark-infer=={spark_infer.__version__}' 'mlflow'"
    assert not (tmp_path / "target").exists()
