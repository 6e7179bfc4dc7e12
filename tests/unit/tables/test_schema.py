"""Columns of Parquet files have Spark's types where there is no Spark; `tests/spark` holds the same list to Spark."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from spark_infer.tables.location import TableLocation
from spark_infer.tables.parquet.table_snapshot import snapshot
from spark_infer.tables.schema import schema_of
from spark_infer.tables.snapshot import Snapshot
from spark_infer.tables.spark_json import type_names, why_unsupported
from spark_infer.tables.storage import open_storage
from tests.logical_types import LOGICAL, write, written_alike


def found_in(folder: Path) -> Snapshot:
    storage = open_storage(f"file://{folder}")
    assert storage is not None
    return snapshot(storage, TableLocation("parquet", f"file://{folder}"))


def types_in(folder: Path) -> dict[str, str]:
    return type_names(schema_of(found_in(folder)))


def test_a_logical_type_has_sparks_type_or_the_one_that_holds_its_values(tmp_path: Path) -> None:
    crs = {"geometry": "geometry(4326)", "geography": "geography(4326)"}
    expected = {name: crs.get(name) or column.local or column.spark or "void" for name, column in LOGICAL.items()}
    for number, names in enumerate(written_alike(LOGICAL)):
        folder = tmp_path / str(number)
        folder.mkdir()
        write(folder / "f.parquet", *names)
        found = types_in(folder)
        assert {name: found[name] for name in names} == {name: expected[name] for name in names}
        assert set(found_in(folder).refused) == {name for name in names if LOGICAL[name].spark is None}


def test_a_column_that_is_empty_in_one_file_has_the_type_of_the_others(tmp_path: Path) -> None:
    pq.write_table(pa.table({"c": pa.nulls(1)}), tmp_path / "a.parquet")
    pq.write_table(pa.table({"c": ["x"]}), tmp_path / "b.parquet")
    assert types_in(tmp_path) == {"c": "string"}


def test_a_column_of_two_types_is_an_error_only_where_it_is_needed(tmp_path: Path) -> None:
    pq.write_table(pa.table({"id": [1], "c": [1]}), tmp_path / "a.parquet")
    pq.write_table(pa.table({"id": [1], "c": ["x"]}), tmp_path / "b.parquet")
    assert types_in(tmp_path) == {"id": "bigint", "c": "void"}
    assert "different types in different files" in str(why_unsupported(schema_of(found_in(tmp_path)).field("c")))
