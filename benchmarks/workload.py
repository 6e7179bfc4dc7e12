"""The data and the models of the quick benchmark: the same bytes for the same seed."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from mlflow.models import infer_signature

FEATURES = tuple(f"f{i:02d}" for i in range(30))
FILES = 8
SEED = 0
TRAINING_ROWS = 50_000
TREES = 100


@dataclass(frozen=True, kw_only=True)
class Workload:
    """What every engine is given.

    Attributes:
        model: Which one, a key of `MODELS`.
        prediction_type: Spark's name for what it returns.
        source: Folder of Parquet files with an `id` (int64) and the features (float64, no nulls).
        rows: Rows in all files together.
        model_uri: The model in the registry.
        model_folder: A local copy of the same model, for engines that load it by hand.
        tracking_uri: The MLflow store that holds it.
    """

    model: str
    prediction_type: str
    source: Path
    rows: int
    model_uri: str
    model_folder: Path
    tracking_uri: str

    def facts(self) -> dict[str, int | str]:
        """Return what a report says about the workload."""
        files = list(self.source.glob("*.parquet"))
        size = sum(file.stat().st_size for file in files)
        return {
            "model": self.model,
            "rows": self.rows,
            "features": len(FEATURES),
            "seed": SEED,
            "files": len(files),
            "bytes": size,
        }


def make_workload(work: Path, rows: int, model: str) -> Workload:
    """Write the table, unless an earlier run left it in `work`, and train and register the model."""
    tracking_uri, model_uri, prediction_type = _register_model(work / f"mlflow-{model}", model)
    model_folder = work / f"model-{model}"
    shutil.rmtree(model_folder, ignore_errors=True)
    mlflow.artifacts.download_artifacts(model_uri, dst_path=str(model_folder))
    return Workload(
        model=model,
        prediction_type=prediction_type,
        source=_write_table(work / f"source-{rows}-seed{SEED}", rows),
        rows=rows,
        model_uri=model_uri,
        model_folder=model_folder,
        tracking_uri=tracking_uri,
    )


def _write_table(folder: Path, rows: int) -> Path:
    """Write `FILES` files of equal size, compressed as Spark would; the folder appears only when complete."""
    if folder.exists():
        return folder
    unfinished = folder.with_name(f".unfinished-{folder.name}")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    bounds = np.linspace(0, rows, FILES + 1, dtype=np.int64)
    for number, (start, stop) in enumerate(pairwise(bounds)):
        values = np.random.default_rng([SEED, number]).normal(size=(len(FEATURES), stop - start))
        table = pa.table({"id": np.arange(start, stop), **dict(zip(FEATURES, values, strict=True))})
        # Random doubles never repeat: a dictionary would only be built to be thrown away.
        pq.write_table(table, unfinished / f"part-{number}.parquet", compression="snappy", use_dictionary=False)
    return unfinished.rename(folder)


def _register_model(folder: Path, name: str) -> tuple[str, str, str]:
    """Train and log a model into a fresh MLflow store; return the store's URI, the model's and what it returns."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    tracking_uri = f"sqlite:///{folder}/mlflow.db"
    mlflow.set_tracking_uri(tracking_uri)
    experiment = mlflow.create_experiment("quick", artifact_location=(folder / "files").as_uri())
    mlflow.set_experiment(experiment_id=experiment)

    random = np.random.default_rng([SEED, FILES])
    features = pd.DataFrame(random.normal(size=(TRAINING_ROWS, len(FEATURES))), columns=FEATURES)
    labels = features.to_numpy() @ random.normal(size=len(FEATURES)) + random.normal(size=TRAINING_ROWS) > 0
    with mlflow.start_run():
        logged, prediction_type = MODELS[name](features, labels.astype(np.int64))
    return tracking_uri, f"models:/quick/{logged.registered_model_version}", prediction_type


def _logistic(features: pd.DataFrame, labels: npt.NDArray[np.int64]) -> tuple[Any, str]:
    """A model that costs almost nothing."""
    from sklearn import __version__
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    model = make_pipeline(StandardScaler(), LogisticRegression()).fit(features, labels)
    return mlflow.sklearn.log_model(
        model, **_how(features, model.predict(features), "scikit-learn", __version__)
    ), "long"


def _lightgbm(features: pd.DataFrame, labels: npt.NDArray[np.int64]) -> tuple[Any, str]:
    """A booster of 100 trees with LightGBM's own settings; it returns probabilities."""
    import lightgbm

    settings = {"objective": "binary", "verbosity": -1, "num_threads": 1, "seed": SEED}
    model = lightgbm.train(settings, lightgbm.Dataset(features, labels), TREES)
    how = _how(features, model.predict(features), "lightgbm", lightgbm.__version__)
    return mlflow.lightgbm.log_model(model, **how), "double"


def _xgboost(features: pd.DataFrame, labels: npt.NDArray[np.int64]) -> tuple[Any, str]:
    """A booster of 100 trees with XGBoost's own settings; it returns probabilities."""
    import xgboost

    rows = xgboost.DMatrix(features, labels)
    model = xgboost.train({"objective": "binary:logistic", "nthread": 1, "seed": SEED}, rows, TREES)
    how = _how(features, model.predict(rows), "xgboost", xgboost.__version__)
    return mlflow.xgboost.log_model(model, **how), "float"


def _how(features: pd.DataFrame, predicted: Any, package: str, version: str) -> dict[str, Any]:
    return {
        "name": "model",
        "signature": infer_signature(features, predicted),
        "registered_model_name": "quick",
        "pip_requirements": [f"{package}=={version}"],
    }


MODELS: dict[str, Callable[[pd.DataFrame, npt.NDArray[np.int64]], tuple[Any, str]]] = {
    "logistic": _logistic,
    "lightgbm": _lightgbm,
    "xgboost": _xgboost,
}
