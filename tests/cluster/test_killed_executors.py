"""Executors of a standalone cluster are killed while they score: Spark starts others, and every row is there once."""

from __future__ import annotations

import warnings
from pathlib import Path

import deltalake
import mlflow
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from mlflow.models import infer_signature

from spark_infer.tables.delta import delta_conf
from tests.cluster.standalone import Cluster
from tests.cluster.test_spark_submit import TWO_WORKERS, entry, environ

FILES, ROWS = 10, 30


@pytest.mark.soak
@pytest.mark.timeout(400)
@pytest.mark.parametrize("kind", ["delta", "parquet"])
def test_executors_that_are_killed_cost_no_row(cluster: Cluster, tmp_path: Path, kind: str) -> None:
    (tmp_path / "source").mkdir()
    for number in range(FILES):
        ids = range(number * ROWS, (number + 1) * ROWS)
        table = pa.table({"id": ids, "x": [float(each) for each in ids]})
        pq.write_table(table, tmp_path / "source" / f"{number}.parquet")
    example = pd.DataFrame({"x": [0.0, 1.0]})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        mlflow.pyfunc.save_model(
            tmp_path / "model",
            python_model=str(Path(__file__).parent / "models" / "deadly.py"),
            signature=infer_signature(example, example["x"].rename("prediction")),
            pip_requirements=["pandas"],
        )
    (tmp_path / "marks").mkdir()
    (tmp_path / "job.yaml").write_text(
        f"name: deadly\nmodel: {tmp_path}/model\nsource: {tmp_path}/source\nunits: {{bytes: 1}}\n"
        f"target: {{path: {tmp_path}/target, format: {kind}, keep: [id]}}\n"
    )
    marks = ["--conf", f"spark.executorEnv.DEADLY={tmp_path / 'marks'}"]
    packages = ["--packages", delta_conf()["spark.jars.packages"]] if kind == "delta" else []
    driver = environ(tmp_path) | {"DEADLY": str(tmp_path / "marks")}
    done = cluster.submit(*TWO_WORKERS, *packages, *marks, entry(), "job.yaml", environ=driver, folder=tmp_path)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert {mark.name for mark in (tmp_path / "marks").iterdir()} == {"first", "second"}
    if kind == "delta":
        scored = deltalake.DeltaTable(str(tmp_path / "target")).to_pyarrow_table()
    else:
        scored = pq.read_table(tmp_path / "target")
    found = dict(zip(scored["id"].to_pylist(), scored["prediction"].to_pylist(), strict=True))
    assert len(scored) == len(found) == FILES * ROWS
    assert found == {number: 2.0 * number for number in range(FILES * ROWS)}
