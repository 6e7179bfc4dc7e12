# Databricks notebook source
# MAGIC %md
# MAGIC # SQL and ETL
# MAGIC
# MAGIC A model as a SQL function, and as a step between the transformations of a pipeline whose table is
# MAGIC refreshed month by month.

# COMMAND ----------

import os
import sys
import tempfile

import mlflow
import numpy as np
import pandas as pd
from mlflow.models import infer_signature
from pyspark.sql import SparkSession
from pyspark.sql import functions as F
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OrdinalEncoder

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
# MAGIC ## Customers, their calls, and a model of who leaves

# COMMAND ----------

random = np.random.default_rng(7)
size = 600
customers = pd.DataFrame(
    {
        "customer_id": np.arange(size),
        "plan": random.choice(["basic", "plus", "family"], size),
        "tenure": random.integers(1, 60, size).astype("float64"),
        "month": random.integers(1, 4, size).astype("int32"),
    }
)
calls = pd.DataFrame({"customer_id": random.integers(0, size, 4000), "minutes": random.exponential(3.0, 4000)})
spark.createDataFrame(customers).write.format("delta").mode("overwrite").saveAsTable("etl_customers")
spark.createDataFrame(calls).write.format("delta").mode("overwrite").saveAsTable("etl_calls")

totals = calls.groupby("customer_id").minutes.agg(["count", "mean"]).reindex(range(size))
features = pd.DataFrame({"plan": customers.plan, "tenure": customers.tenure, "minutes": totals["mean"]})
left = (customers.tenure < 12) & (totals["count"].fillna(0) > 6)
encode = make_column_transformer((OrdinalEncoder(), ["plan"]), remainder="passthrough")
model = make_pipeline(encode, HistGradientBoostingClassifier(max_iter=20)).fit(features, left.astype("int64"))
with mlflow.start_run():
    logged = mlflow.sklearn.log_model(
        model,
        name="churn",
        registered_model_name="etl_churn",
        signature=infer_signature(features, model.predict_proba(features)),
        pyfunc_predict_fn="predict_proba",
        serialization_format="cloudpickle",
        pip_requirements=["scikit-learn"],
    )
MODEL = f"models:/etl_churn/{logged.registered_model_version}"

# COMMAND ----------

# MAGIC %md
# MAGIC ## In SQL
# MAGIC
# MAGIC `churn(struct(*))` binds by name; columns that the model does not know do no harm.

# COMMAND ----------

# predict_method names the outputs; `output` keeps one of them.
churn = spark_infer.model_udf(spark, MODEL, predict_method="predict_proba", output={"probability_1": "risk"})
spark.udf.register("churn", churn)
spark.sql("""
    CREATE OR REPLACE TEMPORARY VIEW etl_features AS
    SELECT customer_id, month, plan, tenure, minutes
    FROM etl_customers LEFT JOIN (SELECT customer_id, avg(minutes) AS minutes FROM etl_calls GROUP BY customer_id)
    USING (customer_id)
""")
spark.sql("""
    SELECT plan, round(avg(risk), 3) AS risk
    FROM (SELECT plan, churn(struct(*)) AS risk FROM etl_features) GROUP BY plan ORDER BY plan
""").show()

# COMMAND ----------

# MAGIC %md
# MAGIC ## Between two transformations
# MAGIC
# MAGIC Only the rows of `where` are scored; a postprocess step turns the probability into a decision.

# COMMAND ----------

scored = spark_infer.score(
    spark.table("etl_features"),
    MODEL,
    keep=["customer_id", "plan"],
    where="tenure < 24",
    predict_method="predict_proba",
    postprocess=[{"threshold": {"column": "probability_1", "at": 0.5, "output": "leaves"}}],
)
scored.groupBy("plan").agg(F.sum(F.col("leaves").cast("int")).alias("leave"), F.count("*").alias("customers")).orderBy(
    "plan"
).show()

# COMMAND ----------

# MAGIC %md
# MAGIC ## A table that is refreshed month by month
# MAGIC
# MAGIC `overwrite_partitions` replaces the months that are declared and no others, in one commit: a
# MAGIC repeated run leaves the same rows, not twice as many.

# COMMAND ----------

spark.table("etl_features").write.format("delta").mode("overwrite").partitionBy("month").saveAsTable("etl_monthly")
for month in (1, 2, 2):
    report = spark_infer.score_table(
        spark,
        source={"table": "etl_monthly", "partition_filter": {"month": [month]}},
        target={
            "table": "etl_churn_scores",
            "format": "delta",
            "mode": "overwrite_partitions",
            "partitions": {"month": [month]},
            "partition_by": ["month"],
            "keep": ["customer_id", "month"],
        },
        model=MODEL,
    )
    print(report.rows_scored, "rows of month", month)
spark.table("etl_churn_scores").groupBy("month").count().orderBy("month").show()
