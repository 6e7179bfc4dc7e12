"""Steps: one writes down every batch that a worker is about to predict, whatever becomes of it; one fails for a row."""

from __future__ import annotations

import os

import pyarrow as pa
import pyarrow.compute as pc

COUNTED = "TESTS_SOAK_COUNTED"
"""The variable that names the file: a line for each batch, its least ``x`` and its rows."""


def count(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Write the batch down, and hand it on."""
    if batch.num_rows and COUNTED in os.environ:
        file = os.open(os.environ[COUNTED], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.write(file, f"{pc.min(batch['x'])} {batch.num_rows}\n".encode())
        os.close(file)
    return batch


def refuse(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Fail for a batch that has the value 500."""
    if pc.any(pc.equal(batch["x"], 500.0)).as_py():
        raise ValueError("500 is in the batch")
    return batch
