# Databricks notebook source
# MAGIC %md
# MAGIC # One table, models of every kind
# MAGIC
# MAGIC The same call serves them all. Where a native backend gives the answers of the model's pyfunc, it
# MAGIC serves, and pandas stays out of the way; otherwise the plan says why not, and the pyfunc serves.

# COMMAND ----------

import os
import sys
import tempfile

import lightgbm
import mlflow
import numpy as np
import skl2onnx
import torch
import xgboost
from mlflow.models import infer_signature
from mlflow.pyfunc.model import PythonModel
from pyspark.sql import SparkSession
from pyspark.sql import functions as F
from sklearn.datasets import load_wine
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import spark_infer

FOLDER = tempfile.mkdtemp()
if "spark" not in globals():  # a notebook platform brings its own session
    from delta import configure_spark_with_delta_pip

    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)  # workers run this Python, not whatever `python3` is
    builder = (
        SparkSession.builder.master("local[2]")
        .config("spark.sql.extensions", "io.delta.sql.DeltaSparkSessionExtension")
        .config("spark.sql.catalog.spark_catalog", "org.apache.spark.sql.delta.catalog.DeltaCatalog")
        .config("spark.sql.warehouse.dir", f"{FOLDER}/warehouse")
    )
    spark = configure_spark_with_delta_pip(builder).getOrCreate()

# COMMAND ----------

# MAGIC %md
# MAGIC ## The table: 178 wines, 13 measurements, three growers

# COMMAND ----------

data = load_wine(as_frame=True)
rows = data.data.rename(columns=lambda name: name.replace("/", "_"))
features = rows.columns.tolist()
wines = spark.createDataFrame(rows.assign(wine_id=range(len(rows)), grower=data.target))
# Floats: they widen to doubles for the models that take these, while doubles would lose digits as floats.
wines = wines.select("wine_id", "grower", *(F.col(name).cast("float") for name in features))
wines.write.format("delta").mode("overwrite").saveAsTable("zoo_wines")

# COMMAND ----------

# MAGIC %md
# MAGIC ## The models, saved by MLflow's own flavors
# MAGIC
# MAGIC They are saved into folders here; `models:/…` and `runs:/…` work the same way.

# COMMAND ----------

models: dict[str, str] = {}


def folder_for(name: str) -> str:
    models[name] = f"{FOLDER}/{name}"
    return models[name]


linear = make_pipeline(StandardScaler(), LogisticRegression()).fit(rows, data.target)
labels = infer_signature(rows, linear.predict(rows))
mlflow.sklearn.save_model(
    linear,
    folder_for("scikit-learn"),
    signature=labels,
    serialization_format="cloudpickle",
    pip_requirements=["scikit-learn"],
)

boosted = xgboost.XGBClassifier(n_estimators=20, max_depth=3).fit(rows, data.target)
mlflow.xgboost.save_model(boosted, folder_for("xgboost"), signature=labels, pip_requirements=["xgboost"])

light = lightgbm.LGBMClassifier(n_estimators=20, verbose=-1).fit(rows, data.target)
mlflow.lightgbm.save_model(light, folder_for("lightgbm"), signature=labels, pip_requirements=["lightgbm"])

# COMMAND ----------

# MAGIC %md
# MAGIC ONNX and PyTorch models take one tensor of 13 floats a row; `inputs=` says of which columns it is
# MAGIC made.

# COMMAND ----------

matrix = rows.to_numpy(dtype="float32")
graph = skl2onnx.to_onnx(linear, matrix[:1], options={id(linear): {"zipmap": False}})
mlflow.onnx.save_model(
    graph,
    folder_for("onnx"),
    signature=infer_signature(matrix, {"label": data.target.to_numpy(), "probabilities": linear.predict_proba(rows)}),
    pip_requirements=["onnxruntime"],
)

torch.manual_seed(0)
net = torch.nn.Sequential(torch.nn.BatchNorm1d(13), torch.nn.Linear(13, 3), torch.nn.Softmax(dim=1))
optimizer = torch.optim.Adam(net.parameters(), lr=0.05)
target = torch.from_numpy(data.target.to_numpy())
for _ in range(60):
    optimizer.zero_grad()
    torch.nn.functional.nll_loss(net(torch.from_numpy(matrix)).log(), target).backward()
    optimizer.step()
net.eval()
with torch.inference_mode():
    mlflow.pytorch.save_model(
        net,
        folder_for("pytorch"),
        signature=infer_signature(matrix, net(torch.from_numpy(matrix)).numpy()),
        serialization_format="pickle",
        pip_requirements=["torch"],
    )

# COMMAND ----------

# MAGIC %md
# MAGIC A model of your own, with an inference parameter. No native backend can know what it does: its
# MAGIC pyfunc serves.

# COMMAND ----------


class AlcoholRule(PythonModel):
    """Grower 0 makes the strongest wine."""

    def predict(self, context, model_input, params=None):
        limit = (params or {}).get("limit", 13.0)
        return np.where(model_input["alcohol"] > limit, 0, 1)


rule = AlcoholRule()
mlflow.pyfunc.save_model(
    folder_for("rule"),
    python_model=rule,
    signature=infer_signature(rows[["alcohol"]], rule.predict(None, rows), params={"limit": 13.0}),
    pip_requirements=["pandas"],
)

# COMMAND ----------

# MAGIC %md
# MAGIC ## One call for each
# MAGIC
# MAGIC The report tells what served, and why.

# COMMAND ----------

TENSOR = {"inputs": features}
HOW = {
    "onnx": {**TENSOR, "output": {"label": "prediction"}},
    "pytorch": TENSOR,
    "rule": {"params": {"limit": 13.2}},
}
for name, folder in models.items():
    how = dict(HOW.get(name, {}))
    target = {
        "path": f"{FOLDER}/scores/{name}",
        "format": "parquet",
        "mode": "overwrite",
        "keep": ["wine_id", "grower"],
    }
    target["output"] = how.pop("output", None)
    report = spark_infer.score_table(spark, source={"table": "zoo_wines"}, target=target, model=folder, **how)
    scored = spark.read.parquet(target["path"])
    if name == "pytorch":  # three probabilities a row
        best = F.expr("array_position(prediction, array_max(prediction)) - 1")
        scored = scored.withColumn("prediction", best)
    right = scored.select(F.avg((F.col("prediction") == F.col("grower")).cast("double"))).first()[0]
    print(f"{name:<13} {right:6.1%} right, served by {report.backend}")
