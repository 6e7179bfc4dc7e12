# Databricks notebook source
# MAGIC %md
# MAGIC # A folder of images
# MAGIC
# MAGIC 1,797 handwritten digits as PNG files, a small network trained in seconds, and a table with the path of each
# MAGIC file and the digit that is on it. Workers open and decode the files; one that cannot be decoded is a bad row.

# COMMAND ----------

import logging
import tempfile
import warnings
from pathlib import Path

import mlflow
import numpy as np
import pyarrow.dataset as ds
from mlflow.models import infer_signature
from PIL import Image
from sklearn.datasets import load_digits
from sklearn.neural_network import MLPClassifier

import spark_infer

FOLDER = Path(tempfile.mkdtemp())
logging.getLogger("mlflow").setLevel(logging.ERROR)
warnings.simplefilter("ignore")

# COMMAND ----------

# MAGIC %md
# MAGIC ## The files: a folder for each hundred

# COMMAND ----------

digits = load_digits()
grey = (digits.images * 255 / 16).astype(np.uint8)
for number, pixels in enumerate(grey):
    path = FOLDER / "images" / f"{number // 100:02}" / f"{number:04}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
(FOLDER / "images" / "damaged.png").write_bytes(b"\x89PNG, and nothing more")

# COMMAND ----------

# MAGIC %md
# MAGIC ## The network: 64 grey values from 0 to 1 in, a digit out

# COMMAND ----------

rows = grey.reshape(-1, 64).astype(np.float32) / 255
network = MLPClassifier((32,), solver="lbfgs", max_iter=60, random_state=0).fit(rows[:1200], digits.target[:1200])
signature = infer_signature(rows[:3], network.predict(rows[:3]))
mlflow.sklearn.save_model(network, FOLDER / "network", signature=signature, pip_requirements=["scikit-learn"])

# COMMAND ----------

# MAGIC %md
# MAGIC ## The job

# COMMAND ----------

report = spark_infer.score_table(
    engine="local",
    source={"files": FOLDER / "images", "pattern": "**/*.png"},
    target={"path": FOLDER / "scored", "output": "digit"},
    model=FOLDER / "network",
    decode={"image": {"size": 8, "mode": "L", "layout": "flat"}},
    inputs=["content"],
    on_error="null",
)
print(report)

# COMMAND ----------

scored = ds.dataset(FOLDER / "scored").to_table().to_pandas().sort_values("path")
print(scored[["path", "length", "digit", "prediction_error"]].tail(3).to_string())
answered = scored.dropna(subset=["digit"])
share = (answered["digit"].to_numpy() == digits.target).mean()
print(f"{len(answered):,} files are scored, {share:.1%} of them right; {len(scored) - len(answered)} is no image")
assert len(answered) == 1797
assert share > 0.95
