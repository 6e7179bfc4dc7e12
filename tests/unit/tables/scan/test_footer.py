"""Footers: what is read of them, and which files are Spark's alone, before any column is touched."""

from __future__ import annotations

import base64
from collections.abc import Callable
from datetime import date, datetime, timezone
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pyarrow.parquet.encryption as pe
import pytest

from spark_infer.errors import SourceError, SourceReadError, SparkMustReadError
from spark_infer.tables.listing import Footer
from spark_infer.tables.location import TableLocation
from spark_infer.tables.parquet.footers import read_footers
from spark_infer.tables.parquet.table_snapshot import snapshot
from spark_infer.tables.scan.read import read_task
from spark_infer.tables.scan.read_eligibility import footer_doubts
from spark_infer.tables.scan.task import Piece, Scan, ScanTask
from spark_infer.tables.schema import schema_of
from spark_infer.tables.storage import Storage, open_storage
from tests import footers
from tests.footers import Struct

ROWS = pa.table({"id": [1, 2, 3], "secret": ["a", "b", "c"]})


def opened(folder: Path) -> Storage:
    found = open_storage(f"file://{folder}")
    assert found is not None
    return found


def footer_of(path: Path) -> Footer:
    (footer,) = read_footers(opened(path.parent), [path.name])
    return footer


class Keys(pe.KmsClient):  # type: ignore[misc]  # pyarrow has no types
    """Wraps no key; only for tests."""

    def __init__(self) -> None:
        super().__init__()

    def wrap_key(self, key_bytes: bytes, master_key_identifier: str) -> str:
        return base64.b64encode(key_bytes).decode()

    def unwrap_key(self, wrapped_key: str, master_key_identifier: str) -> bytes:
        return base64.b64decode(wrapped_key)


def write_encrypted(path: Path, *, plaintext_footer: bool) -> None:
    how = pe.EncryptionConfiguration(
        footer_key="footer", column_keys={"column": ["secret"]}, plaintext_footer=plaintext_footer
    )
    factory = pe.CryptoFactory(lambda _: Keys())
    properties = factory.file_encryption_properties(pe.KmsConnectionConfig(), how)
    with pq.ParquetWriter(path, ROWS.schema, encryption_properties=properties) as writer:
        writer.write_table(ROWS)


@pytest.mark.parametrize(
    ("plaintext_footer", "why", "rows"), [(True, "columns of files are", 3), (False, "the footers of files are", None)]
)
def test_files_with_encrypted_parts_are_sparks_before_any_column_is_touched(
    tmp_path: Path, plaintext_footer: bool, why: str, rows: int | None
) -> None:
    write_encrypted(tmp_path / "f.parquet", plaintext_footer=plaintext_footer)
    location = TableLocation("parquet", f"file://{tmp_path}")
    found = snapshot(opened(tmp_path), location)
    assert found.rows == rows
    scan = Scan(uri=f"file://{tmp_path}", schema=ROWS.schema.remove(1))
    assert found.listing is not None
    assert footer_doubts(found.listing.footers.values(), scan) == (f"{why} encrypted",)
    task = ScanTask(0, (Piece("f.parquet", (tmp_path / "f.parquet").stat().st_size),))
    with pytest.raises(SparkMustReadError, match="encrypted"):
        list(read_task(task, scan))


def test_columns_of_an_encrypted_footer_are_not_known_here(tmp_path: Path) -> None:
    write_encrypted(tmp_path / "f.parquet", plaintext_footer=False)
    with pytest.raises(SourceError, match="the footers of files are encrypted") as refused:
        schema_of(snapshot(opened(tmp_path), TableLocation("parquet", f"file://{tmp_path}")))
    assert "damaged" not in str(refused.value)


def test_rows_are_counted_for_each_row_group(tmp_path: Path) -> None:
    path = tmp_path / "f.parquet"
    pq.write_table(ROWS.append_column("list", pa.array([[], [1, 2], None])), path, row_group_size=2)
    assert (footer_of(path).rows, footer_of(path).group_rows) == (3, (2, 1))
    pq.write_table(pa.table({"list": [[], [1, 2], None]}), path)
    assert footer_of(path).rows == 3
    pq.write_table(ROWS.slice(0, 0), path)
    assert footer_of(path).rows == 0


PAIR = pa.list_(pa.float32(), 2)
PAIRS = pa.array([[1.0, 2.0], None, [3.0, None]], PAIR)


