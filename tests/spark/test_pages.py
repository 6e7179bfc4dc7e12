"""The snippets of the pages for those who come from another UDF give its predictions."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
import pytest
from mlflow.models import infer_signature
from pyspark.sql import SparkSession
from sklearn.linear_model import LinearRegression

DOCS = Path(__file__).parents[2] / "docs"


@pytest.mark.filterwarnings("ignore")
def test_after_the_change_of_a_page_the_predictions_are_the_same(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    frame = pd.DataFrame({"tenure": [1.0, 30.0, 2.0, 50.0], "calls": [9.0, 1.0, 7.0, 0.0]})
    model = LinearRegression().fit(frame, [0.5, 1.5, 0.25, 2.0])
    mlflow.sklearn.save_model(
        model, "churn", signature=infer_signature(frame, model.predict(frame)), pip_requirements=["scikit-learn"]
    )
    customers = spark.createDataFrame(frame).coalesce(1)
    _, after = _snippets("from-spark-udf.md")
    # Pickled by value, as what a notebook defines.
    names: dict[str, Any] = {"__name__": "__main__", "spark": spark, "customers": customers}
    exec(after.replace("models:/churn@champion", "churn"), names)
    assert [row.churns for row in names["scored"].collect()] == pytest.approx(list(model.predict(frame)))

    documents = spark.createDataFrame([([1.0, 2.0, 4.0], 3.0)], "embedding array<float>, age float")
    before, after = _snippets("from-predict-batch-udf.md")
    names = {"__name__": "__main__", "spark": spark, "documents": documents.coalesce(1)}
    exec(before, names)
    wanted = names["scored"]
    exec(after, names)
    assert names["scored"].schema["relevance"].dataType == wanted.schema["relevance"].dataType
    assert [row.relevance for row in names["scored"].collect()] == [row.relevance for row in wanted.collect()] == [2.5]


def _snippets(page: str) -> list[str]:
    return re.findall(r"```python\n(.*?)```", (DOCS / page).read_text(), re.DOTALL)
