"""Rows whose keys the target lacks are the new ones where a source does not say which rows are new."""

from __future__ import annotations

import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable, write_deltalake

from spark_infer import ScoringJob
from spark_infer.errors import SourceError, WriteError
from spark_infer.runtime.failpoints import InjectedError
from spark_infer.tables import source as source_module
from spark_infer.tables.unknown_keys import with_unknown_keys
from tests.local.new_rows import Break, append, counts, doubled, new_rows, predictions, put

pytestmark = pytest.mark.usefixtures("in_this_process")


def by_key(model: str, here: Path, kind: str = "delta", *keys: str, **more: Any) -> ScoringJob:
    return new_rows(model, here, kind, incremental={"by": list(keys or ("id",))}, **more)


@pytest.mark.parametrize("kind", ["delta", "parquet"])
def test_a_changed_table_adds_the_rows_whose_keys_are_not_there(line: str, tmp_path: Path, kind: str) -> None:
    source = tmp_path / "in"
    append(source, 0, 6)
    scoring = by_key(line, tmp_path, kind)
    scoring.run()
    append(source, 6)
    DeltaTable(source).update(predicate="id = 1", updates={"x": "x + 100"})
    DeltaTable(source).delete("id = 2")
    DeltaTable(source).optimize.compact()
    append(source, 9)
    note = "rows count as new whose id the target lacks, since: version 2: UPDATE"
    assert any(note in warning for warning in scoring.plan().warnings)
    assert counts(scoring.run()) == (0, 6, False)
    assert predictions(tmp_path) == doubled(12)
    append(source, 12)
    assert counts(scoring.run()) == (5, 3, False)
    DeltaTable(source).delete("id = 3")
    assert scoring.run().nothing_new
    append(source, 15)
    assert counts(scoring.run()) == (6, 3, False)
    assert predictions(tmp_path) == doubled(18)


