# Databricks notebook source
# MAGIC %md
# MAGIC # Deep models on GPUs
# MAGIC
# MAGIC `resources` asks for GPUs and cores for the scoring stage alone. On a cluster whose executors have
# MAGIC GPUs (conf/gpu has the settings) the plan says how many tasks and copies of the model run at once;
# MAGIC elsewhere it says what is missing, before any task starts. This notebook runs in both places.

# COMMAND ----------

import os
import sys
import tempfile

import mlflow
import torch
from mlflow.models import infer_signature
from pyspark.sql import SparkSession
from pyspark.sql import functions as F
from sklearn.datasets import load_digits

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
# MAGIC ## Images in an array column
# MAGIC
# MAGIC 1,797 handwritten digits of 8 x 8 points. An array column becomes one tensor for each batch, with no
# MAGIC work for each row.

# COMMAND ----------

digits = load_digits()
images = digits.images.astype("float32").reshape(-1, 1, 8, 8) / 16
rows = [
    (i, image.ravel().tolist(), int(digit)) for i, (image, digit) in enumerate(zip(images, digits.target, strict=True))
]
table = spark.createDataFrame(rows, "digit_id long, image array<float>, digit int")
table.write.format("delta").mode("overwrite").saveAsTable("gpu_digits")

# COMMAND ----------

# MAGIC %md
# MAGIC ## A small convolutional network
# MAGIC
# MAGIC Its signature says that a row is an image of shape (1, 8, 8); the column is named where it is scored.

# COMMAND ----------

torch.manual_seed(0)
net = torch.nn.Sequential(
    torch.nn.Conv2d(1, 16, 3),
    torch.nn.ReLU(),
    torch.nn.Flatten(),
    torch.nn.Linear(16 * 6 * 6, 10),
)
inputs, labels = torch.from_numpy(images), torch.from_numpy(digits.target)
optimizer = torch.optim.Adam(net.parameters(), lr=0.01)
for _ in range(40):
    optimizer.zero_grad()
    torch.nn.functional.cross_entropy(net(inputs), labels).backward()
    optimizer.step()
net.eval()
MODEL = f"{FOLDER}/digits"
with torch.inference_mode():
    mlflow.pytorch.save_model(
        net,
        MODEL,
        signature=infer_signature(images, net(inputs).numpy()),
        serialization_format="pickle",
        pip_requirements=["torch"],
    )

# COMMAND ----------

# MAGIC %md
# MAGIC ## One GPU for four tasks
# MAGIC
# MAGIC Four tasks share a GPU, each with its own copy of the model. Without a GPU that is refused, with the
# MAGIC settings that would have one.

# COMMAND ----------

job = {
    "source": {"table": "gpu_digits"},
    "target": {"path": f"{FOLDER}/scores", "format": "parquet", "mode": "overwrite", "keep": ["digit_id", "digit"]},
    "model": MODEL,
    "inputs": ["image"],
}
resources = {"gpu": 1, "tasks_per_gpu": 4}
try:
    report = spark_infer.score_table(spark, **job, resources=resources)
except spark_infer.PlanError as refusal:
    print(refusal)
    # For development: the same job on the CPU, and the report warns of it.
    report = spark_infer.score_table(spark, **job, resources={**resources, "allow_cpu_fallback": True})
print(report)

# COMMAND ----------

best = F.expr("array_position(prediction, array_max(prediction)) - 1")
scored = spark.read.parquet(f"{FOLDER}/scores")
scored.select(F.round(F.avg((best == F.col("digit")).cast("double")), 3).alias("share right")).show()
