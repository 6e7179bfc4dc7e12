"""A golden file: rows to verify a model with, and perhaps the answers that are right for them."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
from pyarrow import csv
from pyarrow import parquet as pq

from spark_infer.core.signature import spelled
from spark_infer.errors import SourceError
from spark_infer.job.preview import MOST_ROWS
from spark_infer.models.expected_schema import expected_schema
from spark_infer.models.ref import ModelRef
from spark_infer.printable import kind_in_words

_FORM = "a list of rows, or a mapping of columns"


def golden_rows(golden: Path, ref: ModelRef) -> pa.Table:
    """Read a golden file; the columns of a text file get the types of the model's inputs.

    Raises:
        SourceError: It cannot be read, or has no rows, or too many, or values of other types.
    """
    kind = golden.suffix.lower()
    try:
        if kind == ".parquet":
            rows = pq.read_table(golden)
        elif kind == ".csv":
            rows = csv.read_csv(golden)
        elif kind == ".json":
            rows = _of_json(golden)
        else:
            raise SourceError(
                f"{golden} is not a golden file: its name ends with {kind or 'nothing'}.",
                next_step=f"name a .parquet, .csv or .json file ({_FORM}).",
            )
    except (pa.ArrowException, OSError, ValueError, TypeError, OverflowError, RecursionError) as error:
        raise SourceError(
            f"The golden file {golden} cannot be read as {kind[1:]}: {type(error).__name__}.",
            next_step="see that it is there and whole, and that each column holds values of one type.",
        ) from error
    if not 1 <= rows.num_rows <= MOST_ROWS:
        raise SourceError(
            f"The golden file {golden} has {rows.num_rows:,} rows, and should have 1 to {MOST_ROWS:,}.",
            next_step="name a file with some rows that are typical for the model.",
        )
    twice = [name for name, count in Counter(rows.column_names).items() if count > 1]
    if twice:
        raise SourceError(
            f"The golden file {golden} has more than one column {twice[0]!r}.",
            next_step="rename or take out all of them but one.",
        )
    return rows if kind == ".parquet" else _typed(rows, golden, ref)


def golden_answers(rows: pa.Table, outputs: Sequence[pa.Field], golden: Path) -> pa.Table:
    """Return the columns of a golden file that are answers, in the types of the model's outputs.

    Raises:
        SourceError: A column holds values of another type.
    """
    return pa.table({each.name: _cast(rows, each, golden, "output") for each in outputs})


def _of_json(golden: Path) -> pa.Table:
    found = json.loads(golden.read_text(encoding="utf-8"))
    if isinstance(found, dict):
        wrong = next(
            (f"column {name!r} is {kind_in_words(each)}" for name, each in found.items() if _no_list(each)), ""
        )
    elif isinstance(found, list):
        rows = enumerate(found)
        wrong = next((f"row {place} is {kind_in_words(row)}" for place, row in rows if not isinstance(row, dict)), "")
    else:
        wrong = f"it holds {kind_in_words(found)}"
    if wrong:
        raise SourceError(
            f"The golden file {golden} does not have the form of one: {wrong}.",
            next_step=f"write {_FORM}.",
        )
    if isinstance(found, list):
        names = dict.fromkeys(name for row in found for name in row)
        found = {name: [row.get(name) for row in found] for name in names}
    return pa.table(found)


def _no_list(found: object) -> bool:
    return not isinstance(found, list)


def _typed(rows: pa.Table, golden: Path, ref: ModelRef) -> pa.Table:
    """The columns of a text file in the types of the model, as far as its signature says them."""
    wanted = {field.name: field for field in expected_schema(ref.mlmodel.signature)}
    columns = {name: _cast(rows, wanted.get(name), golden, "input", name) for name in rows.column_names}
    return pa.table(columns)


def _cast(rows: pa.Table, wanted: pa.Field | None, golden: Path, what: str, name: str = "") -> pa.ChunkedArray:
    """A column in the type of an input or output of the model; as it is where that is not known."""
    if wanted is None:
        return rows.column(name)
    column = rows.column(wanted.name)
    try:
        return column.cast(wanted.type)
    except (pa.ArrowException, ValueError, TypeError) as error:
        raise SourceError(
            f"Column {wanted.name!r} of the golden file {golden} is {spelled(column.type)}, and not all of its values "
            f"are {spelled(wanted.type)}, as the model's {what} of that name is.",
            next_step=f"write values of type {spelled(wanted.type)}, or take the column out.",
        ) from error
