"""A run in units, and a target that somebody else changes, moves or takes away."""

from __future__ import annotations

import itertools
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable, write_deltalake

from spark_infer.errors import CommitConflictError, LedgerError, PlanError, TargetError, UnfinishedRunError, WriteError
from spark_infer.runtime.failpoints import InjectedError
from spark_infer.runtime.process_state import this_process
from spark_infer.tables.durable import LocalDisk
from spark_infer.tables.publishing import tries
from tests.local.eight import EACH, FILES, ROWS, exact, old_rows
from tests.local.jobs import job, read

pytestmark = pytest.mark.usefixtures("in_this_process")

Break = Callable[[str], None]


def test_an_overwrite_is_done_again_where_the_target_has_changed(line: str, files: Path, tmp_path: Path) -> None:
    for kind in ("delta", "parquet"):
        target = {"path": str(tmp_path / kind), "format": kind, "mode": "overwrite"}
        scoring, first = job(line, {"path": str(files)}, target), job(line, {"path": str(files)}, target, name="other")
        assert not scoring.run().already_done
        assert scoring.run().already_done
        assert not first.run().already_done
        assert not scoring.run().already_done
        exact(tmp_path / kind)


def test_an_overwrite_is_done_again_where_a_file_was_written_anew_under_its_name(
    line: str, files: Path, tmp_path: Path
) -> None:
    scoring = job(line, {"path": str(files)}, {"path": str(tmp_path / "out"), "mode": "overwrite"})
    scoring.run()
    written = next((tmp_path / "out").glob("*.parquet"))
    pq.write_table(pq.read_table(written).slice(1), written)
    assert not scoring.run().already_done
    exact(tmp_path / "out")


def test_a_target_that_is_gone_is_made_again(line: str, files: Path, tmp_path: Path) -> None:
    scoring = job(line, {"path": str(files)}, {"path": str(tmp_path / "out")})
    scoring.run()
    (tmp_path / "out").rename(tmp_path / "away")
    assert not scoring.run().already_done
    exact(tmp_path / "out")
    with pytest.raises(TargetError, match="exists already"):
        job(line, {"path": str(files), "where": "id > 3"}, {"path": str(tmp_path / "out")}).run()


def test_a_copy_of_a_replaced_table_is_not_exchanged_for_the_old_one(
    line: str, files: Path, tmp_path: Path, breaks: Break
) -> None:
    old_rows(line, tmp_path, "parquet")
    scoring = job(line, {"path": str(files)}, {"path": str(tmp_path / "out"), "mode": "overwrite"}, **EACH)
    breaks("swapped:1:raise")
    with pytest.raises(InjectedError):
        scoring.run()
    breaks("")
    assert len(read(tmp_path / "out")) == FILES * ROWS
    shutil.copytree(tmp_path / "out", tmp_path / "copy")
    shutil.rmtree(tmp_path / "out")
    (tmp_path / "copy").rename(tmp_path / "out")
    scoring.run()
    exact(tmp_path / "out")
    assert len(read(tmp_path / "out")) == FILES * ROWS


def test_a_run_without_its_ledger_is_another_run(line: str, files: Path, tmp_path: Path) -> None:
    old_rows(line, tmp_path, "delta")
    scoring = job(line, {"path": str(files)}, {"path": str(tmp_path / "out"), "mode": "append"}, **EACH)
    scoring.run()
    shutil.rmtree(tmp_path / ".out.spark_infer")
    assert not scoring.run().already_done
    exact(tmp_path / "out", copies=2)


def test_rows_that_somebody_took_back_are_missed(line: str, files: Path, tmp_path: Path, breaks: Break) -> None:
    old_rows(line, tmp_path, "delta")
    scoring = job(line, {"path": str(files)}, {"path": str(tmp_path / "out"), "mode": "append"}, **EACH)
    breaks("publish:4:raise")
    with pytest.raises(InjectedError):
        scoring.run()
    breaks("")
    DeltaTable(tmp_path / "out").restore(0)
    with pytest.raises(WriteError, match="files that this run wrote are gone"):
        scoring.run()
    assert scoring.run(new_run=True).rows_scored == FILES * ROWS
    exact(tmp_path / "out")
    assert scoring.run().already_done
    DeltaTable(tmp_path / "out").optimize.compact()
    assert scoring.run().already_done
    DeltaTable(tmp_path / "out").restore(0)
    with pytest.raises(UnfinishedRunError, match="no longer in the target"):
        scoring.run()


