"""How long a job takes to plan, and how evenly its work is cut: 100,000 small files, and one file of 10 GB.

No data page is read: planning looks at listings, logs and footers. The small files are links to one file, so that they
take no room.

Run `python -m benchmarks.planning`; `--only` chooses; the large file needs 10 GB of disk.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from mlflow.models import infer_signature
from sklearn.linear_model import LinearRegression

from benchmarks.options import WORK, silence_mlflow
from spark_infer.config import JobConfig
from spark_infer.engines.local.engine import LocalEngine
from spark_infer.job.prepare import prepare_job

SMALL_FILES = 100_000
LARGE_BYTES = 10 * 2**30
_GROUP_ROWS = 500_000
_COLUMNS = 10
_MOST_LINKS = 50_000
"""ext4 allows 65,000 names of one file."""


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.planning")
    parser.add_argument("--only", choices=sorted(TABLES), action="append")
    parser.add_argument("--work", type=Path, default=Path(WORK))
    options = parser.parse_args(arguments)
    silence_mlflow()
    folder = (options.work / "planning").resolve()
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    model = make_model(folder / "model")
    for name in options.only or TABLES:
        made = TABLES[name](folder / name.replace(" ", "-"))
        _measure(name, made, model, folder)
        shutil.rmtree(made)


def _measure(name: str, table: Path, model: str, folder: Path) -> None:
    document = {"model": {"uri": model}, "source": {"path": str(table)}, "target": {"path": str(folder / "out")}}
    config = JobConfig.model_validate({**document, "engine": "local"})
    engine = LocalEngine(config.resources)
    prepare_job(engine, config)  # the model is loaded, caches warm
    start = time.perf_counter()
    job = prepare_job(engine, config)
    seconds = time.perf_counter() - start
    weights = [task.weight for task in job.plane.tasks]
    mean = sum(weights) / len(weights)
    held = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    tasks = f"{len(weights):,} tasks of {mean / 2**20:,.1f} MiB"
    balance = f"the largest {max(weights) / mean:.2f} times the mean, the smallest {min(weights) / mean:.2f}"
    print(f"{name:28} planned in {seconds:6.2f} s: {tasks}; {balance}; {held:.1f} GiB held at most", flush=True)


def _rows(rows: int) -> pa.Table:
    return pa.table({f"x{number}": np.random.default_rng(number).random(rows) for number in range(_COLUMNS)})


def links(folder: Path, files: int = SMALL_FILES) -> list[str]:
    """Make as many small files, which are links to a few; returns their names."""
    folder.mkdir()
    names = [f"part-{number:06}.parquet" for number in range(files)]
    for start in range(0, files, _MOST_LINKS):
        first = folder / names[start]
        pq.write_table(_rows(100), first)
        for name in names[start + 1 : start + _MOST_LINKS]:
            os.link(first, folder / name)
    return names


def _parquet(folder: Path) -> Path:
    links(folder)
    return folder


def _delta(folder: Path) -> Path:
    names = links(folder)
    (folder / "_delta_log").mkdir()
    fields = [{"name": f"x{n}", "type": "double", "nullable": True, "metadata": {}} for n in range(_COLUMNS)]
    size = (folder / names[0]).stat().st_size
    statistics = json.dumps(
        {"numRecords": 100, "minValues": {"x0": 0.0}, "maxValues": {"x0": 1.0}, "nullCount": {"x0": 0}}
    )
    actions: list[dict[str, object]] = [
        {"protocol": {"minReaderVersion": 1, "minWriterVersion": 2}},
        {
            "metaData": {
                "id": "00000000-0000-0000-0000-000000000000",
                "format": {"provider": "parquet", "options": {}},
                "schemaString": json.dumps({"type": "struct", "fields": fields}),
                "partitionColumns": [],
                "configuration": {},
            }
        },
    ]
    actions += [
        {
            "add": {
                "path": name,
                "partitionValues": {},
                "size": size,
                "modificationTime": 0,
                "dataChange": True,
                "stats": statistics,
            }
        }
        for name in names
    ]
    (folder / "_delta_log" / f"{0:020}.json").write_text("\n".join(map(json.dumps, actions)))
    return folder


def _large(folder: Path) -> Path:
    folder.mkdir()
    rows = _rows(_GROUP_ROWS)
    with pq.ParquetWriter(folder / "part-0.parquet", rows.schema, compression="none", use_dictionary=False) as out:
        while (folder / "part-0.parquet").stat().st_size < LARGE_BYTES:
            out.write_table(rows, row_group_size=_GROUP_ROWS)
    return folder


def make_model(folder: Path) -> str:
    """Save a linear model over all columns, and return its folder."""
    rows = pd.DataFrame({f"x{number}": np.arange(20.0) for number in range(_COLUMNS)})
    model = LinearRegression().fit(rows, rows["x0"])
    signature = infer_signature(rows, model.predict(rows))
    mlflow.sklearn.save_model(model, folder, signature=signature, pip_requirements=["scikit-learn"])
    return str(folder)


TABLES: dict[str, Callable[[Path], Path]] = {
    "100,000 files, Parquet": _parquet,
    "100,000 files, Delta": _delta,
    "one file of 10 GB": _large,
}

if __name__ == "__main__":
    main()
