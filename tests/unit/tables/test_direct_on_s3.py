"""The direct plane's reading, writing and publishing on a real S3-compatible server, without Spark."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable, write_deltalake

from spark_infer.config.write_modes import MODES
from spark_infer.errors import SourceReadError, TargetError, WriteError
from spark_infer.job.units.drive import Outcome
from spark_infer.tables.delta.log import list_log, read_log
from spark_infer.tables.listing import Listing
from spark_infer.tables.location import TableLocation
from spark_infer.tables.plan import WritePlan
from spark_infer.tables.predicate import partition_scope
from spark_infer.tables.scan.cut import cut
from spark_infer.tables.scan.read import read_task
from spark_infer.tables.scan.task import Scan
from spark_infer.tables.sink.sink import ParquetSink
from spark_infer.tables.sink.sink_spec import SinkSpec, WrittenFile
from spark_infer.tables.storage import Storage, open_storage
from spark_infer.tables.writable import check_writable
from tests.runs import publish
from tests.unit.models.files.objectstore import ObjectStore

SCHEMA = pa.schema([("id", pa.int64()), ("part", pa.string())])
DECLARED = pa.schema([pa.field("id", pa.int64(), nullable=False), ("part", pa.string())])


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """A server in a process of its own: deltalake holds Python's lock while it waits for an answer."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(600):
            with socket.socket() as client:
                if client.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.1)
        yield f"127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait(timeout=30)


@pytest.fixture
def store(address: str, monkeypatch: pytest.MonkeyPatch) -> ObjectStore:
    found = ObjectStore(address)
    found.files.create_dir("bucket")
    for name, value in {**found.environ, "AWS_ALLOW_HTTP": "true"}.items():
        monkeypatch.setenv(name, value)
    return found


def rows(start: int, stop: int) -> pa.Table:
    return pa.table({"id": range(start, stop), "part": ["a b" if i % 2 else None for i in range(start, stop)]}, SCHEMA)


def scan_of(uri: str) -> tuple[Scan, Listing]:
    storage = open_storage(uri)
    assert storage is not None
    log = list_log(storage)
    assert log is not None
    state = read_log(storage, log, log.newest)
    assert state is not None
    return Scan(uri=uri, schema=SCHEMA, partitions={"part": "string"}), Listing(state.files)


def read(uri: str) -> list[tuple[int, str | None]]:
    scan, listing = scan_of(uri)
    batches = [batch for task in cut(listing, 2) for batch in read_task(task, scan)]
    found = pa.Table.from_batches(batches, SCHEMA).to_pydict()
    return sorted(zip(found["id"], found["part"], strict=True))


def plan(uri: str, kind: str, mode: str, **given: Any) -> WritePlan:
    settings = {"exists": True, "scope": None, "how": "", "partition_by": ("part",), "partition_types": ("string",)}
    return WritePlan(location=TableLocation(kind, uri), mode=MODES[mode], **{**settings, **given})


def fill_with(table: pa.Table) -> Any:
    def fill(sink: SinkSpec) -> list[WrittenFile]:
        out = ParquetSink(sink, 0)
        for batch in table.to_batches(max_chunksize=3):
            out.write(batch)
        return out.close()

    return fill


def sink(run_id: str = "r1") -> SinkSpec:
    return SinkSpec(run_id=run_id, schema=SCHEMA, partition_by=("part",))


def hand_over(plan: WritePlan, sink: SinkSpec, fill: Any, *, schema: pa.Schema, facts: dict[str, Any]) -> Outcome:
    def into(folder: Storage, session: str) -> list[WrittenFile]:
        files: list[WrittenFile] = fill(replace(sink, run_id=f"{sink.run_id}-{session}", uri=folder.uri))
        return files

    return publish(plan, into, name=sink.run_id, sink=sink, schema=schema, facts=facts)


def rows_in(outcome: Outcome) -> int:
    return sum(entry.rows for entry in outcome.entries)


