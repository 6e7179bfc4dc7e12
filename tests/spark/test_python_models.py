"""Plain Python functions and classes through the doors of Spark."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyspark.sql import SparkSession

from spark_infer import CallableModel, model_udf, score, score_table
from spark_infer.errors import ConfigError, SchemaMismatchError


def defined(text: str, name: str = "predict") -> Any:
    """What a script or a notebook defines."""
    names: dict[str, Any] = {"__name__": "__main__"}
    exec(text, names)
    return names[name]


CLASS = """
WORDS = {"b", "d"}
class predict:
    def __init__(self, by=2.0):
        self.by = by
    def setup(self):
        self.known = WORDS
    def predict(self, batch):
        return {"times": batch["x"] * self.by, "known": [text in self.known for text in batch["t"]]}
"""


def test_each_door_takes_a_function_or_a_class(spark: SparkSession, tmp_path: Path) -> None:
    frame = spark.createDataFrame([(1, 0.5, "a"), (2, 1.5, "b"), (3, 2.5, "d")], "id int, x float, t string").coalesce(
        1
    )
    outputs = pa.schema([("times", pa.float64()), ("known", pa.bool_())])
    model = CallableModel(defined(CLASS), inputs="x double, t string", outputs=outputs, arguments={"by": 4.0})
    scored = score(frame, model, keep=["id"], model_name_column="model").orderBy("id").collect()
    assert [tuple(row) for row in scored] == [
        (1, 2.0, False, "predict"),
        (2, 6.0, True, "predict"),
        (3, 10.0, True, "predict"),
    ]
    doubled = model_udf(spark, defined("def predict(batch):\n    return batch['x'] * 2\n"), "double", inputs="x")
    assert [row[0] for row in frame.select(doubled()).collect()] == [1.0, 3.0, 5.0]
    pq.write_table(pa.table({"id": [1, 2], "x": [0.5, 1.5], "t": ["a", "b"]}), tmp_path / "in.parquet")
    report = score_table(spark, source=tmp_path / "in.parquet", target=tmp_path / "out", model=model)
    assert (report.model_name, report.rows_scored) == ("predict", 2)
    assert pq.read_table(tmp_path / "out").column("times").to_pylist() == [2.0, 6.0]


def test_what_does_not_fit_is_refused_before_a_task(spark: SparkSession) -> None:
    frame = spark.createDataFrame([(1, "a")], "x int, t string")
    with pytest.raises(SchemaMismatchError, match="no signature that names columns"):
        score(frame, lambda batch: batch["x"], result_type="int")
    with pytest.raises(SchemaMismatchError, match="'t'"):
        score(frame, lambda batch: batch["t"], inputs="t double", result_type="double")
    with pytest.raises(ConfigError, match="neither a URI nor a function"):
        score(frame, 3)  # type: ignore[arg-type]  # as a caller may
