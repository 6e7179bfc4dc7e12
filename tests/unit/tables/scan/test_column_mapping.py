"""Columns that a Delta table maps are found in its files by their physical names or by their ids, at every depth."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from spark_infer.errors import SparkMustReadError
from spark_infer.tables.listing import SourceFile
from spark_infer.tables.scan.column_mapping import stored_schema
from spark_infer.tables.scan.prune import file_may_hold
from spark_infer.tables.scan.read import read_task
from spark_infer.tables.scan.task import Piece, Scan, ScanTask
from spark_infer.tables.spark_json import schema_from_json
from spark_infer.tables.where.terms import Compares, Term


def field(name: str, number: int, kind: Any) -> dict[str, Any]:
    """A column whose physical name is ``col-NUMBER``."""
    keys = {"delta.columnMapping.id": number, "delta.columnMapping.physicalName": f"col-{number}"}
    return {"name": name, "type": kind, "nullable": True, "metadata": keys}


def struct(*fields: dict[str, Any]) -> dict[str, Any]:
    return {"type": "struct", "fields": list(fields)}


# Names that were swapped: `b` was `a` before, at the top and inside.
SCHEMA = struct(
    field("a", 2, "long"),
    field("b", 1, "long"),
    field("s", 3, struct(field("x", 5, "string"), field("y", 4, "string"))),
    field("l", 6, {"type": "array", "elementType": struct(field("e", 7, "long")), "containsNull": True}),
    field("m", 8, {"type": "map", "keyType": "string", "valueType": struct(field("v", 9, "long"))}),
    field("later", 10, "string"),
)
TABLE = pa.schema(
    [
        ("a", pa.int64()),
        ("b", pa.int64()),
        ("s", pa.struct([("x", pa.string()), ("y", pa.string())])),
        ("l", pa.list_(pa.struct([("e", pa.int64())]))),
        ("m", pa.map_(pa.string(), pa.struct([("v", pa.int64())]))),
        ("later", pa.string()),
    ]
)
ROWS: list[dict[str, Any]] = [
    {"a": 1, "b": 10, "s": {"x": "x", "y": "y"}, "l": [{"e": 1}, None], "m": [("k", {"v": 1})], "later": None},
    {"a": None, "b": 20, "s": None, "l": None, "m": None, "later": None},
    {"a": 3, "b": None, "s": {"x": None, "y": "z"}, "l": [], "m": [("k", None)], "later": None},
]


def numbered(name: str, kind: pa.DataType, number: int | None) -> pa.Field:
    return pa.field(name, kind, metadata=None if number is None else {"PARQUET:field_id": str(number)})


def file_schema(names: str, ids: bool = True) -> pa.Schema:
    def one(number: int, kind: pa.DataType) -> pa.Field:
        return numbered(names.format(number), kind, number if ids else None)

    return pa.schema(
        [
            one(2, pa.int64()),
            one(1, pa.int64()),
            one(3, pa.struct([one(5, pa.string()), one(4, pa.string())])),
            one(6, pa.list_(pa.struct([one(7, pa.int64())]))),
            one(8, pa.map_(pa.string(), pa.struct([one(9, pa.int64())]))),
        ]
    )


def written(folder: Path, schema: pa.Schema) -> Piece:
    arrays = [pa.array([row[name] for row in ROWS], TABLE.field(name).type) for name in TABLE.names[:5]]
    arrays = [array.view(of.type) for array, of in zip(arrays, schema, strict=True)]
    pq.write_table(pa.Table.from_arrays(arrays, schema=schema), folder / "f.parquet", row_group_size=2)
    return Piece("f.parquet", (folder / "f.parquet").stat().st_size)


def read(folder: Path, piece: Piece, mode: str, *columns: str, condition: Term | None = None) -> list[dict[str, Any]]:
    wanted = pa.schema([TABLE.field(name) for name in columns])
    stored = stored_schema(schema_from_json(SCHEMA["fields"]), wanted, mode)
    scan = Scan(uri=f"file://{folder}", schema=wanted, stored=stored, condition=condition)
    rows: list[dict[str, Any]] = pa.Table.from_batches(read_task(ScanTask(0, (piece,)), scan), wanted).to_pylist()
    return rows


@pytest.mark.parametrize(("mode", "names"), [("name", "col-{}"), ("id", "col-{}"), ("id", "anything-{}")])
def test_values_are_found_behind_their_mapped_names(tmp_path: Path, mode: str, names: str) -> None:
    piece = written(tmp_path, file_schema(names))
    assert read(tmp_path, piece, mode, *TABLE.names) == ROWS
    assert read(tmp_path, piece, mode, "later", "b") == [{"later": None, "b": row["b"]} for row in ROWS]
    # Row groups by the statistics of the mapped column: those of the other one would leave the wrong group.
    found = read(tmp_path, piece, mode, "a", "b", condition=Compares("a", "<", 3))
    assert found == [{"a": 1, "b": 10}]


@pytest.mark.parametrize(
    ("mode", "schema", "columns", "why"),
    [
        ("id", file_schema("col-{}", ids=False), ["a"], "ids, which a file lacks"),
        ("name", file_schema("other-{}"), ["s"], ""),
        ("name", file_schema("COL-{}"), ["a"], "is spelled 'COL-2'"),
    ],
)
def test_a_file_whose_columns_are_not_mapped_as_the_table_says(
    tmp_path: Path, mode: str, schema: pa.Schema, columns: list[str], why: str
) -> None:
    piece = written(tmp_path, schema)
    if not why:  # a column that the file does not have
        assert read(tmp_path, piece, mode, *columns) == [{"s": None}] * 3
        return
    with pytest.raises(SparkMustReadError, match=why):
        read(tmp_path, piece, mode, *columns)


def test_a_struct_whose_inner_columns_are_other_ones_is_sparks_to_read(tmp_path: Path) -> None:
    schema = file_schema("col-{}")
    # The names inside are those of the table, and not the physical ones: of another column.
    inner = pa.struct([numbered("x", pa.string(), 50), numbered("y", pa.string(), 40)])
    schema = schema.set(2, schema.field(2).with_type(inner))
    piece = written(tmp_path, schema)
    for mode in ("name", "id"):
        with pytest.raises(SparkMustReadError, match="column 's' is struct"):
            read(tmp_path, piece, mode, "s")


def test_files_are_left_out_by_the_statistics_of_the_mapped_column() -> None:
    text = '{"numRecords": 3, "minValues": {"col-2": 5}, "maxValues": {"col-2": 7}, "nullCount": {"col-2": 0}}'
    file = SourceFile("f", 1, statistics=text)
    names = {"a": "col-2", "b": "col-1"}
    for term, may in ((Compares("a", "=", 6), True), (Compares("a", "=", 8), False), (Compares("b", "=", 8), True)):
        assert file_may_hold(file, term, TABLE, {}, names) is may
