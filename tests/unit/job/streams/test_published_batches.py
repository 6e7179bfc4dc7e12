"""Whether a target has a micro-batch, by the transactions in its log."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import CommitProperties, DeltaTable, Transaction, write_deltalake

from spark_infer.config import JobConfig
from spark_infer.config.write_modes import MODES
from spark_infer.errors import WriteError
from spark_infer.job.streams.published import published
from spark_infer.job.streams.run_stream import is_published
from spark_infer.tables.local_tables import LocalTables
from spark_infer.tables.location import TableLocation
from spark_infer.tables.plan import WritePlan


def target(here: Path, *batches: tuple[str, int]) -> WritePlan:
    """A Delta table with a commit for each micro-batch of a stream."""
    write_deltalake(here, pa.table({"x": [0]}))
    for stream, number in batches:
        by = CommitProperties(app_transactions=[Transaction(stream, number)])
        write_deltalake(here, pa.table({"x": [number]}), mode="append", commit_properties=by)
    location = TableLocation("delta", f"file://{here}")
    return WritePlan(location=location, mode=MODES["append"], exists=True, partition_by=(), scope=None, how="")


def test_a_target_has_the_newest_micro_batch_and_not_the_next_nor_those_of_other_streams(tmp_path: Path) -> None:
    plan = target(tmp_path / "out", ("one", 0), ("other", 7), ("one", 1))
    found = [is_published(plan, stream, number) for stream, number in [("one", 1), ("one", 2), ("third", 0)]]
    assert found == [True, False, False]
    DeltaTable(tmp_path / "out").create_checkpoint()
    assert is_published(plan, "one", 1)


def test_the_first_micro_batch_is_not_taken_for_published_in_a_table_without_transactions(tmp_path: Path) -> None:
    assert not is_published(target(tmp_path / "out"), "one", 0)


def test_a_micro_batch_before_the_newest_is_refused(tmp_path: Path) -> None:
    plan = target(tmp_path / "out", ("one", 4))
    with pytest.raises(WriteError, match="has micro-batch 4 of this stream, and the checkpoint is at 3"):
        is_published(plan, "one", 3)


def test_how_far_a_stream_is_stands_in_its_target(tmp_path: Path) -> None:
    document = {
        "model": "models:/m/1",
        "source": str(tmp_path / "in"),
        "target": {"path": str(tmp_path / "out"), "mode": "append"},
        "trigger": "30 seconds",
        "checkpoint": str(tmp_path / "checkpoint"),
    }
    job = JobConfig.model_validate(document)
    assert str(published(LocalTables(), job)) == "the target holds no micro-batch of this stream"
    (tmp_path / "checkpoint").mkdir()
    (tmp_path / "checkpoint" / "metadata").write_text(json.dumps({"id": "one"}))
    target(tmp_path / "out", ("one", 3), ("other", 7))
    assert str(published(LocalTables(), job)) == "the target holds the micro-batches of stream one up to 3"
