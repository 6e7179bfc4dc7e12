"""Make the workloads: tables and models are kept in a folder, and made again when what makes them changes."""

from __future__ import annotations

import hashlib
import json
import shutil
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path

import mlflow
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.encoded import DECODE
from benchmarks.workload import SEED, Workload
from benchmarks.workloads import encoded_files, linear, mixed, network, trees
from benchmarks.workloads.decoding_model import log_decoding_model
from benchmarks.workloads.spec import Spec

SPECS: dict[str, Spec] = {**linear.SPECS, **trees.SPECS, **mixed.SPECS, **network.SPECS, **encoded_files.SPECS}

FULL_SIZE_FROM = 0.1
"""Below this scale models have a tenth of their trees or units: a trial, not a measurement."""


def make_workload(
    name: str, work: Path, rows: int, *, full_size: bool = True, batch_rows: int | None = None
) -> Workload:
    """Write the table and train and register the model, unless an earlier run left them in `work`."""
    spec = SPECS[name]
    batch_rows = batch_rows or spec.batch_rows
    size = "full" if full_size else "small"
    mark = _mark()
    store = _register(spec, work / f"mlflow-{name}-{size}-{mark}", 1.0 if full_size else 0.1)
    source = _write_table(spec, work / f"table-{name}-{rows}-{mark}", rows)
    columns = pq.read_schema(next(source.glob("*.parquet"))).names
    uris = json.loads((store / "done.json").read_text())
    return Workload(
        name=name,
        source=str(source),
        rows=rows,
        files=spec.files,
        features=spec.features,
        feeds=spec.feeds,
        dtype=spec.dtype,
        method=spec.method,
        raw_type=spec.raw_type or spec.outputs[0][1],
        outputs=spec.outputs,
        labels=spec.labels,
        keep=tuple(columns) if spec.keep_all else ("id",),
        tolerance=spec.tolerance,
        model_uri=uris["uri"],
        udf_uri=uris["udf_uri"],
        model_folder=str(store / "model"),
        tracking_uri=f"sqlite:///{store}/mlflow.db",
        spark_conf=(("spark.sql.execution.arrow.maxRecordsPerBatch", str(batch_rows)), *spec.spark_conf),
        batch_rows=batch_rows,
    )


def _mark() -> str:
    """Return a mark of everything that the bytes depend on, so that no old table or model is taken for a new one."""
    digest = hashlib.sha256(str(SEED).encode())
    for path in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(path.read_bytes())
    for package in ("numpy", "pyarrow", "mlflow", "scikit-learn", "lightgbm", "xgboost", "torch"):
        digest.update(version(package).encode())
    return digest.hexdigest()[:8]


def _write_table(spec: Spec, folder: Path, rows: int) -> Path:
    """Write files of equal size, compressed as Spark would; the folder appears only when complete."""
    if folder.exists():
        return folder
    unfinished = folder.with_name(f".unfinished-{folder.name}")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    bounds = np.linspace(0, rows, spec.files + 1, dtype=np.int64)
    for number, (start, stop) in enumerate(pairwise(bounds)):
        columns = spec.columns(np.random.default_rng([SEED, number]), int(stop - start))
        table = pa.table({"id": np.arange(start, stop), **columns})
        # Random doubles never repeat: a dictionary would only be built to be thrown away.
        texts = [field.name for field in table.schema if pa.types.is_string(field.type)]
        path = unfinished / f"part-{number:03d}.parquet"
        pq.write_table(table, path, compression="snappy", use_dictionary=texts or False)
    return unfinished.rename(folder)


def _register(spec: Spec, folder: Path, share: float) -> Path:
    """Train and log a model into an MLflow store of its own, with a copy of its files beside it."""
    if (folder / "done.json").exists():
        return folder
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    mlflow.set_tracking_uri(f"sqlite:///{folder}/mlflow.db")
    experiment = mlflow.create_experiment("benchmark", artifact_location=(folder / "files").as_uri())
    mlflow.set_experiment(experiment_id=experiment)
    random = np.random.default_rng([SEED, spec.files])
    columns = pa.table(spec.columns(random, max(1_000, round(spec.training_rows * share))))
    frame = columns.select(list(spec.features)).to_pandas()
    with mlflow.start_run():
        logged = spec.train(frame, random, share)
    uri = f"models:/benchmark/{logged.registered_model_version}"
    mlflow.artifacts.download_artifacts(uri, dst_path=str(folder / "model"))
    udf_uri = uri
    if spec.feeds in DECODE:
        with mlflow.start_run():
            udf_uri = log_decoding_model(folder / "model", spec.feeds, *spec.features)
    (folder / "done.json").write_text(json.dumps({"uri": uri, "udf_uri": udf_uri}))
    return folder