@pytest.mark.parametrize(
    "values",
    [
        PAIRS,
        pa.ExtensionArray.from_storage(pa.fixed_shape_tensor(pa.float32(), [2]), PAIRS),
        pa.array([[[1.0, 2.0], None], None, []], pa.list_(PAIR)),
        pa.array([{"a": [1.0, 2.0]}, {"a": None}, None], pa.struct([("a", PAIR)])),
        pa.array([[("k", [1.0, 2.0])], [("k", None)], None], pa.map_(pa.string(), PAIR)),
    ],
    ids=["list", "tensor", "in a list", "in a struct", "in a map"],
)
def test_lists_of_fixed_size_with_nulls_are_read_as_lists(tmp_path: Path, values: pa.Array) -> None:
    path = tmp_path / "f.parquet"
    pq.write_table(ROWS.append_column("value", values), path)
    found = snapshot(opened(tmp_path), TableLocation("parquet", f"file://{tmp_path}"))
    scan = Scan(uri=f"file://{tmp_path}", schema=schema_of(found))
    (batch,) = read_task(ScanTask(0, (Piece("f.parquet", path.stat().st_size),)), scan)
    assert batch.column("value").to_pylist() == values.to_pylist()
    assert batch.column("secret").to_pylist() == ["a", "b", "c"]
    assert "fixed_size_list" not in str(batch.schema)


def test_values_and_names_that_are_the_key_of_arrows_schema_stay(tmp_path: Path) -> None:
    path, key = tmp_path / "f.parquet", "ARROW:schema"
    pq.write_table(pa.table({"value": PAIRS, key: [key] * 3}), path)
    found = snapshot(opened(tmp_path), TableLocation("parquet", f"file://{tmp_path}"))
    scan = Scan(uri=f"file://{tmp_path}", schema=schema_of(found))
    (batch,) = read_task(ScanTask(0, (Piece("f.parquet", path.stat().st_size),)), scan)
    assert batch.to_pydict() == {"value": PAIRS.to_pylist(), key: [key] * 3}


def _group(footer: Struct, number: int) -> Struct:
    group: Struct = footer[4][1][1][number]
    return group


@pytest.mark.parametrize("count", [1, 1000, 10**15, -1])
@pytest.mark.parametrize(
    ("where", "why"),
    [
        (lambda footer, count: footer.update({3: count}), "and its row groups 3"),
        (lambda footer, count: _group(footer, 0).update({3: count}), "and its row groups"),
        (lambda footer, count: (footer.update({3: count}), _group(footer, 1).update({3: count})), "rows"),
        (
            lambda footer, count: (
                footer.update({3: (footers.I64, count[1] + 1)}),
                _group(footer, 0).update({3: count}),
            ),
            "values in a column of it|row groups",
        ),
        (lambda footer, count: footers.chunks(footer)[0].update({5: count}), "values in a column of it"),
    ],
)
def test_a_footer_that_contradicts_itself_about_its_rows_is_refused(
    tmp_path: Path, where: Callable[[Struct, Any], Any], why: str, count: int
) -> None:
    path = tmp_path / "f.parquet"
    pq.write_table(ROWS, path, row_group_size=2)
    footers.change(path, lambda footer: where(footer, (footers.I64, count)) and None)
    with pytest.raises(
        SourceError, match=rf"f\.parquet is not a readable Parquet file(.|\n)*its footer counts .*{why}"
    ):
        footer_of(path)
    task = ScanTask(0, (Piece("f.parquet", path.stat().st_size),))
    with pytest.raises(SourceReadError, match="its footer counts"):
        list(read_task(task, Scan(uri=f"file://{tmp_path}", schema=ROWS.schema)))


def test_a_row_group_of_fewer_than_no_rows_is_refused_although_all_counts_agree(tmp_path: Path) -> None:
    path = tmp_path / "f.parquet"
    pq.write_table(ROWS, path, row_group_size=2)

    def claim_less_than_none(footer: Struct) -> None:
        footer[3], _group(footer, 1)[3] = (footers.I64, 1), (footers.I64, -1)
        chunks = footers.chunks(footer)
        for chunk in chunks[len(chunks) // 2 :]:
            chunk[5] = (footers.I64, -1)

    footers.change(path, claim_less_than_none)
    with pytest.raises(SourceError, match="its footer counts 1 rows, and its row groups 1"):
        footer_of(path)


def test_rows_that_only_a_consistent_footer_claims_are_missed_when_the_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "f.parquet"
    pq.write_table(ROWS, path)

    def claim_more(footer: Struct) -> None:
        footer[3] = _group(footer, 0)[3] = (footers.I64, 1000)
        for chunk in footers.chunks(footer):
            chunk[5] = (footers.I64, 1000)

    footers.change(path, claim_more)
    task = ScanTask(0, (Piece("f.parquet", path.stat().st_size),))
    with pytest.raises(SourceReadError, match="its footer counts 1,000 rows, and 3 are there"):
        list(read_task(task, Scan(uri=f"file://{tmp_path}", schema=ROWS.schema)))


def test_a_footer_that_pyarrow_cannot_take_is_sparks(tmp_path: Path) -> None:
    path = tmp_path / "f.parquet"
    pq.write_table(ROWS, path)

    def of_half_a_list(footer: Struct) -> None:
        # A list whose repeated part says that it is optional; pyarrow knows no such list.
        footers.annotate(footers.elements(footer)[1], None, converted=3)

    footers.change(path, of_half_a_list)
    found = footer_of(path)
    assert "pyarrow" in found.doubt
    assert [node.name for node in found.nodes] == ["id", "secret"]


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: b"",
        lambda data: b"PAR1",
        lambda data: data[:-4] + b"ORC1",
        lambda data: data[:-8] + (2**31).to_bytes(4, "little") + b"PAR1",
        lambda data: data[:-40] + b"\xff" * 32 + data[-8:],
        lambda data: b"\xff" * (len(data) - 8) + data[-8:],
    ],
)
def test_a_file_that_is_not_parquet_is_named(tmp_path: Path, damage: Any) -> None:
    path = tmp_path / "f.parquet"
    pq.write_table(ROWS, path)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(SourceError, match=r"f\.parquet is not a readable Parquet file"):
        footer_of(path)


