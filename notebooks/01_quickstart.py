# Databricks notebook source
# MAGIC %md
# MAGIC # spark_infer in five minutes
# MAGIC
# MAGIC A model is trained and registered, a table is scored with it through the three doors. On Databricks
# MAGIC install the package on the cluster (the wheel of `make build`); elsewhere run `python
# MAGIC notebooks/01_quickstart.py`.

# COMMAND ----------

import os
import sys
import tempfile

import mlflow
from mlflow.models import infer_signature
from pyspark.sql import SparkSession
from sklearn.datasets import load_breast_cancer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import spark_infer

if "spark" not in globals():  # a notebook platform brings its own session
    from delta import configure_spark_with_delta_pip

    folder = tempfile.mkdtemp()
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)  # workers run this Python, not whatever `python3` is
    os.chdir(folder)  # MLflow puts its artifacts into the working folder
    mlflow.set_tracking_uri(f"sqlite:///{folder}/mlflow.db")
    builder = (
        SparkSession.builder.master("local[2]")
        .config("spark.sql.extensions", "io.delta.sql.DeltaSparkSessionExtension")
        .config("spark.sql.catalog.spark_catalog", "org.apache.spark.sql.delta.catalog.DeltaCatalog")
        .config("spark.sql.warehouse.dir", f"{folder}/warehouse")
    )
    spark = configure_spark_with_delta_pip(builder).getOrCreate()

# COMMAND ----------

# MAGIC %md
# MAGIC ## A table and a model
# MAGIC
# MAGIC The signature holds the columns' names and types: by them the table's columns find their place in
# MAGIC the model.

# COMMAND ----------

data = load_breast_cancer(as_frame=True)
rows = data.data.rename(columns=lambda name: name.replace(" ", "_"))
table = rows.assign(patient_id=range(len(rows)))
spark.createDataFrame(table).write.format("delta").mode("overwrite").saveAsTable("quickstart_patients")

model = make_pipeline(StandardScaler(), LogisticRegression()).fit(rows, data.target)
with mlflow.start_run():
    logged = mlflow.sklearn.log_model(
        model,
        name="tumour",
        registered_model_name="quickstart_tumour",
        signature=infer_signature(rows, model.predict(rows)),
        serialization_format="cloudpickle",
        pip_requirements=["scikit-learn"],
    )
MODEL = f"models:/quickstart_tumour/{logged.registered_model_version}"

# COMMAND ----------

# MAGIC %md
# MAGIC ## A DataFrame in, a DataFrame out
# MAGIC
# MAGIC Columns that the model does not know pass through. Nothing runs before an action, and each action
# MAGIC scores each row once, also when a filter on the prediction follows.

# COMMAND ----------

patients = spark.table("quickstart_patients")
scored = spark_infer.score(patients, MODEL, keep=["patient_id", "mean_radius"])
scored.where("prediction = 0").orderBy("patient_id").show(5)

# COMMAND ----------

# MAGIC %md
# MAGIC ## A column
# MAGIC
# MAGIC The replacement for `mlflow.pyfunc.spark_udf`; it takes its columns by name.

# COMMAND ----------

predict = spark_infer.model_udf(spark, MODEL)
patients.select("patient_id", predict().alias("benign")).groupBy("benign").count().orderBy("benign").show()

# COMMAND ----------

# MAGIC %md
# MAGIC ## A table into a table
# MAGIC
# MAGIC What a nightly job does: checked whole before anything runs, one exact model version, one commit,
# MAGIC and a report.

# COMMAND ----------

job = {
    "source": {"table": "quickstart_patients"},
    "target": {"table": "quickstart_scores", "format": "delta", "mode": "overwrite", "keep": ["patient_id"]},
    "model": MODEL,
}
report = spark_infer.score_table(spark, **job)
print(report)

# COMMAND ----------

# MAGIC %md
# MAGIC What does not fit is said before any task starts, all of it at once:

# COMMAND ----------

try:
    spark_infer.score(patients.drop("mean_radius").withColumnRenamed("mean_area", "area"), MODEL)
except spark_infer.PlanError as error:
    print(error)
else:
    raise AssertionError("the columns are missing")