def test_a_file_that_somebody_removed_is_missed(line: str, files: Path, tmp_path: Path) -> None:
    scoring = job(line, {"path": str(files)}, {"path": str(tmp_path / "out"), "mode": "append"}, **EACH)
    scoring.run()
    next((tmp_path / "out").glob("*.parquet")).unlink()
    with pytest.raises(UnfinishedRunError, match="1 files that it wrote are no longer in the target"):
        scoring.run()


def test_a_table_that_is_moved_with_its_ledger_goes_on(line: str, files: Path, tmp_path: Path, breaks: Break) -> None:
    (tmp_path / "a").mkdir()
    breaks("publish:4:raise")
    target = {"path": str(tmp_path / "a" / "out"), "format": "parquet", "mode": "append"}
    pq.write_table(pa.table({"id": [-1], "x": [0.0], "part": [0]}), tmp_path / "one.parquet")
    job(line, {"path": str(tmp_path / "one.parquet")}, target, name="one").run()
    with pytest.raises(InjectedError):
        job(line, {"path": str(files)}, target, **EACH).run()
    breaks("")
    (tmp_path / "a").rename(tmp_path / "b")
    report = job(line, {"path": str(files)}, {**target, "path": str(tmp_path / "b" / "out")}, **EACH).run()
    assert report.units_before >= 3
    exact(tmp_path / "b" / "out")


@pytest.mark.parametrize("kind", ["delta", "parquet"])
def test_a_run_that_cannot_get_to_its_end_can_be_given_up(
    line: str, files: Path, tmp_path: Path, breaks: Break, kind: str
) -> None:
    target = {"path": str(tmp_path / "out"), "format": kind}
    scoring = job(line, {"path": str(files)}, target, **EACH)
    breaks("journal:1:raise")
    with pytest.raises(InjectedError):
        scoring.run()
    breaks("")
    pq.write_table(pa.table({"id": [999], "x": [1.0], "part": [0]}), files / "9.parquet")
    changed = job(line, {"path": str(files), "where": "id >= 0"}, target, **EACH)
    with pytest.raises(UnfinishedRunError, match="planned something else"):
        changed.run()
    assert changed.run(new_run=True).rows_scored == FILES * ROWS + 1


