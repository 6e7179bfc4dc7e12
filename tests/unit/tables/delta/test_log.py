"""Delta's log as read here, against the library deltalake, which writes and reads it independently."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import UUID

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable, write_deltalake

from spark_infer.tables.delta.actions import UnreadableLogError
from spark_infer.tables.delta.eligibility import delta_doubts
from spark_infer.tables.delta.log import LogState, list_log, read_log, replay_log
from spark_infer.tables.delta.written_before import taken
from spark_infer.tables.storage import Storage, open_storage


def rows(*months: int | None) -> pa.Table:
    return pa.table({"id": pa.array(range(len(months)), pa.int64()), "month": pa.array(months, pa.int32())})


def opened(path: Path) -> Storage:
    found = open_storage(f"file://{path}")
    assert found is not None
    return found


def state(path: Path, version: int) -> LogState | None:
    listing = list_log(opened(path))
    assert listing is not None
    return read_log(opened(path), listing, version)


@pytest.mark.parametrize("checkpoint", [False, True])
def test_every_version_holds_what_deltalake_says(tmp_path: Path, checkpoint: bool) -> None:
    write_deltalake(tmp_path, rows(10, 11, None), partition_by=["month"])
    write_deltalake(tmp_path, rows(10, 12), mode="append")
    if checkpoint:
        DeltaTable(tmp_path).create_checkpoint()
    DeltaTable(tmp_path).delete("month = 10")
    write_deltalake(tmp_path, rows(13), mode="overwrite")
    for version in range(4):
        found = state(tmp_path, version)
        theirs = DeltaTable(tmp_path, version=version)
        adds = pa.table(theirs.get_add_actions(flatten=True))
        assert found is not None
        assert (found.partition_columns, found.partition_types) == (("month",), ("int",))
        assert sum(file.rows or 0 for file in found.files) == theirs.to_pyarrow_table().num_rows
        assert sorted(file.size for file in found.files) == sorted(adds["size_bytes"].to_pylist())
    first = state(tmp_path, 0)
    assert first is not None
    assert {(file.values["month"], file.rows) for file in first.files} == {("10", 1), ("11", 1), (None, 1)}


def test_versions_before_a_checkpoint_are_gone_when_their_commits_are(tmp_path: Path) -> None:
    for _ in range(3):
        write_deltalake(tmp_path, rows(1), mode="append")
    DeltaTable(tmp_path).create_checkpoint()
    write_deltalake(tmp_path, rows(1), mode="append")
    for version in (0, 1):
        (tmp_path / "_delta_log" / f"{version:020}.json").unlink()
    listing = list_log(opened(tmp_path))
    assert listing is not None
    assert (listing.oldest, listing.newest) == (2, 3)
    assert state(tmp_path, 1) is None
    newest = state(tmp_path, 3)
    assert newest is not None
    assert len(newest.files) == 4


def test_what_is_not_certain_is_not_answered(tmp_path: Path) -> None:
    write_deltalake(tmp_path, rows(1))
    commit = tmp_path / "_delta_log" / f"{0:020}.json"
    plain = commit.read_text()
    for damage in ("{not json", plain.replace('"schemaString"', '"x"'), plain.replace('"protocol"', '"x"')):
        commit.write_text(damage)
        assert state(tmp_path, 0) is None
    commit.write_text('{"protocol":{"writerFeatures":["catalogManaged"]}}\n' + plain)
    assert state(tmp_path, 0) is None
    commit.write_text(plain)
    assert state(tmp_path, 0) is not None
    assert state(tmp_path, 1) is None


def test_a_folder_without_commits_is_no_delta_table(tmp_path: Path) -> None:
    (tmp_path / "_delta_log").mkdir()
    assert list_log(opened(tmp_path)) is None


def damaged(path: Path, version: int, change: Callable[[str], str]) -> None:
    commit = path / "_delta_log" / f"{version:020}.json"
    commit.write_text(change(commit.read_text()))


def test_a_file_that_is_added_in_two_spellings_is_one_file(tmp_path: Path) -> None:
    write_deltalake(tmp_path, rows(1))
    (line,) = [line for line in (tmp_path / "_delta_log" / f"{0:020}.json").read_text().splitlines() if '"add"' in line]
    name = json.loads(line)["add"]["path"]
    # Delta compares paths without `.` and `..`, and a file that is added again replaces its first entry.
    for spelling in (f"./{name}", f"x/../{name}", f".//{name}"):
        again = line.replace(name, spelling)
        damaged(tmp_path, 0, lambda text, again=again: f"{text.strip()}\n{again}\n")  # type: ignore[misc]
    found = state(tmp_path, 0)
    assert found is not None
    assert [file.path for file in found.files] == [name]
    assert delta_doubts(found) == ()
    # Two entries that differ in their escapes alone are two files for Delta: then Spark reads.
    damaged(tmp_path, 0, lambda text: f"{text.strip()}\n{line.replace(name, '%70' + name[1:])}\n")
    found = state(tmp_path, 0)
    assert found is not None
    assert delta_doubts(found) == ("its log has a file more than once",)


@pytest.mark.parametrize(
    "path",
    [
        *("../other/x.parquet", "a/../../other/x.parquet", "%2e%2e/other/x.parquet", "a/%2E%2E/%2e%2e/x.parquet"),
        *("..", "", "/other/x.parquet", "//other/x.parquet", "%2Fother/x.parquet", "a%00/x.parquet"),
        *("file:///other/x.parquet", "file:/other/x.parquet", "s3://bucket/x.parquet", "file%3A///other/x.parquet"),
    ],
)
def test_a_file_that_lies_outside_the_folder_is_not_for_workers(tmp_path: Path, path: str) -> None:
    write_deltalake(tmp_path, rows(1))
    (line,) = [line for line in (tmp_path / "_delta_log" / f"{0:020}.json").read_text().splitlines() if '"add"' in line]
    added = json.loads(line)
    added["add"]["path"] = path
    damaged(tmp_path, 0, lambda text: f"{text.strip()}\n{json.dumps(added)}\n")
    found = state(tmp_path, 0)
    assert found is not None
    assert delta_doubts(found) == ("some of its files lie outside its folder",)


def test_characters_that_python_takes_for_an_end_of_line_end_no_action(tmp_path: Path) -> None:
    text = pa.table({"id": pa.array([1], pa.int64()), "part": ["a\u2028b\x85c"]})
    write_deltalake(tmp_path, text, partition_by=["part"])
    found = state(tmp_path, 0)
    assert found is not None
    assert [file.values for file in found.files] == [{"part": "a\u2028b\x85c"}]


@pytest.mark.parametrize("form", ["json", "parquet", "classic name"])
def test_a_checkpoint_of_version_2_is_read_with_its_sidecars(tmp_path: Path, form: str) -> None:
    for month in (1, 2, 3):
        write_deltalake(tmp_path, rows(month), mode="append", partition_by=["month"])
    expected = state(tmp_path, 2)
    log = tmp_path / "_delta_log"
    actions = [json.loads(line) for at in range(3) for line in (log / f"{at:020}.json").read_text().splitlines()]
    adds = [each for each in actions if "add" in each]
    (log / "_sidecars").mkdir()
    sidecars = []
    for number, part in enumerate((adds[:2], adds[2:])):
        name = f"{UUID(int=number)}.parquet"
        pq.write_table(pa.table({"add": pa.array([each["add"] for each in part], type=ADD)}), log / "_sidecars" / name)
        size = (log / "_sidecars" / name).stat().st_size
        # By its name, or by its whole path.
        path = name if number else f"file://{log}/_sidecars/{name}"
        sidecars.append({"sidecar": {"path": path, "sizeInBytes": size, "modificationTime": 0}})
    top: list[dict[str, Any]] = [
        {"checkpointMetadata": {"version": 2}},
        *sidecars,
        {"txn": {"appId": "app", "version": 5}},
    ]
    top += [each for each in actions if "protocol" in each or "metaData" in each]
    uuid = "" if form == "classic name" else f".{UUID(int=9)}"
    file = log / f"{2:020}.checkpoint{uuid}.{'json' if form == 'json' else 'parquet'}"
    if form == "json":
        file.write_text("\n".join(map(json.dumps, top)))
    else:
        columns = {kind: [each.get(kind) for each in top] for kind in ("txn", "metaData", "protocol", "sidecar")}
        for action in columns["metaData"]:
            if action:
                action.update(configuration=None, format=None)
        pq.write_table(pa.table(columns), file)
    for version in range(3):
        (log / f"{version:020}.json").unlink()
    found = state(tmp_path, 2)
    assert expected is not None
    assert found is not None
    assert found.files == expected.files
    assert found.schema == expected.schema
    assert taken(opened(tmp_path), "app") == 5
    (log / "_sidecars" / f"{UUID(int=0)}.parquet").unlink()
    assert state(tmp_path, 2) is None


ADD = pa.struct(
    [
        ("path", pa.string()),
        ("partitionValues", pa.map_(pa.string(), pa.string())),
        ("size", pa.int64()),
        ("stats", pa.string()),
    ]
)


def edited(table: Path, at: int, kind: str, **changes: Any) -> None:
    """Change the actions of a kind in a commit; a key without a value is left out."""

    def change(text: str) -> str:
        actions = [json.loads(line) for line in text.splitlines()]
        for action in actions:
            if kind in action:
                action[kind] = {key: value for key, value in {**action[kind], **changes}.items() if value is not None}
        return "\n".join(map(json.dumps, actions))

    damaged(table, at, change)


@pytest.mark.parametrize(
    ("damage", "why"),
    [
        (lambda path: (path / "_delta_log" / f"{1:020}.json").unlink(), "lacks the commit of version 1"),
        (lambda path: damaged(path, 1, lambda text: "{not json"), "an action of it"),
        (lambda path: damaged(path, 0, lambda text: text.replace('"protocol"', '"x"')), "no protocol action"),
        (lambda path: damaged(path, 0, lambda text: text.replace('"metaData"', '"x"')), "no metadata action"),
        (lambda path: edited(path, 0, "metaData", schemaString=""), "an action of it"),
        (lambda path: edited(path, 0, "metaData", partitionColumns=["other"]), "an action of it"),
        (lambda path: edited(path, 0, "add", size=None), "an action of it"),
        (lambda path: edited(path, 0, "add", path=None), "an action of it"),
        (lambda path: edited(path, 0, "add", deletionVector={"storageType": "u", "pathOrInlineDv": "!"}), "an action"),
    ],
)
def test_a_log_that_cannot_be_read_gives_the_reason(tmp_path: Path, damage: Callable[[Path], None], why: str) -> None:
    for _ in range(3):
        write_deltalake(tmp_path, rows(1), mode="append")
    damage(tmp_path)
    storage = opened(tmp_path)
    listing = list_log(storage)
    assert listing is not None
    with pytest.raises(UnreadableLogError, match=why) as refused:
        replay_log(storage, listing, 2)
    assert not refused.value.for_spark
    assert read_log(storage, listing, 2) is None


def test_a_log_that_only_spark_reads_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_deltalake(tmp_path, rows(1))
    storage, listing = opened(tmp_path), list_log(opened(tmp_path))
    assert listing is not None
    with monkeypatch.context() as small:
        small.setattr("spark_infer.tables.delta.log.MOST_LOG_BYTES", 0)
        with pytest.raises(UnreadableLogError, match="more than 64 MiB") as refused:
            replay_log(storage, listing, 0)
        assert refused.value.for_spark
    edited(tmp_path, 0, "protocol", writerFeatures=["catalogManaged"])
    with pytest.raises(UnreadableLogError, match="a catalog keeps") as refused:
        replay_log(storage, listing, 0)
    assert refused.value.for_spark


@pytest.mark.parametrize("stats", ["{nope", "[1]", '{"numRecords": 1, "maxValues": [1]}', '{"numRecords": "x"}', "7"])
def test_statistics_of_another_form_than_the_protocol_gives_them_count_as_none(tmp_path: Path, stats: str) -> None:
    write_deltalake(tmp_path, rows(1))
    edited(tmp_path, 0, "add", stats=stats)
    found = state(tmp_path, 0)
    assert found is not None
    assert [(file.rows, file.statistics) for file in found.files] == [(None, "")]


def test_a_checkpoint_in_parts_counts_when_all_of_them_are_there(tmp_path: Path) -> None:
    for month in (1, 2):
        write_deltalake(tmp_path, rows(month), mode="append", partition_by=["month"])
    expected = state(tmp_path, 1)
    DeltaTable(tmp_path).create_checkpoint()
    log = tmp_path / "_delta_log"
    (whole,) = log.glob("*.checkpoint.parquet")
    actions = pq.read_table(whole)
    whole.unlink()
    parts = [log / f"{1:020}.checkpoint.{part:010}.{2:010}.parquet" for part in (1, 2)]
    for part, start in zip(parts, (0, 2), strict=True):
        pq.write_table(actions.slice(start, 2 if start == 0 else None), part)
    for version in range(2):
        (log / f"{version:020}.json").rename(tmp_path / f"{version}.json")
    found = state(tmp_path, 1)
    assert found is not None
    assert expected is not None
    assert sorted(file.path for file in found.files) == sorted(file.path for file in expected.files)
    parts[0].unlink()
    assert list_log(opened(tmp_path)) is None


def test_a_damaged_checkpoint_is_for_spark_to_pass_over_where_the_commits_suffice(tmp_path: Path) -> None:
    for _ in range(2):
        write_deltalake(tmp_path, rows(1), mode="append")
    DeltaTable(tmp_path).create_checkpoint()
    (checkpoint,) = (tmp_path / "_delta_log").glob("*.checkpoint.parquet")
    checkpoint.write_bytes(b"PAR1xxxxPAR1")
    storage = opened(tmp_path)
    for suffice in (True, False):
        listing = list_log(storage)
        assert listing is not None
        with pytest.raises(UnreadableLogError, match="cannot be read") as refused:
            replay_log(storage, listing, 1)
        assert refused.value.for_spark is suffice
        (tmp_path / "_delta_log" / f"{0:020}.json").unlink(missing_ok=True)
