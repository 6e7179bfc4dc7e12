"""A model saved with MLflow, ready to be compiled: its recipe, itself, and the store."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
import pyarrow as pa
from mlflow.models import infer_signature

from spark_infer.config import ScoreOptions
from spark_infer.models.backends import load
from spark_infer.models.backends.spec import LoadedModel
from spark_infer.models.compile.gate import compile_recipe
from spark_infer.models.files.store import ModelStore
from spark_infer.models.recipe import Recipe, make_recipe
from spark_infer.models.registry.resolve import resolve
from spark_infer.models.sample_rows import Sample
from spark_infer.models.worker import score_table_batches
from spark_infer.runtime.assignment import Assignment


@dataclass(frozen=True)
class Scoring:
    """What the driver has before it compiles."""

    recipe: Recipe
    original: LoadedModel
    store: ModelStore

    def compiled(self, rows: pa.RecordBatch) -> Recipe:
        return compile_recipe(
            self.recipe, self.original, self.store, lambda: Sample(batches=[rows], places=["the table"])
        )

    def scored(self, recipe: Recipe, rows: pa.RecordBatch) -> pa.Table:
        def files() -> Path:
            return self.store.path(recipe.load.files(recipe.ref.digest))

        return pa.Table.from_batches(score_table_batches(recipe, files, [rows], Assignment()))


def scoring_of(
    saved: Path, schema: pa.Schema, store: Path, *, result_schema: pa.Schema | None = None, **options: Any
) -> Scoring:
    held = ModelStore(store)
    ref = resolve(str(saved), tracking_uri=None, registry_uri=None, store=held)
    files = held.path(ref.digest)
    recipe = make_recipe(
        ref,
        schema,
        ScoreOptions(**{"compile": "onnx", **options}),
        folder=files,
        load_model=lambda spec: load(spec, files),
        keep=(),
        result_schema=result_schema,
    )
    return Scoring(recipe, load(recipe.load, files), held)


def save(model: Any, X: pd.DataFrame, folder: Path) -> Path:
    flavor = {"lightgbm": mlflow.lightgbm, "xgboost": mlflow.xgboost}.get(type(model).__module__.split(".")[0])
    trusted: dict[str, Any] = (
        {"skops_trusted_types": ["collections.defaultdict", "numpy.dtype"]} if flavor is mlflow.lightgbm else {}
    )
    if flavor is None:
        flavor, trusted = mlflow.sklearn, {"serialization_format": "cloudpickle"}
    elif hasattr(model, "booster_"):
        trusted = {"serialization_format": "cloudpickle"}
    flavor.save_model(
        model, folder, signature=infer_signature(X, model.predict(X)), pip_requirements=["scikit-learn"], **trusted
    )
    return folder


def batch_of(rows: pd.DataFrame) -> pa.RecordBatch:
    return pa.RecordBatch.from_pandas(rows.reset_index(drop=True), preserve_index=False)
