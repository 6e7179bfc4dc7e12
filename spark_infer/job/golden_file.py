"""A golden file: rows to verify a model with, and perhaps the answers that are right for them."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
from pyarrow import csv
from pyarrow import parquet as pq

from spark_infer.errors import SourceError
from spark_infer.job.preview import MOST_ROWS
from spark_infer.models.expected_schema import expected_schema
from spark_infer.models.ref import ModelRef


def golden_rows(golden: Path, ref: ModelRef) -> pa.Table:
    """Read a golden file; the columns of a text file get the types of the model's inputs.

    Raises:
        SourceError: It cannot be read, or has no rows, or too many.
    """
    kind = golden.suffix.lower()
    try:
        if kind == ".parquet":
            rows = pq.read_table(golden)
        elif kind == ".csv":
            rows = _typed(csv.read_csv(golden), ref)
        elif kind == ".json":
            found = json.loads(golden.read_text())
            rows = _typed(pa.Table.from_pylist(found) if isinstance(found, list) else pa.table(found), ref)
        else:
            raise SourceError(
                f"{golden} is not a golden file: its name ends with {kind or 'nothing'}.",
                next_step="name a .parquet, .csv or .json file (a list of rows, or a mapping of columns).",
            )
    except (pa.ArrowException, OSError, ValueError) as error:
        raise SourceError(f"The golden file {golden} cannot be read: {type(error).__name__}.") from error
    if not 1 <= rows.num_rows <= MOST_ROWS:
        raise SourceError(f"The golden file {golden} has {rows.num_rows:,} rows, and should have 1 to {MOST_ROWS:,}.")
    return rows


def _typed(rows: pa.Table, ref: ModelRef) -> pa.Table:
    """The columns of a text file in the types of the model, as far as its signature says them."""
    wanted = {field.name: field.type for field in expected_schema(ref.mlmodel.signature)}
    fields = [field.with_type(wanted.get(field.name, field.type)) for field in rows.schema]
    return rows.cast(pa.schema(fields))
