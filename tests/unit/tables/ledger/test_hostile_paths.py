"""A ledger that somebody else wrote: no path in it leads a run out of its folders, and no link does."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest

from spark_infer.engines.unit import from_json
from spark_infer.errors import LedgerError
from spark_infer.job.units.run_plan import RunPlan
from spark_infer.job.units.runs import report_in
from spark_infer.tables.ledger.entry import Sealed
from spark_infer.tables.ledger.ledger import Ledger
from spark_infer.tables.ledger.signed import signed, stamped, stamped_in
from spark_infer.tables.parquet.replace_folders import put_partitions
from spark_infer.tables.predicate import partition_scope
from spark_infer.tables.publishing.move_files import place, take
from spark_infer.tables.storage import Storage, open_storage
from tests.tree import tree

OUTSIDE = ["../x", "a/../../x", "..", ".", "/etc/passwd", "", "a//x", "a/./x", "a/..", "a\0b", "a/"]
NAMES = [*OUTSIDE, "a/x"]


def storage(folder: Path) -> Storage:
    found = open_storage(f"file://{folder}")
    assert found is not None
    return found


def file(path: str) -> dict[str, Any]:
    return {"path": path, "size": 1, "rows": 1, "values": {}, "statistics": {}}


def entry(session: str, path: str, **further: str) -> bytes:
    files = {"files": [file("fine"), file(path)], **{name: [file(each)] for name, each in further.items()}}
    return signed({"unit": 0, "session": session, **files, "stats": [], "seconds": 0.0})


@pytest.mark.parametrize("path", OUTSIDE)
def test_a_file_of_an_entry_stays_in_the_folder_of_its_session(path: str) -> None:
    with pytest.raises(LedgerError, match="here names a path that leads outside"):
        Sealed.from_json(entry("session", path), "here")
    for name in ("quarantined", "parts", "cached"):
        with pytest.raises(LedgerError, match="here names a path that leads outside"):
            Sealed.from_json(entry("session", "fine", **{name: path}), "here")


@pytest.mark.parametrize("session", NAMES)
def test_a_session_is_one_name(session: str) -> None:
    with pytest.raises(LedgerError, match="leads outside"):
        Sealed.from_json(entry(session, "fine"), "here")


def test_the_paths_that_runs_write_are_read() -> None:
    for path in ("part-0.parquet", "p=a%2Fb/q=.x/part-0.parquet", "p=ü ..b/..part"):
        assert Sealed.from_json(entry("0a1b2c3d", path), "here").files[1].path == path


@pytest.mark.parametrize("path", [path for path in OUTSIDE if path])
def test_a_task_reads_files_of_the_source_alone(path: str) -> None:
    with pytest.raises(LedgerError, match="leads outside"):
        from_json(signed([[[{"path": "fine", "size": 1}], [{"path": path, "size": 1}]]]), "here")


def test_a_task_reads_deletion_vectors_of_the_source_alone() -> None:
    place = "../../home/ab^-aqEH.-t@S}K{vb[*k^"
    vector = {"kind": "u", "place": place, "size": 1, "rows": 1, "offset": 0}
    with pytest.raises(LedgerError, match="leads outside"):
        from_json(signed([[[{"path": "fine", "size": 1, "vector": vector}]]]), "here")


@pytest.mark.parametrize("name", NAMES)
def test_the_tasks_of_a_plan_lie_in_its_ledger(name: str) -> None:
    with pytest.raises(LedgerError, match="leads outside"):
        RunPlan.from_json(plan(tasks=name), "here")


@pytest.mark.parametrize("run_id", ["../../../home/x", "part", "", "r", 5, None, "0" * 15, "0" * 32 + "/"])
def test_a_run_id_which_names_the_files_that_a_run_makes_and_removes_is_a_number(run_id: Any) -> None:
    with pytest.raises(LedgerError, match="damaged"):
        RunPlan.from_json(plan(run_id=run_id), "here")


def plan(run_id: Any = "0" * 32, tasks: str = "tasks.json") -> bytes:
    at = datetime(2026, 1, 1, tzinfo=timezone.utc)
    return RunPlan(run_id=run_id, started_at=at, facts={}, write={}, units=1, tasks=tasks, rows=None).to_json()


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a":' * 100_000])
def test_a_file_that_nests_without_end_is_a_damaged_one(text: str) -> None:
    for read in (Sealed.from_json, RunPlan.from_json, from_json, stamped_in):
        with pytest.raises(LedgerError, match="damaged"):
            read(text.encode(), "here")


@pytest.mark.parametrize("path", OUTSIDE)
def test_a_report_names_files_of_the_target_alone(tmp_path: Path, path: str) -> None:
    (tmp_path / "report.json").write_bytes(stamped({"some_files": ["fine", path]}))
    with pytest.raises(LedgerError, match="leads outside"):
        report_in(Ledger(storage(tmp_path)))


def through_a_file(run: Path, home: Path) -> None:
    (run / "files" / "s").mkdir(parents=True)
    (run / "files" / "s" / "part").symlink_to(home / "part")


def through_a_folder(run: Path, home: Path) -> None:
    (run / "files" / "s").mkdir(parents=True)
    (run / "files" / "s" / "p=1").symlink_to(home)


def through_the_session(run: Path, home: Path) -> None:
    (run / "files").mkdir(parents=True)
    (run / "files" / "s").symlink_to(home)


@pytest.mark.parametrize(
    ("plant", "path"), [(through_a_file, "part"), (through_a_folder, "p=1/part"), (through_the_session, "part")]
)
def test_files_are_not_moved_through_links(tmp_path: Path, plant: Callable[[Path, Path], None], path: str) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (home / "part").write_text("private")
    plant(tmp_path / "run", home)
    (tmp_path / "t").mkdir()
    before = tree(tmp_path)
    with pytest.raises(LedgerError, match="is a symbolic link"):
        place(storage(tmp_path / "run" / "files" / "s"), storage(tmp_path / "t"), [path])
    assert tree(tmp_path) == before


@pytest.mark.parametrize("name", ["new", "ready-0a1b2c3d"])
def test_a_staged_folder_that_is_a_link_is_not_taken(tmp_path: Path, name: str) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / name).symlink_to(tmp_path / "home")
    before = tree(tmp_path)
    with pytest.raises(LedgerError, match="is a symbolic link"):
        take(storage(tmp_path / "run"), "session", ["part"])
    assert tree(tmp_path) == before


def test_a_partition_that_is_a_link_does_not_become_part_of_a_table(tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "part").write_text("private")
    (tmp_path / "run" / "new").mkdir(parents=True)
    (tmp_path / "run" / "new" / "p=1").symlink_to(tmp_path / "home")
    (tmp_path / "t").mkdir()
    scope, _ = partition_scope({"p": [1]}, {"p": "int"})
    before = tree(tmp_path)
    run = storage(tmp_path / "run")
    with pytest.raises(LedgerError, match="is a symbolic link"):
        put_partitions(run.below("new"), storage(tmp_path / "t"), run, ["p=1/part"], scope)
    assert tree(tmp_path) == before