def test_a_type_that_does_not_fit_is_found_while_planning_where_it_is_wanted(tmp_path: Path) -> None:
    pq.write_table(pa.table({"id": [1], "c": ["x"]}), tmp_path / "a.parquet")
    pq.write_table(pa.table({"id": [1], "c": [1]}), tmp_path / "b.parquet")
    found = read_footers(opened(tmp_path), ["a.parquet", "b.parquet"])
    wanted = pa.schema([("id", pa.int64()), ("c", pa.string())])
    assert footer_doubts(found, Scan(uri="", schema=wanted)) == (
        "column 'c' is int64 in a file and string in the table",
    )
    assert footer_doubts(found, Scan(uri="", schema=wanted.remove(1))) == ()


NEW = {"day": date(1582, 10, 15), "moment": datetime(1900, 1, 1, tzinfo=timezone.utc)}
OLD = {"day": date(1582, 10, 14), "moment": datetime(1899, 12, 31, tzinfo=timezone.utc)}


def old_calendar(path: Path, rows: dict[str, Any], metadata: dict[str, str], **how: Any) -> Footer:
    table = pa.table({name: [value, None] for name, value in rows.items()} | {"id": [1, 2]})
    table = table.cast(pa.schema([("day", pa.date32()), ("moment", pa.timestamp("us", "UTC")), ("id", pa.int64())]))
    pq.write_table(table.replace_schema_metadata(metadata), path, **how)
    return footer_of(path)


LEGACY = {"org.apache.spark.version": "3.4.1", "org.apache.spark.legacyDateTime": ""}


@pytest.mark.parametrize(
    ("rows", "metadata", "how", "doubted"),
    [
        (NEW, LEGACY, {}, set()),
        (NEW, {"org.apache.spark.version": "2.4.8"}, {}, set()),
        (OLD, LEGACY, {}, {"day", "moment"}),
        (OLD, {"org.apache.spark.version": "2.4.8"}, {}, {"day", "moment"}),
        (OLD | {"day": NEW["day"]}, LEGACY, {}, {"moment"}),
        (NEW, LEGACY, {"write_statistics": False}, {"day", "moment"}),
        (OLD, {"org.apache.spark.version": "3.0.0"}, {}, set()),
        (OLD, {"org.apache.spark.version": "odd"}, {}, {"day", "moment"}),
        (OLD, {}, {}, set()),
        (dict.fromkeys(NEW), LEGACY, {}, set()),
    ],
)
def test_the_old_calendar_matters_where_a_value_lies_before_the_new_one(
    tmp_path: Path, rows: dict[str, Any], metadata: dict[str, str], how: dict[str, Any], doubted: set[str]
) -> None:
    found = old_calendar(tmp_path / "f.parquet", rows, metadata, **how)
    assert set(found.doubts) == doubted
    only = Scan(uri="", schema=pa.schema([("id", pa.int64())]))
    assert footer_doubts([found], only) == ()
    wanted = Scan(uri="", schema=pa.schema([("day", pa.date32())]))
    assert bool(footer_doubts([found], wanted)) == ("day" in doubted)


@pytest.mark.parametrize(
    ("metadata", "doubted"),
    [
        ({"org.apache.spark.version": "3.5.0"}, False),
        ({"org.apache.spark.version": "3.0.3"}, True),
        ({"org.apache.spark.version": "3.5.0", "org.apache.spark.legacyINT96": ""}, True),
        ({"org.apache.spark.version": "3.5.0", "org.apache.spark.legacyDateTime": ""}, False),
        ({}, True),
    ],
)
def test_int96_is_read_where_spark_wrote_it_by_the_new_calendar(
    tmp_path: Path, metadata: dict[str, str], doubted: bool
) -> None:
    found = old_calendar(tmp_path / "f.parquet", NEW, metadata, use_deprecated_int96_timestamps=True)
    assert ("moment" in found.doubts) == doubted
    wanted = Scan(uri="", schema=pa.schema([("moment", pa.timestamp("us", "UTC"))]))
    assert bool(footer_doubts([found], wanted)) == doubted


def test_a_value_of_the_old_calendar_matters_inside_a_column_too(tmp_path: Path) -> None:
    pairs = pa.StructArray.from_arrays([pa.array([OLD["day"]], pa.date32()), pa.array([1])], ["day", "n"])
    table = pa.table({"pair": pairs, "id": [1]}).replace_schema_metadata(LEGACY)
    pq.write_table(table, tmp_path / "f.parquet")
    assert set(footer_of(tmp_path / "f.parquet").doubts) == {"pair"}
