"""Executors as processes of their own: they share neither memory nor model store with the driver."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from spark_infer.models.files.store import ModelStore

PROGRAM = """
import json, os, sys
from pyspark.sql import SparkSession, functions as F
from spark_infer import score

model, node, out = sys.argv[1:]
spark = (
    SparkSession.builder.master("local-cluster[2,1,1024]")
    .config("spark.ui.enabled", "false")
    .config("spark.driver.memory", "1g")
    .config("spark.executorEnv.SPARK_INFER_HOME", node)
    .config("spark.executorEnv.PYTHONPATH", os.environ["PYTHONPATH"])
    .getOrCreate()
)
spark.sparkContext.setLogLevel("OFF")
frame = spark.range(300, numPartitions=6).select("id", F.col("id").cast("double").alias("x"))
totals = [score(frame, model).agg(F.sum("prediction")).first()[0] for _ in range(2)]
print(json.dumps(totals))
spark.stop()
"""


@pytest.mark.slow
def test_each_node_unpacks_the_model_once_into_its_own_store(tmp_path: Path) -> None:
    model = tmp_path / "model"
    make = f"""
import mlflow, numpy as np, pandas as pd
from mlflow.models import infer_signature
from sklearn.linear_model import LinearRegression
rows = pd.DataFrame({{"x": np.arange(5.0)}})
fitted = LinearRegression().fit(rows, 2 * rows.x)
signature = infer_signature(rows, fitted.predict(rows))
mlflow.sklearn.save_model(fitted, {str(model)!r}, signature=signature, pip_requirements=["scikit-learn"])
"""
    subprocess.run([sys.executable, "-c", make], check=True, capture_output=True)
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    root = Path(__file__).parents[2]
    environ = {
        **os.environ,
        "PYSPARK_PYTHON": sys.executable,
        "PYTHONPATH": str(root),
        "SPARK_INFER_HOME": str(tmp_path / "driver"),
        "SPARK_LOCAL_IP": "127.0.0.1",
        "SPARK_WORKER_DIR": str(tmp_path / "work"),
    }
    command = [sys.executable, str(program), str(model), str(tmp_path / "node"), str(tmp_path / "out")]
    done = subprocess.run(command, capture_output=True, text=True, env=environ, timeout=240, check=False, cwd=root)
    assert done.returncode == 0, done.stderr[-3000:]
    assert json.loads(done.stdout.splitlines()[-1]) == pytest.approx([300 * 299, 300 * 299])
    entries = [path for path in (tmp_path / "node" / "models" / "sha256").iterdir() if len(path.name) == 64]
    (entry,) = entries
    assert ModelStore(tmp_path / "node").path(entry.name).is_dir()
    assert ModelStore(tmp_path / "driver").path(entry.name).is_dir()
