"""Rows with large texts: a worker takes once what a row group has stored, and beside that a few batches."""

from __future__ import annotations

import os
import warnings
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from mlflow.models import infer_signature

from tests.local.jobs import run

MIB = 2**20
ROWS, EVERY = 6_000, 50
BATCH_BYTES = 4 * MIB
MOST_BATCHES = 16
"""How many times `max_batch_bytes` docs/tables.md says that a worker holds, beside the row group as it is stored."""


def test_large_texts_take_no_more_memory_than_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPARK_INFER_TEST_PEAKS", str(tmp_path / "peaks"))
    example = pd.DataFrame({"text": ["a", "bc"]})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        mlflow.pyfunc.save_model(
            tmp_path / "model",
            python_model=str(Path(__file__).parent / "models" / "peaks.py"),
            signature=infer_signature(example, pd.Series([1, 2], name="prediction")),
            pip_requirements=["pandas"],
        )
    random = np.random.default_rng(0)
    large = [random.integers(97, 123, MIB, dtype=np.uint8).tobytes().decode() for _ in range(ROWS // EVERY)]
    peaks = {}
    for name, texts in (("narrow", ["a text"] * len(large)), ("wide", large)):
        rows = [texts[row // EVERY] if row % EVERY == 0 else "a text" for row in range(ROWS)]
        (tmp_path / name).mkdir()
        pq.write_table(pa.table({"id": np.arange(ROWS), "text": rows}), tmp_path / name / "a.parquet")
        (tmp_path / "peaks").write_text("")
        report = run(
            str(tmp_path / "model"),
            {"path": str(tmp_path / name)},
            {"path": str(tmp_path / f"out-{name}"), "keep": ["id"]},
            score={"max_batch_bytes": BATCH_BYTES, "batch_size": 500},
        )
        assert report.rows_scored == ROWS
        found = [line.split() for line in (tmp_path / "peaks").read_text().splitlines()]
        peaks[name] = max(int(kib) * 1024 for process, kib in found if process != str(os.getpid()))
    file = pq.ParquetFile(tmp_path / "wide" / "a.parquet")
    assert file.metadata.num_row_groups == 1
    stored = sum(file.metadata.row_group(0).column(at).total_compressed_size for at in range(2))
    assert peaks["wide"] - peaks["narrow"] <= stored + MOST_BATCHES * BATCH_BYTES