@pytest.mark.parametrize("kind", ["delta", "parquet"])
def test_where_nothing_can_be_renamed_into_the_target_the_ledger_lies_inside(
    line: str, files: Path, tmp_path: Path, breaks: Break, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    old_rows(line, tmp_path, kind)
    shutil.rmtree(tmp_path / ".out.spark_infer")
    monkeypatch.setattr(LocalDisk, "stands_alone", lambda self, folder: True)
    scoring = job(line, {"path": str(files)}, {"path": str(tmp_path / "out"), "mode": "append"}, **EACH)
    breaks("sealed:3:raise")
    with pytest.raises(InjectedError):
        scoring.run()
    breaks("")
    assert scoring.run().units_before == 3
    exact(tmp_path / "out")
    assert not (tmp_path / ".out.spark_infer").exists()
    assert scoring.run().already_done
    if kind == "parquet":
        with pytest.raises(TargetError, match="cannot be exchanged"):
            job(line, {"path": str(files)}, {"path": str(tmp_path / "out"), "mode": "overwrite"}).run()


def meddling(monkeypatch: pytest.MonkeyPatch, meddle: Callable[[], object], times: int, at: str = "placed") -> None:
    """Have another writer change the target, in the moments between a look at it and the commit."""
    left = [meddle] * times

    def point(name: str) -> None:
        if name == at and left:
            left.pop()()

    monkeypatch.setattr(this_process(), "failpoints", SimpleNamespace(reach=point))
    monkeypatch.setattr(tries, "time", SimpleNamespace(sleep=lambda seconds: None))


def test_an_overwrite_that_another_writer_gets_in_the_way_of_is_committed_again(
    line: str, files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    old_rows(line, tmp_path, "delta")
    out = tmp_path / "out"
    meddling(monkeypatch, lambda: DeltaTable(out).delete("id = -3"), 1)
    report = job(line, {"path": str(files)}, {"path": str(out), "mode": "overwrite"}, **EACH).run()
    assert "committing again" in caplog.text
    assert (report.target_version, report.target_versions) == (2, (2,))
    assert len(read(out)) == FILES * ROWS
    exact(out)


def test_an_overwrite_that_is_beaten_again_and_again_says_so_and_is_not_scored_again(
    line: str, files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old_rows(line, tmp_path, "delta")
    out, numbers = tmp_path / "out", iter((-1, -2, -3, -4))
    scoring = job(line, {"path": str(files)}, {"path": str(out), "mode": "overwrite"}, **EACH)

    def meddle() -> None:
        if (number := next(numbers, None)) is not None:
            DeltaTable(out).delete(f"id = {number}")
        else:
            table = DeltaTable(out)
            table.alter.set_table_properties({"delta.logRetentionDuration": f"interval {table.version()} days"})

    with monkeypatch.context() as patch:
        meddling(patch, meddle, 5)
        with pytest.raises(CommitConflictError, match="at the moment of the commit"):
            scoring.run()
    report = scoring.run()
    assert (report.units_before, len(read(out))) == (FILES, FILES * ROWS)


def test_an_append_goes_on_beside_a_writer_who_changes_what_does_not_matter(
    line: str, files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old_rows(line, tmp_path, "delta")
    out = tmp_path / "out"
    change = {"delta.logRetentionDuration": "interval 40 days"}
    meddling(monkeypatch, lambda: DeltaTable(out).alter.set_table_properties(change), 1)
    job(line, {"path": str(files)}, {"path": str(out), "mode": "append"}, **EACH).run()
    exact(out)
    assert len(read(out)) == FILES * ROWS + 4


def test_a_delta_table_that_is_gone_when_its_run_goes_on_is_told(
    line: str, files: Path, tmp_path: Path, breaks: Break
) -> None:
    old_rows(line, tmp_path, "delta")
    scoring = job(line, {"path": str(files)}, {"path": str(tmp_path / "out"), "mode": "append"}, **EACH)
    breaks("publish:1:raise")
    with pytest.raises(InjectedError):
        scoring.run()
    breaks("")
    (tmp_path / "out").rename(tmp_path / "away")
    with pytest.raises(UnfinishedRunError, match="the target is gone, which was there then"):
        scoring.run()
    target = {"path": str(tmp_path / "out"), "mode": "append", "format": "delta"}
    with pytest.raises(TargetError, match="out is gone, to which"):
        job(line, {"path": str(files)}, target, **EACH).run()
    (tmp_path / "away").rename(tmp_path / "out")
    assert scoring.run().rows_scored == FILES * ROWS
    exact(tmp_path / "out")


@pytest.mark.parametrize("mode", ["overwrite", "overwrite_partitions"])
def test_rows_that_another_writer_only_arranges_anew_do_not_outlive_an_overwrite(
    line: str, files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: str
) -> None:
    out, target = tmp_path / "out", {"path": str(tmp_path / "out"), "format": "delta"}
    job(line, {"path": str(files)}, target, name="earlier", **EACH).run()
    pq.write_table(pa.table({"id": [999], "x": [0.0], "part": [0]}), files / "9.parquet")
    meddling(monkeypatch, lambda: DeltaTable(out).optimize.compact(), 1, at="commit")
    more = {"partitions": {"part": [0, 1, 2, 3]}} if mode == "overwrite_partitions" else {}
    if more:
        shutil.rmtree(out)
        shutil.rmtree(tmp_path / ".out.spark_infer")
        job(line, {"path": str(files)}, {**target, "partition_by": "part"}, name="earlier", **EACH).run()
    report = job(line, {"path": str(files)}, {**target, "mode": mode, **more}, **EACH).run()
    assert report.rows_scored == FILES * ROWS + 1
    assert [row["id"] for row in read(out)] == [*range(FILES * ROWS), 999]


def test_a_source_that_is_made_anew_is_another_source(line: str, tmp_path: Path) -> None:
    scoring = job(line, {"path": str(tmp_path / "in")}, {"path": str(tmp_path / "out"), "mode": "overwrite"})
    for first in (0, 100):
        shutil.rmtree(tmp_path / "in", ignore_errors=True)
        write_deltalake(tmp_path / "in", pa.table({"id": [first], "x": [1.0]}))
        assert not scoring.run().already_done
        assert [row["id"] for row in read(tmp_path / "out")] == [first]


def test_a_table_that_forgets_what_it_has_taken_is_refused(line: str, files: Path, tmp_path: Path) -> None:
    old_rows(line, tmp_path, "delta")
    DeltaTable(tmp_path / "out").alter.set_table_properties(
        {"delta.setTransactionRetentionDuration": "interval 3 seconds"}, raise_if_not_exists=False
    )
    with pytest.raises(PlanError, match="forgets which commits it has taken"):
        job(line, {"path": str(files)}, {"path": str(tmp_path / "out"), "mode": "append"}).run()


@pytest.mark.parametrize("kind", ["delta", "parquet"])
def test_a_name_that_leaves_no_room_for_the_ledger_s_is_refused(
    line: str, files: Path, tmp_path: Path, kind: str
) -> None:
    with pytest.raises(TargetError, match="too long"):
        job(line, {"path": str(files)}, {"path": str(tmp_path / ("t" * 250)), "format": kind}).run()


def test_units_without_their_plan_never_count_as_none(line: str, files: Path, tmp_path: Path, breaks: Break) -> None:
    scoring = job(line, {"path": str(files)}, {"path": str(tmp_path / "out"), "mode": "append"}, **EACH)
    breaks("sealed:3:raise")
    with pytest.raises(InjectedError):
        scoring.run()
    breaks("")
    next((tmp_path / ".out.spark_infer").glob("*/plan.json")).unlink()
    with pytest.raises(LedgerError, match="has units and no plan"):
        scoring.run()


def test_rows_that_another_job_replaces_before_the_run_is_finished_are_missed(
    line: str, files: Path, tmp_path: Path, breaks: Break
) -> None:
    old_rows(line, tmp_path, "delta")
    out = tmp_path / "out"
    scoring = job(line, {"path": str(files)}, {"path": str(out), "mode": "overwrite"}, **EACH)
    breaks("published:1:raise")
    with pytest.raises(InjectedError):
        scoring.run()
    breaks("")
    write_deltalake(out, DeltaTable(out).to_pyarrow_table().slice(0, 3), mode="overwrite")
    with pytest.raises(WriteError, match="files that this run wrote are gone"):
        scoring.run()


def test_rows_that_are_taken_back_between_two_units_of_a_command_are_missed(
    line: str, files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old_rows(line, tmp_path, "delta")
    out = tmp_path / "out"
    seen = itertools.count()

    def point(name: str) -> None:
        if name == "placed" and next(seen) == 4:
            DeltaTable(out).restore(0)

    monkeypatch.setattr(this_process(), "failpoints", SimpleNamespace(reach=point))
    with pytest.raises(WriteError, match="files that this run wrote are gone"):
        job(line, {"path": str(files)}, {"path": str(out), "mode": "append"}, **EACH).run()


def test_a_new_table_that_is_gone_before_the_run_is_finished_is_told(
    line: str, files: Path, tmp_path: Path, breaks: Break
) -> None:
    scoring = job(line, {"path": str(files)}, {"path": str(tmp_path / "out"), "format": "delta"}, **EACH)
    breaks("published:1:raise")
    with pytest.raises(InjectedError):
        scoring.run()
    breaks("")
    shutil.rmtree(tmp_path / "out")
    with pytest.raises(WriteError, match="files that this run wrote are gone"):
        scoring.run()


def test_columns_that_the_rows_do_not_bring_keep_their_place_and_may_not_be_not_null(
    line: str, files: Path, tmp_path: Path
) -> None:
    stamps = {"model_name_column": None, "model_version_column": None, "scored_at_column": None}
    wide = pa.table({"note": ["old"], "id": pa.array([-1], pa.int64()), "prediction": [0.5], "k": [1]})
    write_deltalake(tmp_path / "out", wide)
    target = {"path": str(tmp_path / "out"), "mode": "append", "keep": ["id"], **stamps}
    job(line, {"path": str(files)}, target).run()
    assert [field.name for field in DeltaTable(tmp_path / "out").schema().fields] == wide.column_names
    not_null = wide.cast(pa.schema([field.with_nullable(field.name != "k") for field in wide.schema]))
    write_deltalake(tmp_path / "strict", not_null)
    with pytest.raises(TargetError) as refused:
        job(line, {"path": str(files)}, {**target, "path": str(tmp_path / "strict")}).run()
    assert refused.value.details == ("missing: k bigint, which is NOT NULL",)


@pytest.mark.parametrize(
    ("metadata", "feature"),
    [
        ({"delta.identity.start": 1, "delta.identity.step": 1}, "identityColumns"),
        ({"delta.generationExpression": "id + 1"}, "generatedColumns"),
        ({"CURRENT_DEFAULT": "7"}, "allowColumnDefaults"),
    ],
)
def test_columns_that_delta_fills_by_a_rule_of_their_own_are_for_spark_to_write(
    line: str, files: Path, tmp_path: Path, metadata: dict[str, Any], feature: str
) -> None:
    write_deltalake(tmp_path / "out", pa.table({"id": [1], "prediction": [0.5], "k": [1]}))
    commit = tmp_path / "out" / "_delta_log" / f"{0:020}.json"
    actions = [json.loads(line) for line in commit.read_text().splitlines()]
    for action in actions:
        if "metaData" in action:
            schema = json.loads(action["metaData"]["schemaString"])
            schema["fields"][2]["metadata"] = metadata
            action["metaData"]["schemaString"] = json.dumps(schema)
        if "protocol" in action:
            action["protocol"] = {"minReaderVersion": 1, "minWriterVersion": 7, "writerFeatures": [feature]}
    commit.write_text("\n".join(map(json.dumps, actions)))
    target = {"path": str(tmp_path / "out"), "mode": "append", "keep": ["id"], "model_name_column": None}
    target |= {"model_version_column": None, "scored_at_column": None}
    with pytest.raises(PlanError, match="Only Spark can write") as refused:
        job(line, {"path": str(files)}, target).run()
    assert feature in str(refused.value)
    assert refused.value.next_step == "set engine: spark."


@pytest.mark.parametrize("kind", ["geometry(4326)", "frobnicate", {"type": "udt", "class": "x.Y", "sqlType": "string"}])
def test_a_column_of_an_unknown_type_is_no_hindrance_where_it_is_not_wanted(
    line: str, files: Path, tmp_path: Path, kind: Any
) -> None:
    write_deltalake(tmp_path / "shapes", pa.table({"id": [1], "x": [0.5]}))
    commit = tmp_path / "shapes" / "_delta_log" / f"{0:020}.json"
    actions = [json.loads(line) for line in commit.read_text().splitlines()]
    for action in actions:
        if "metaData" in action:
            schema = json.loads(action["metaData"]["schemaString"])
            schema["fields"].append({"name": "shape", "type": kind, "nullable": True, "metadata": {}})
            action["metaData"]["schemaString"] = json.dumps(schema)
    commit.write_text("\n".join(map(json.dumps, actions)))
    source = {"path": str(tmp_path / "shapes")}
    job(line, source, {"path": str(tmp_path / "out"), "keep": ["id"]}).run()
    assert [row["prediction"] for row in read(tmp_path / "out")] == [1.0]
    with pytest.raises(PlanError, match="shape"):
        job(line, source, {"path": str(tmp_path / "all"), "keep": ["id", "shape"]}).run()
    with pytest.raises(TargetError, match="a type that engine `local` does not know"):
        job(line, {"path": str(files)}, {"path": str(tmp_path / "shapes"), "mode": "append"}).run()