def test_a_delta_table_is_made_read_added_to_and_replaced_by_partitions(store: ObjectStore) -> None:
    uri = "s3a://bucket/tables/scored"
    made = hand_over(
        plan(uri, "delta", "append", exists=False), sink(), fill_with(rows(0, 10)), schema=DECLARED, facts={"run": 1}
    )
    assert (made.versions, rows_in(made)) == ([0], 10)
    appends = plan(uri, "delta", "append")
    for _ in range(2):  # the second time there is nothing left to do
        added = hand_over(appends, sink("r2"), fill_with(rows(10, 14)), schema=DECLARED, facts={"run": 2})
        assert rows_in(added) == 4
        assert DeltaTable("s3://bucket/tables/scored").version() == 1
    assert read(uri) == [(i, "a b" if i % 2 else None) for i in range(14)]
    scope, _ = partition_scope({"part": (None,)}, {"part": "string"})
    evens = rows(100, 104).filter(ds.field("part").is_null())
    replaced = plan(uri, "delta", "overwrite_partitions", scope=scope)
    assert hand_over(replaced, sink("r3"), fill_with(evens), schema=DECLARED, facts={"run": 3}).versions == [2]
    assert read(uri) == sorted([(i, "a b") for i in range(1, 14, 2)] + [(100, None), (102, None)])
    theirs = DeltaTable("s3://bucket/tables/scored").to_pyarrow_table()
    assert sorted(theirs["id"].to_pylist()) == [i for i, _ in read(uri)]
    assert [commit["userMetadata"] for commit in DeltaTable("s3://bucket/tables/scored").history(1)] == [
        '{"run_id":"r3","run":3}'
    ]


def test_a_run_that_fails_leaves_neither_rows_nor_files(store: ObjectStore) -> None:
    write_deltalake("s3://bucket/there", rows(0, 4), partition_by=["part"])
    storage = open_storage("s3://bucket/there")
    assert storage is not None
    before = storage.every_path()

    def fail(into: SinkSpec) -> list[WrittenFile]:
        fill_with(rows(4, 8))(into)
        raise WriteError("no more")

    with pytest.raises(WriteError, match="no more"):
        hand_over(plan("s3://bucket/there", "delta", "append"), sink(), fail, schema=DECLARED, facts={})
    assert storage.every_path() == before

    def lose(into: SinkSpec) -> list[WrittenFile]:
        files: list[WrittenFile] = fill_with(rows(4, 8))(into)
        storage.files.delete_file(storage.at(files[0].path))
        return files

    with pytest.raises(WriteError, match="is not there as a worker wrote it"):
        hand_over(plan("s3://bucket/there", "delta", "append"), sink(), lose, schema=DECLARED, facts={})
    assert storage.every_path() == before


def test_a_new_parquet_table_is_written_in_place_without_what_other_tries_left(store: ObjectStore) -> None:
    uri = "s3://bucket/parquet"

    def twice(into: SinkSpec) -> list[WrittenFile]:
        fill_with(rows(0, 6))(into)  # a try that was lost after it had written
        files: list[WrittenFile] = fill_with(rows(0, 6))(into)
        return files

    made = hand_over(plan(uri, "parquet", "append", exists=False), sink(), twice, schema=DECLARED, facts={})
    storage = open_storage(uri)
    assert storage is not None
    assert (rows_in(made), len(made.entries[0].files), len(storage.every_path())) == (6, 2, 2)
    assert sum(pq.read_table(storage.at(path), filesystem=storage.files).num_rows for path in storage.every_path()) == 6


def test_a_file_that_was_replaced_since_the_plan_is_refused(store: ObjectStore, tmp_path: Path) -> None:
    uri = "s3://bucket/source"
    write_deltalake(uri, rows(0, 4), partition_by=["part"])
    scan, listing = scan_of(uri)
    storage = open_storage(uri)
    assert storage is not None
    with storage.files.open_output_stream(storage.at(listing.files[0].path)) as stream:
        pq.write_table(pa.table({"id": [1]}), stream)
    with pytest.raises(SourceReadError, match="written again"):
        list(read_task(cut(listing, 1)[0], scan))


def test_a_target_in_a_bucket_that_does_not_exist_is_refused_when_planning(store: ObjectStore) -> None:
    check_writable(TableLocation("delta", "s3://bucket/scored"), exists=False)
    with pytest.raises(TargetError, match="cannot be written: there is no bucket never-made"):
        check_writable(TableLocation("delta", "s3a://never-made/deep/scored"), exists=False)
