"""Delta's history names the mode that was asked for, whatever partitions it replaces, and the table's own place."""

from __future__ import annotations

import json
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable, Field, Schema, write_deltalake
from deltalake.schema import PrimitiveType

from spark_infer.config.write_modes import MODES
from spark_infer.tables.location import TableLocation
from spark_infer.tables.plan import WritePlan
from spark_infer.tables.predicate import partition_scope
from spark_infer.tables.sink.sink_spec import WrittenFile
from spark_infer.tables.spark_json import named_field, schema_from_json
from spark_infer.tables.storage import Storage
from tests.runs import publish

OLD = {"id": [1, 2, 3, 4]}


def plan(table: Path, mode: str, **given: Any) -> WritePlan:
    settings = {"exists": True, "scope": None, "how": "", "partition_by": ("part",), "partition_types": ("string",)}
    return WritePlan(location=TableLocation("delta", f"file://{table}"), mode=MODES[mode], **{**settings, **given})


def publish_one(
    write: WritePlan, values: dict[str, str | None], *, schema: pa.Schema | None = None, name: str = "r1"
) -> None:
    """Publish one file with the row of id 9."""

    def fill(folder: Storage, session: str) -> list[WrittenFile]:
        file = f"{name}-{session}.parquet"
        folder.files.create_dir(folder.root)
        pq.write_table(pa.table({"id": pa.array([9], pa.int64())}), folder.at(file))
        size = folder.files.get_file_info(folder.at(file)).size
        return [WrittenFile(path=file, rows=1, size=size, values=values, statistics={})]

    publish(write, fill, name=name, schema=schema)


def last_commit(table: Path) -> dict[str, Any]:
    return dict(DeltaTable(table).history(1)[0])


def ids(table: Path) -> list[int]:
    return sorted(DeltaTable(table).to_pyarrow_table()["id"].to_pylist())


DAYS = [date(2024, 1, 1), date(2024, 1, 2), None, None]
PRICES = [Decimal("1.50"), Decimal("2.00"), None, None]


@pytest.mark.parametrize(
    ("kind", "arrow", "values", "asked", "left", "mode"),
    [
        ("string", pa.string(), ["a", "b", "a b=%", None], ("a", "a b=%"), [2, 4], "Overwrite"),
        ("string", pa.string(), ["a", "b", "null", None], (None,), [1, 2, 3], "Overwrite"),
        ("int", pa.int32(), [1, 2, 12, None], (1, 2), [3, 4], "Overwrite"),
        ("boolean", pa.bool_(), [True, False, True, None], (True,), [2, 4], "Overwrite"),
        ("date", pa.date32(), DAYS, (DAYS[0],), [2, 3, 4], "Overwrite"),
        # deltalake cannot ask for null beside values, and spells a decimal in another way than we do: such files are
        # taken out one by one, which its history calls an append.
        ("string", pa.string(), ["a", "b", "c", None], ("a", None), [2, 3], "Append"),
        ("decimal(4,2)", pa.decimal128(4, 2), PRICES, (1.5,), [2, 3, 4], "Append"),
    ],
)
def test_replaced_partitions_are_an_overwrite_of_just_these(
    kind: str, arrow: pa.DataType, values: list[Any], asked: tuple[Any, ...], left: list[int], mode: str, tmp_path: Path
) -> None:
    table = tmp_path / "t"
    write_deltalake(table, pa.table({**OLD, "part": pa.array(values, arrow)}), partition_by=["part"])
    scope, problems = partition_scope({"part": asked}, {"part": kind})
    assert problems == []
    schema = pa.schema([named_field("id", "bigint"), named_field("part", kind)])
    write = plan(table, "overwrite_partitions", scope=scope, partition_types=(kind,))
    text = scope.columns[0].literals[0].text
    publish_one(write, {"part": "1.50" if text == "1.5" else text}, schema=schema)
    assert ids(table) == sorted([*left, 9])
    commit = last_commit(table)
    assert commit["operation"] == "WRITE"
    assert commit["operationParameters"]["mode"] == mode
    assert commit["operationParameters"]["predicate"] == scope.sql


def test_an_overwrite_is_one_and_leaves_columns_and_comments_as_they_are(tmp_path: Path) -> None:
    table = tmp_path / "t"
    fields = [
        Field("part", PrimitiveType("string")),
        Field("id", PrimitiveType("long"), metadata={"comment": "the row's number"}),
    ]
    DeltaTable.create(table, Schema(fields), partition_by=["part"])
    write_deltalake(table, pa.table({"part": ["a", "b"], "id": [1, 2]}), mode="append")
    before = DeltaTable(table)
    schema = schema_from_json(json.loads(before.schema().to_json())["fields"])
    publish_one(plan(table, "overwrite"), {"part": "c"}, schema=schema)
    after = DeltaTable(table)
    assert after.to_pyarrow_table().to_pylist() == [{"part": "c", "id": 9}]
    assert (after.schema(), after.metadata().id) == (before.schema(), before.metadata().id)
    commit = last_commit(table)
    assert (commit["operation"], commit["operationParameters"]["mode"]) == ("WRITE", "Overwrite")
    publish_one(plan(table, "append"), {"part": "c"}, schema=schema, name="r2")
    assert last_commit(table)["operationParameters"]["mode"] == "Append"
    assert ids(table) == [9, 9]


def test_version_0_of_a_new_table_names_its_own_place_and_not_where_it_was_staged(tmp_path: Path) -> None:
    table = tmp_path / "a table"
    schema = pa.schema([("id", pa.int64())])
    publish_one(plan(table, "append", exists=False, partition_by=(), partition_types=()), {}, schema=schema)
    commit = last_commit(table)
    assert commit["operationParameters"]["location"] == f"{table.as_uri()}/"
    assert "spark_infer-" not in (table / "_delta_log" / f"{0:020}.json").read_text()
    assert (commit["version"], json.loads(commit["userMetadata"]), ids(table)) == (0, {"run_id": "r1"}, [9])
