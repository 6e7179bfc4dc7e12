"""A model that does to its process what its input says, and a table with rows that say so."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from mlflow.models import infer_signature

RAISES, SEGFAULTS, IS_KILLED, ABORTS, HANGS, EATS = 500.0, 600.0, 700.0, 800.0, 900.0, 1000.0
CLASSES = {
    RAISES: "ValueError",
    SEGFAULTS: "ModelCrashedError",
    IS_KILLED: "ModelCrashedError",
    ABORTS: "ModelCrashedError",
    HANGS: "ModelHungError",
    EATS: "ModelMemoryError",
}


def save_deadly(folder: Path, room: int = 10**9) -> str:
    """Save a model that returns its input, and fails for the values above, and for more rows than there is room for."""
    example = pd.DataFrame({"x": np.arange(3.0)})
    signature = infer_signature(example, example["x"].to_numpy())
    code = Path(__file__).parent / "local" / "models" / "deadly_estimator.py"
    sys.path.insert(0, str(code.parent))
    try:
        model = importlib.import_module("deadly_estimator").Deadly(room)
        mlflow.sklearn.save_model(
            model,
            folder,
            code_paths=[str(code)],
            signature=signature,
            serialization_format="cloudpickle",
            pip_requirements=["scikit-learn"],
        )
    finally:
        sys.path.remove(str(code.parent))
    return str(folder)


def write_deadly(folder: Path, rows: int, bad: dict[int, float]) -> str:
    """Write rows in three table partitions, of which the model fails for some: ``id``, ``x`` = id / 1024, ``part``."""
    ids = np.arange(rows)
    values = ids / 1024
    for key, value in bad.items():
        values[key] = value
    table = pa.table({"id": ids, "x": values, "part": ids * 3 // rows})
    pq.write_to_dataset(table, folder, partition_cols=["part"], basename_template="{i}.parquet")
    return str(folder)
