"""Columns of Parquet files have Spark's types where there is no Spark; `tests/spark` holds the same list to Spark."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from spark_infer.tables.location import TableLocation
from spark_infer.tables.parquet.table_snapshot import snapshot
from spark_infer.tables.schema import schema_of
from spark_infer.tables.snapshot import Snapshot
from spark_infer.tables.storage import open_storage
from tests.logical_types import LOGICAL, write, written_alike

NAMES = {"int": "integer", "bigint": "long", "smallint": "short", "tinyint": "byte"}
"""DDL's names of types that have another one in Spark's JSON."""


def found_in(folder: Path) -> Snapshot:
    storage = open_storage(f"file://{folder}")
    assert storage is not None
    return snapshot(storage, TableLocation("parquet", f"file://{folder}"))


def types_in(folder: Path) -> dict[str, Any]:
    return {field["name"]: field["type"] for field in json.loads(schema_of(found_in(folder)))["fields"]}


def as_ddl(kind: Any) -> str:
    """Spark's JSON as DDL."""
    if isinstance(kind, str):
        return {new: old for old, new in NAMES.items()}.get(kind, kind)
    if kind["type"] == "array":
        return f"array<{as_ddl(kind['elementType'])}>"
    if kind["type"] == "map":
        return f"map<{as_ddl(kind['keyType'])},{as_ddl(kind['valueType'])}>"
    fields = (f"{each['name']}:{as_ddl(each['type'])}" for each in kind["fields"])
    return f"struct<{','.join(fields)}>"


def test_a_logical_type_has_sparks_type_or_the_one_that_holds_its_values(tmp_path: Path) -> None:
    crs = {"geometry": "geometry(OGC:CRS84)", "geography": "geography(OGC:CRS84, SPHERICAL)"}
    expected = {name: crs.get(name) or column.local or column.spark or "void" for name, column in LOGICAL.items()}
    for number, names in enumerate(written_alike(LOGICAL)):
        folder = tmp_path / str(number)
        folder.mkdir()
        write(folder / "f.parquet", *names)
        found = types_in(folder)
        assert {name: as_ddl(found[name]) for name in names} == {name: expected[name] for name in names}
        assert set(found_in(folder).refused) == {name for name in names if LOGICAL[name].spark is None}


def test_a_column_that_is_empty_in_one_file_has_the_type_of_the_others(tmp_path: Path) -> None:
    pq.write_table(pa.table({"c": pa.nulls(1)}), tmp_path / "a.parquet")
    pq.write_table(pa.table({"c": ["x"]}), tmp_path / "b.parquet")
    assert types_in(tmp_path) == {"c": "string"}


def test_a_column_of_two_types_is_an_error_only_where_it_is_needed(tmp_path: Path) -> None:
    pq.write_table(pa.table({"id": [1], "c": [1]}), tmp_path / "a.parquet")
    pq.write_table(pa.table({"id": [1], "c": ["x"]}), tmp_path / "b.parquet")
    fields = {field["name"]: field for field in json.loads(schema_of(found_in(tmp_path)))["fields"]}
    assert (fields["id"]["type"], fields["c"]["type"]) == ("long", "void")
    assert "different types in different files" in fields["c"]["metadata"]["unsupported"]
