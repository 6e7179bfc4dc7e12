"""What every table format has to do, with a real table of each."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import CommitProperties, DeltaTable, Transaction, write_deltalake

from spark_infer.config import JobConfig, SourceConfig, TargetConfig
from spark_infer.config.write_modes import MODES
from spark_infer.errors import SourceError
from spark_infer.tables.formats import FORMATS, SOURCE_FORMATS, SourceFormat, TableFormat, format_of, source_format_of
from spark_infer.tables.ledger.entry import Sealed
from spark_infer.tables.ledger.ledger import Ledger
from spark_infer.tables.local_tables import LocalTables
from spark_infer.tables.locate import locate
from spark_infer.tables.location import TableLocation
from spark_infer.tables.plan import WritePlan
from spark_infer.tables.publishing.work import PublishWork, app_of
from spark_infer.tables.sink.sink_spec import WrittenFile
from spark_infer.tables.storage import Storage, open_storage

LOOKUP = LocalTables()
ROWS = pa.table({"id": [1, 2]})
RUN = "run-1"

every_format = pytest.mark.parametrize("name", list(FORMATS))


def opened(folder: Path) -> Storage:
    found = open_storage(f"file://{folder}")
    assert found is not None
    return found


def delta_rows(folder: Path, mode: str, app: str) -> None:
    mine = CommitProperties(app_transactions=[Transaction(app, 1, 0)] if app else [])
    write_deltalake(folder, ROWS, mode="append" if mode == "append" else "overwrite", commit_properties=mine)


def parquet_rows(folder: Path, mode: str, app: str) -> None:
    folder.mkdir(exist_ok=True)
    if mode == "overwrite":
        for each in folder.iterdir():
            each.unlink()
    pq.write_table(ROWS, folder / f"{mode}-{app.replace('/', '-')}.parquet")


WRITERS: dict[str, Callable[[Path, str, str], None]] = {"delta": delta_rows, "parquet": parquet_rows}
"""Adds rows to a table, or replaces those that are there, as the application of a run or as somebody else ("")."""


def files_of(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*.parquet"))


def report_of(table_format: TableFormat, folder: Path, app: str) -> dict[str, Any]:
    version = DeltaTable(folder).version() if table_format.log_folder else None
    return {
        "app": app,
        "some_files": files_of(folder),
        "in_table": table_format.written.contents(opened(folder)),
        "target_version": version,
    }


def plan_of(name: str, folder: Path, mode: str = "append") -> WritePlan:
    return WritePlan(TableLocation(name, f"file://{folder}"), MODES[mode], mode == "append", (), None, "")


@pytest.mark.parametrize("name", list(SOURCE_FORMATS))
def test_a_format_has_what_the_protocol_names_and_nothing_else(name: str) -> None:
    parts = (SourceFormat, TableFormat) if name in FORMATS else (SourceFormat,)
    named = {each for part in parts for each in (*vars(part), *part.__annotations__) if not each.startswith("_")}
    found = source_format_of(name)
    assert found.name == name
    assert {each for each in dir(found) if not each.startswith("_")} == named


def test_a_job_file_may_ask_for_every_format_and_for_no_other() -> None:
    asked = {"source": {"path": "/s"}, "model": {"uri": "models:/m/1"}, "target": {"path": "/t"}}
    for name in FORMATS:
        given = JobConfig.model_validate({**asked, "target": {"path": "/t", "format": name}})
        assert given.target.format == name
    with pytest.raises(ValueError, match=" or ".join(repr(name) for name in FORMATS)):
        JobConfig.model_validate({**asked, "target": {"path": "/t", "format": "csv"}})


@every_format
def test_a_table_is_found_described_and_counted(name: str, tmp_path: Path) -> None:
    folder, table_format = tmp_path / "t", format_of(name)
    assert not table_format.is_at(opened(folder))
    WRITERS[name](folder, "append", "")
    LOOKUP.check_format(name)
    found = locate(LOOKUP, SourceConfig(path=str(folder)))
    assert found == TableLocation(name, f"file://{folder}")
    counted = table_format.counted(table_format.source_snapshot(LOOKUP, found, SourceConfig(path=str(folder))))
    assert (counted.rows, counted.files) == (2, 1)
    target = TargetConfig(path=str(folder), mode="append")
    newest = table_format.target_snapshot(LOOKUP, found, target)
    assert newest.files == 1
    assert table_format.folder_types(newest) == {}
    table_format.rules(found, exists=True).refuse(target)


@every_format
def test_a_version_that_a_table_does_not_have_is_refused(name: str, tmp_path: Path) -> None:
    WRITERS[name](tmp_path / "t", "append", "")
    source = SourceConfig(path=str(tmp_path / "t"), version=7)
    with pytest.raises(SourceError, match="has no version"):
        format_of(name).source_snapshot(LOOKUP, TableLocation(name, f"file://{tmp_path}/t"), source)


@every_format
def test_the_rows_of_a_finished_run_are_recognised(name: str, tmp_path: Path) -> None:
    folder, table_format, write = tmp_path / "t", format_of(name), WRITERS[name]
    write(folder, "append", "spark_infer/t/1")
    table, report = opened(folder), report_of(table_format, folder, "spark_infer/t/1")
    assert table_format.written.has_run(table, report)
    assert table_format.written.is_unchanged(table, report)
    assert table_format.written.holds_rows(table, report)
    write(folder, "append", "")
    assert table_format.written.has_run(table, report)
    assert not table_format.written.is_unchanged(table, report)
    assert not table_format.written.lost_files(table, report)
    write(folder, "overwrite", "")
    assert not table_format.written.is_unchanged(table, report)
    assert len(table_format.written.lost_files(table, report)) == 1
    assert not table_format.written.holds_rows(table, report)


@every_format
def test_the_rows_of_an_unfinished_run_are_counted(name: str, tmp_path: Path) -> None:
    folder, table_format, write = tmp_path / "t", format_of(name), WRITERS[name]
    ledger = Ledger(opened(tmp_path / ".t.run"))
    write(folder, "append", "")
    table, others = opened(folder), set(files_of(folder))
    write(folder, "append", app_of(ledger, RUN))
    (mine,) = set(files_of(folder)) - others
    ledger.begin(b"{}", {"tasks.json": b"[]"})
    ledger.seal(
        Sealed(
            unit=0, session="s", files=(WrittenFile(path=mine, size=(folder / mine).stat().st_size, rows=2, values={}),)
        )
    )
    assert table_format.written.holds_some_of(table, ledger, RUN)
    assert table_format.written.rows_left(table, ledger, RUN, one_by_one=True) == 2
    assert table_format.written.rows_left(table, ledger, RUN, one_by_one=False) == 2
    ledger.seal(Sealed(unit=1, session="s", files=(WrittenFile(path="not-there.parquet", size=1, rows=5, values={}),)))
    assert table_format.written.rows_left(table, ledger, RUN, one_by_one=True) == 2
    other = Ledger(opened(tmp_path / ".t.other"))
    assert not table_format.written.holds_some_of(table, other, "run-2")


@every_format
@pytest.mark.parametrize(("mode", "one_by_one"), [("append", True), ("overwrite", False)])
def test_the_publisher_is_the_one_that_the_write_needs(name: str, mode: str, one_by_one: bool, tmp_path: Path) -> None:
    WRITERS[name](tmp_path / "t", "append", "")
    work = PublishWork(
        plan=plan_of(name, tmp_path / "t", mode),
        table=opened(tmp_path / "t"),
        sink=None,
        schema=pa.schema([]),
        facts={"run_id": RUN},
        ledger=Ledger(opened(tmp_path / ".t.run")),
        session="s",
    )
    assert format_of(name).publisher(work).one_by_one == one_by_one


@every_format
def test_what_a_plan_says_is_said(name: str, tmp_path: Path) -> None:
    table_format = format_of(name)
    plan = plan_of(name, tmp_path / "t", mode="overwrite")
    assert all((table_format.creation, table_format.change(plan)))
    assert list(table_format.write_doubts(plan, {})) == []


def test_a_parquet_table_that_spark_has_made_holds_the_rows_of_that_run_as_long_as_it_has_files(tmp_path: Path) -> None:
    table, written = opened(tmp_path / "t"), format_of("parquet").written
    assert not written.holds_rows(table, {"rows_scored": 3})
    (tmp_path / "t").mkdir()
    pq.write_table(pa.table({"id": [1, 2, 3]}), tmp_path / "t" / "part-00000-spark.parquet")
    assert written.holds_rows(table, {"rows_scored": 3})
    assert not written.holds_rows(table, {"rows_scored": 3, "some_files": ["other.parquet"]})
