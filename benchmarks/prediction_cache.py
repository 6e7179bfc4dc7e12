"""What a prediction cache spares and costs: MiniLM over texts (W7), and W1, whose model costs almost nothing.

    python -m benchmarks.prediction_cache
    python -m benchmarks.prediction_cache --texts 10000 --only W7

Each job runs without a cache, with an empty one, and with one that has all of its rows but one of a hundred; the last
one also with its rows in another order. Engine `local`; the seconds are those inside the tasks, summed.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks import embeddings
from benchmarks.options import WORK, silence_mlflow
from spark_infer import Report, score_table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--texts", type=int, default=2_000)
    parser.add_argument("--rows", type=int, default=500_000, help="of W1")
    parser.add_argument("--only", choices=["W7", "W1"])
    parser.add_argument("--work", type=lambda text: Path(text).resolve(), default=Path(WORK).resolve())
    given = parser.parse_args()
    silence_mlflow()
    with tempfile.TemporaryDirectory(prefix="spark_infer-cache-") as name:
        if given.only != "W1":
            _texts(Path(name) / "W7", given.texts)
        if given.only != "W7":
            _rows(Path(name) / "W1", given.rows, given.work)


def _texts(folder: Path, rows: int) -> None:
    folder.mkdir()
    model, source = embeddings.make(folder, rows)
    score = {"inputs": ["text"], "deduplicate": "auto", "result_type": "array<float>"}
    changed = [f"a text that no run has seen, number {number}" for number in range(rows // 100)]
    _compare(f"W7, {rows:,} texts", folder, source, {"text": changed}, model=str(model), **score)


def _rows(folder: Path, rows: int, work: Path) -> None:
    from benchmarks.workloads.catalog import make_workload

    folder.mkdir()
    workload = make_workload("W1", work, rows)
    changed = {workload.features[-1]: (np.arange(rows // 100) + 0.25).tolist()}
    model = {"uri": workload.model_uri, "tracking_uri": workload.tracking_uri}
    _compare(f"W1, {rows:,} rows", folder, Path(workload.source), changed, model=model)


def _compare(title: str, folder: Path, source: Path, changed: Mapping[str, list[Any]], **job: Any) -> None:
    print(title)
    cache = {"path": str(folder / "cache"), "format": "parquet"}
    next_night, shuffled = folder / "next", folder / "shuffled"
    rows = _with(pq.read_table(source), changed)
    _write(rows, next_night)
    _write(rows.take(np.random.default_rng(1).permutation(len(rows))), shuffled)
    runs = {"without": (source, None), "empty": (source, cache), "99 %": (next_night, cache)}
    wanted = None
    for name, (rows_of, used) in runs.items():
        _tell(name, _run(folder, rows_of, used, job))
        if name == "99 %":
            wanted = _answers(folder)
            shutil.rmtree(folder / "cache")
    _run(folder, source, cache, job)
    _tell("99 %, shuffled", _run(folder, shuffled, cache, job))
    if wanted is None or not np.allclose(_answers(folder), wanted, rtol=0, atol=embeddings.BOUND):
        raise SystemExit("the answers differ")
    stored = sum(file.stat().st_size for file in (folder / "cache").rglob("*.parquet"))
    print(f"  the cache has {stored / 2**20:.1f} MiB")


def _with(rows: pa.Table, changed: Mapping[str, list[Any]]) -> pa.Table:
    """Rows of which some at equal distances have other values."""
    for name, values in changed.items():
        column = rows.column(name).to_pylist()
        for number, value in enumerate(values):
            column[number * (len(column) // len(values))] = value
        rows = rows.set_column(rows.schema.get_field_index(name), name, pa.array(column, rows.schema.field(name).type))
    return rows


def _write(rows: pa.Table, folder: Path) -> None:
    """In two files, one for each core."""
    folder.mkdir()
    half = -(-len(rows) // 2)
    for part in range(2):
        pq.write_table(rows.slice(part * half, half), folder / f"part-{part}.parquet")


def _run(folder: Path, source: Path, cache: dict[str, str] | None, job: Mapping[str, Any]) -> Report:
    target = folder / "out"
    shutil.rmtree(target, ignore_errors=True)
    return score_table(
        source={"path": str(source), "format": "parquet"},
        target={"path": str(target), "format": "parquet", "keep": ["id"]},
        engine="local",
        cache=cache,
        new_run=True,
        **job,
    )


def _answers(folder: Path) -> npt.NDArray[np.float64]:
    """The predictions by id."""
    found = pq.read_table(folder / "out").sort_by("id").column("prediction").combine_chunks()
    values: npt.NDArray[np.float64] = (found.flatten() if pa.types.is_list(found.type) else found).to_numpy()
    return values


def _tell(name: str, report: Report) -> None:
    parts = ", ".join(f"{part} {seconds:.2f}" for part, seconds in report.task_seconds.items() if seconds >= 0.005)
    found = f"{report.prediction_cache_hits:,} found, {report.rows_predicted:,} predicted"
    print(f"  {name:<15} {report.seconds['score_and_write']:6.2f} s to score and write; in the tasks {parts}; {found}")


if __name__ == "__main__":
    main()