@pytest.mark.parametrize("kind", ["delta", "parquet"])
def test_a_command_that_is_planned_while_another_adds_its_rows_adds_none(
    line: str, tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    append(tmp_path / "in", 0, 6)
    scoring, compare = by_key(line, tmp_path, kind), with_unknown_keys
    scoring.run()
    append(tmp_path / "in", 6)
    DeltaTable(tmp_path / "in").update(predicate="id = 1", updates={"x": "x + 100"})

    def compare_then_wait(*tables: Any) -> Any:
        new = compare(*tables)
        monkeypatch.undo()
        assert scoring.run().rows_scored == 3
        return new

    monkeypatch.setattr(source_module, "with_unknown_keys", compare_then_wait)
    assert scoring.run().nothing_new
    assert predictions(tmp_path) == doubled(9)


@pytest.mark.parametrize("kind", ["delta", "parquet"])
def test_files_that_were_written_again_add_the_rows_whose_keys_are_not_there(
    line: str, tmp_path: Path, kind: str
) -> None:
    put(tmp_path, "a", 0)
    put(tmp_path, "b", 3)
    put(tmp_path, "c", 6)
    scoring = by_key(line, tmp_path, kind)
    scoring.run()
    put(tmp_path, "b", 4, 7)  # 4 to 10
    (tmp_path / "in" / "a.parquet").unlink()
    put(tmp_path, "d", 11)
    assert scoring.run().rows_scored == 5
    assert predictions(tmp_path) == doubled(14)
    assert scoring.run().nothing_new
    put(tmp_path, "e", 14)
    assert counts(scoring.run()) == (3, 3, False)
    assert predictions(tmp_path) == doubled(17)


@pytest.mark.parametrize("kind", ["delta", "parquet"])
@pytest.mark.parametrize("point", ["sealed:2", "publish:2", "placed:1", "commit:1", "committed:1", "report:1"])
def test_a_run_that_breaks_is_finished_with_the_rows_that_it_began_with(
    line: str, tmp_path: Path, breaks: Break, kind: str, point: str
) -> None:
    source = tmp_path / "in"
    append(source, 0)
    scoring = by_key(line, tmp_path, kind, units={"bytes": 1})
    scoring.run()
    append(source, 3)
    DeltaTable(source).update(predicate="id = 1", updates={"x": "x"})
    append(source, 6, part=1)
    breaks(f"{point}:raise")
    with suppress(InjectedError, WriteError):
        scoring.run()
    breaks("")
    append(source, 9)
    while not scoring.run().nothing_new:
        pass
    assert predictions(tmp_path) == doubled(12)


def test_several_keys_and_a_partition_tell_rows_apart(line: str, tmp_path: Path) -> None:
    for part in (0, 1):
        append(tmp_path / "in", 0, part=part)
    scoring = by_key(line, tmp_path, "delta", "id", "part", target={"partition_by": ["part"]})
    scoring.run()
    append(tmp_path / "in", 2, part=1)  # 2 is there, and 3 and 4 are new
    DeltaTable(tmp_path / "in").delete("id = 0 and part = 0")
    assert scoring.run().rows_scored == 2


@pytest.mark.parametrize("how", ["restored", "made again", "log cut", "vacuumed"])
def test_a_source_whose_history_is_of_no_use_is_compared_by_key(line: str, tmp_path: Path, how: str) -> None:
    source = tmp_path / "in"
    append(source, 0)
    append(source, 3)
    scoring = by_key(line, tmp_path)
    scoring.run()
    match how:
        case "restored":
            DeltaTable(source).restore(0)
            append(source, 6)
        case "made again":
            shutil.rmtree(source)
            append(source, 3, 6)
        case "log cut":
            append(source, 6)
            append(source, 9, 0)
            DeltaTable(source).create_checkpoint()
            (source / "_delta_log" / f"{2:020}.json").unlink()
        case _:
            append(source, 6)
            DeltaTable(source).optimize.compact()
            DeltaTable(source).vacuum(0, dry_run=False, enforce_retention_duration=False)
    assert scoring.run().rows_scored == 3
    assert predictions(tmp_path) == doubled(9)
    append(source, 9)
    assert scoring.run().rows_scored == 3
    assert predictions(tmp_path) == doubled(12)


def test_keys_that_cannot_tell_rows_apart_are_refused(line: str, tmp_path: Path) -> None:
    source = tmp_path / "in"
    write_deltalake(source, pa.table({"id": [0, 1, None], "x": [0.0, 1.0, 2.0]}))
    by_key(line, tmp_path).run()
    DeltaTable(source).delete("id = 1")
    with pytest.raises(SourceError, match=r"Column id of .* has nulls"):
        by_key(line, tmp_path).run()
    with pytest.raises(SourceError, match="has no column key"):
        by_key(line, tmp_path, "delta", "key").run()
    with pytest.raises(ValueError, match="`keep` lacks it"):
        by_key(line, tmp_path, target={"keep": ["x"]})
    with pytest.raises(ValueError, match="is for mode append"):
        by_key(line, tmp_path, target={"mode": "overwrite"})


@pytest.mark.parametrize("kind", [pa.float64(), pa.float32()])
def test_equal_floating_point_numbers_are_one_key(line: str, tmp_path: Path, kind: pa.DataType) -> None:
    source = tmp_path / "in"
    write_deltalake(source, pa.table({"id": pa.array([0.0, 1.5, 9.0], kind), "x": [0.0, 1.0, 2.0]}))
    by_key(line, tmp_path).run()
    DeltaTable(source).delete("x = 2.0")
    write_deltalake(source, pa.table({"id": pa.array([-0.0, 1.5, 2.5], kind), "x": [0.0, 1.0, 2.0]}), mode="append")
    assert by_key(line, tmp_path).run().rows_scored == 1
    assert sorted(predictions(tmp_path)) == [0.0, 1.5, 2.5, 9.0]


def test_without_keys_the_refusal_names_them(line: str, tmp_path: Path) -> None:
    append(tmp_path / "in", 0)
    new_rows(line, tmp_path).run()
    DeltaTable(tmp_path / "in").delete("id = 1")
    with pytest.raises(SourceError) as refused:
        new_rows(line, tmp_path).run()
    assert "incremental: {by: [id]}" in refused.value.next_step
    assert "--set target.mode=overwrite" in refused.value.next_step


def test_rows_are_not_counted_by_file_where_files_are_whole(line: str, tmp_path: Path) -> None:
    put(tmp_path, "a", 0)
    scoring = by_key(line, tmp_path)
    scoring.run()
    rows = pa.table({"id": [0, 5, 1, 6], "x": [0.0, 5.0, 1.0, 6.0]})
    pq.write_table(rows, tmp_path / "in" / "a.parquet", row_group_size=1)
    assert scoring.run().rows_scored == 2
    assert sorted(predictions(tmp_path)) == [0, 1, 2, 5, 6]


def test_rows_that_come_late_for_a_night_that_is_done_are_scored_by_the_same_command(
    line: str, tmp_path: Path, breaks: Break
) -> None:
    source = tmp_path / "in"

    def night(part: int, **more: Any) -> ScoringJob:
        days = {"path": str(source), "partition_filter": {"part": part}}
        return new_rows(line, tmp_path, source=days, target={"keep": ["id"]}, **more)

    for part in (0, 1):
        append(source, 3 * part, part=part)
        night(part, incremental=False).run()
    append(source, 6, part=0)
    append(source, 9, part=1)
    for part in (0, 1):
        late = night(part, incremental={"by": ["id"]}, units={"bytes": 1})
        breaks(f"{('sealed', 'committed')[part]}:1:raise")
        with suppress(InjectedError, WriteError):
            late.run()
        breaks("")
        while not late.run().nothing_new:
            pass
    append(source, 12, part=0)
    assert night(0, incremental={"by": ["id"]}).run().rows_scored == 3
    assert predictions(tmp_path) == doubled(15)


def test_a_first_run_with_keys_fills_a_table_that_is_there(line: str, tmp_path: Path) -> None:
    append(tmp_path / "in", 0, 6)
    source = {"path": str(tmp_path / "in"), "where": "id < 4"}
    new_rows(line, tmp_path, source=source, incremental=False).run()
    assert by_key(line, tmp_path, name="all_of_them").run().rows_scored == 2
    assert predictions(tmp_path) == doubled(6)
