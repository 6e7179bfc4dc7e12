"""Delta logs of somebody else: what is not of the form that the protocol gives it is refused as damage, or unknown."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import write_deltalake

from spark_infer.errors import SourceError
from spark_infer.tables.delta.actions import TooLargeError, UnreadableLogError
from spark_infer.tables.delta.log import LogState, list_log, replay_log
from spark_infer.tables.delta.table_snapshot import snapshot
from spark_infer.tables.local_tables import LocalTables
from spark_infer.tables.location import TableLocation
from spark_infer.tables.schema import schema_of
from spark_infer.tables.storage import open_storage

Change = Callable[[list[dict[str, Any]]], Any]
DEEP = "[" * 200_000
X = {"name": "x", "type": "double", "nullable": True, "metadata": {}}


def commit_of(folder: Path) -> Path:
    return folder / "_delta_log" / f"{0:020}.json"


def changed(folder: Path, change: Change) -> None:
    """Write a table whose one commit was changed."""
    write_deltalake(folder, pa.table({"id": range(10), "x": np.arange(10.0)}))
    actions = [json.loads(line) for line in commit_of(folder).read_text().splitlines()]
    change(actions)
    lines = (each if isinstance(each, str) else json.dumps(each) for each in actions)
    commit_of(folder).write_text("\n".join(lines))


def of(kind: str, **values: Any) -> Change:
    def change(actions: list[dict[str, Any]]) -> None:
        (action,) = (each[kind] for each in actions if kind in each)
        action.update(values)

    return change


def line(text: str) -> Change:
    return lambda actions: actions.append(text)  # type: ignore[arg-type]  # as it stands in the file


def schema(*fields: Any) -> Change:
    return of("metaData", schemaString=json.dumps({"type": "struct", "fields": fields}))


def arrays(levels: int) -> Any:
    kind: Any = "double"
    for _ in range(levels):
        kind = {"type": "array", "containsNull": True, "elementType": kind}
    return kind


def replayed(folder: Path) -> LogState:
    storage = open_storage(f"file://{folder}")
    assert storage is not None
    listing = list_log(storage)
    assert listing is not None
    return replay_log(storage, listing, 0)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (line('{"foo":' + DEEP), "nested more than 150 levels"),
        (line('{"foo":' + "[" * 200 + "]" * 200 + "}"), "nested more than 150 levels"),
        (line("[1, 2]"), "an entry is not an object"),
        (line("null"), "an entry is not an object"),
        (line('{"foo": 1' + "0" * 5000 + "}"), "an action of it"),
        (line('{"commitInfo": "x"}'), "commitInfo is not an object"),
        (line('{"txn": {"appId": "a", "version": "1"}}'), "version of txn"),
        (line('{"remove": {"path": 5}}'), "path of remove"),
        *((of("add", size=size), "size of add") for size in ("12", None, -12, 10**30, 1.5, True)),
        *((of("add", path=path), "path of add") for path in (5, None, ["a"])),
        (of("add", path="\ud800.parquet"), "an action of it"),
        *((of("add", stats=stats), "stats of add") for stats in ({"numRecords": 10}, 5)),
        *((of("add", partitionValues=values), "partitionValues of add") for values in ([1], "x", {"a": 1})),
        (of("add", deletionVector="x"), "deletionVector of add"),
        (
            of("add", deletionVector={"storageType": "u", "pathOrInlineDv": "x", "sizeInBytes": 1e9, "cardinality": 3}),
            "deletionVector of add",
        ),
        (
            of(
                "add", deletionVector={"storageType": "i", "pathOrInlineDv": "", "sizeInBytes": 2**31, "cardinality": 3}
            ),
            "deletionVector of add",
        ),
        (of("metaData", configuration=["delta.appendOnly"]), "configuration of metaData"),
        (of("metaData", configuration={"delta.appendOnly": True}), "configuration of metaData"),
        (of("metaData", partitionColumns="id"), "partitionColumns of metaData"),
        (of("metaData", id={"a": 1}), "id of metaData"),
        (of("protocol", minReaderVersion="3"), "minReaderVersion of protocol"),
        (of("protocol", readerFeatures=[5]), "readerFeatures of protocol"),
        (of("protocol", writerFeatures="deletionVectors"), "writerFeatures of protocol"),
        (of("metaData", schemaString='{"type":"struct","fields":' + DEEP), "nested more than 150 levels"),
        (of("metaData", schemaString="[]"), "not a struct"),
        (schema({**X, "type": arrays(900)}), "nested more than 150 levels"),
        (schema({**X, "metadata": {"a": [[[{}]] * 99] * 2, "b": arrays(200)}}), "nested more than 150 levels"),
        (schema({**X, "type": "decimal(99999999999999999999999,5)"}), "decimal"),
        (schema({**X, "type": "decimal(39,5)"}), "decimal"),
        (schema({**X, "type": "varchar(99999999999999999999999)"}), "impossible length"),
        (schema({**X, "type": 5}), "a type that is not"),
        (schema({**X, "type": {"type": "array", "elementType": 5, "containsNull": True}}), "a type that is not"),
        (schema({"type": "double"}), "a column without"),
        (schema({**X, "name": 5}), "a column without"),
        (schema({**X, "name": "\ud800"}), "an action of it"),
        (schema({**X, "metadata": "z"}), "a column without"),
        (schema({**X, "metadata": None}), "a column without"),
        (schema({**X, "nullable": "yes"}), "a column without"),
        (schema("x"), "a column without"),
    ],
)
def test_what_the_protocol_does_not_allow_is_damage(tmp_path: Path, change: Change, why: str) -> None:
    changed(tmp_path, change)
    with pytest.raises(SourceError, match=rf"The log of .* is damaged: .*{why}") as refused:
        snapshot(LocalTables(), TableLocation("delta", f"file://{tmp_path}"), None)
    assert refused.value.exit_code == 2


@pytest.mark.parametrize(
    "fields",
    [
        [{"name": "x", "type": "double", "nullable": True}],
        [{**X, "type": arrays(140)}],
        [{**X, "type": "decimal(38, 10)"}, {**X, "name": "y", "type": "decimal"}],
        [{**X, "name": f"x{number}"} for number in range(2000)],
        [{**X, "type": {"type": "map", "keyType": "string", "valueType": arrays(1), "valueContainsNull": False}}],
        [{**X, "name": "\N{GRINNING FACE}"}],
    ],
)
def test_schemas_that_the_protocol_allows_are_read(tmp_path: Path, fields: list[Any]) -> None:
    changed(tmp_path, schema(*fields))
    found = snapshot(LocalTables(), TableLocation("delta", f"file://{tmp_path}"), None)
    assert schema_of(found).names == [each["name"] for each in fields]


@pytest.mark.parametrize(
    "stats",
    [
        DEEP,
        '{"numRecords":10,"x":' + "[" * 500 + "]" * 500 + "}",
        *(
            '{"numRecords":' + rows + "}"
            for rows in ('"10"', "true", "-5", "10.0", "null", "1" + "0" * 400, "1" + "0" * 5000)
        ),
        '{"numRecords":10,"minValues":{"x":"\\ud800"}}',
    ],
)
def test_statistics_that_are_not_plain_count_as_unknown(tmp_path: Path, stats: str) -> None:
    changed(tmp_path, of("add", stats=stats))
    (file,) = replayed(tmp_path).files
    assert (file.rows, file.statistics) == (None, "")


def test_more_deleted_rows_than_rows_are_not_believed(tmp_path: Path) -> None:
    vector = {"storageType": "i", "pathOrInlineDv": "", "sizeInBytes": 40, "cardinality": 11}
    changed(tmp_path, of("add", deletionVector=vector))
    assert [file.rows for file in replayed(tmp_path).files] == [None]


def repeated(text: str, rows: int) -> pa.Table:
    """The `add` entries of a checkpoint in which one text stands once in the file and in each entry."""
    stats = pa.DictionaryArray.from_arrays(pa.array(np.zeros(rows, np.int32)), pa.array([text]))
    paths = pa.array([f"{number}.parquet" for number in range(rows)])
    return pa.table(
        {"add": pa.StructArray.from_arrays([paths, pa.array([9] * rows), stats], ["path", "size", "stats"])}
    )


def test_a_small_checkpoint_that_is_large_in_memory_is_refused_before_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    changed(tmp_path, lambda actions: None)
    file = tmp_path / "_delta_log" / f"{0:020}.checkpoint.parquet"
    pq.write_table(repeated("x" * 2_000_000, 600), file, store_schema=False, write_statistics=False)
    assert file.stat().st_size < 200_000
    monkeypatch.setattr("spark_infer.tables.delta.actions.MOST_DECODED_BYTES", 64 * 2**20)
    before = pa.total_allocated_bytes()
    tracemalloc.start()
    try:
        with pytest.raises(TooLargeError, match="its checkpoint takes more than 512 MiB once it is decoded"):
            replayed(tmp_path)
        assert tracemalloc.get_traced_memory()[1] < 160 * 2**20
    finally:
        tracemalloc.stop()
    assert pa.total_allocated_bytes() - before < 100 * 2**20
    with pytest.raises(SourceError, match="once it is decoded"):
        snapshot(LocalTables(), TableLocation("delta", f"file://{tmp_path}"), None)


def test_a_checkpoint_whose_values_share_their_bytes_is_not_read_here(tmp_path: Path) -> None:
    changed(tmp_path, lambda actions: None)
    # pyarrow reads the texts as a dictionary, as they were written: the bytes of its arrays say nothing.
    pq.write_table(repeated("x", 3), tmp_path / "_delta_log" / f"{0:020}.checkpoint.parquet")
    with pytest.raises(UnreadableLogError, match="not those of Delta") as refused:
        replayed(tmp_path)
    assert refused.value.for_spark


def test_a_checkpoint_with_pages_that_are_too_large_is_refused_by_its_footer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    changed(tmp_path, lambda actions: None)
    file = tmp_path / "_delta_log" / f"{0:020}.checkpoint.parquet"
    pq.write_table(repeated("x" * 100_000, 3), file, store_schema=False, write_statistics=False)
    data = file.read_bytes()
    footer = 8 + int.from_bytes(data[-8:-4], "little")
    file.write_bytes(data[:4] + bytes(len(data) - 4 - footer) + data[-footer:])  # pages that nobody can read
    monkeypatch.setattr("spark_infer.tables.delta.actions.MOST_DECODED_BYTES", 100_000)
    with pytest.raises(TooLargeError, match="once it is decoded"):
        replayed(tmp_path)


def test_a_checkpoint_with_a_text_that_is_larger_than_all_may_be_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    changed(tmp_path, lambda actions: None)
    file = tmp_path / "_delta_log" / f"{0:020}.checkpoint.parquet"
    pq.write_table(repeated("x" * 2_000_000, 3), file, store_schema=False, write_statistics=False)
    monkeypatch.setattr("spark_infer.tables.scan.batch_rows._LARGEST", 0)
    with pytest.raises(TooLargeError, match="once it is decoded"):
        replayed(tmp_path)


def test_the_size_of_a_sidecar_is_that_of_its_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    changed(tmp_path, lambda actions: None)
    log = tmp_path / "_delta_log"
    (log / "_sidecars").mkdir()
    pq.write_table(repeated("x", 20_000), log / "_sidecars" / "a.parquet", store_schema=False)
    head = {"sidecar": {"path": "a.parquet", "sizeInBytes": 1, "modificationTime": 0}}
    name = "00000000-0000-0000-0000-000000000000"
    (log / f"{0:020}.checkpoint.{name}.json").write_text(json.dumps(head))
    monkeypatch.setattr("spark_infer.tables.delta.actions.MOST_LOG_BYTES", 20_000)
    with pytest.raises(TooLargeError):
        replayed(tmp_path)
