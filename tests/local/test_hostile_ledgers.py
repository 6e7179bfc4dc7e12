"""A ledger that somebody else made or changed is refused, and nothing around the job is read, written or moved."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from spark_infer import ScoringJob
from spark_infer.errors import LedgerError, LedgerRefusedError, TargetError, WriteError
from spark_infer.job.units.history import history
from spark_infer.runtime.failpoints import InjectedError
from spark_infer.tables.local_tables import LocalTables
from tests.hostile import CORPUS, MODES, OTHER, OWNERS, each
from tests.local.eight import EACH, exact
from tests.local.jobs import job
from tests.second_user import as_user, needs_root, open_for_all, umask
from tests.tree import Tree, tree

pytestmark = pytest.mark.usefixtures("in_this_process")

Break = Callable[[str], None]
FS_GROUP = 2000


def broken(scoring: ScoringJob, breaks: Break) -> None:
    """Have a run break when five of its eight units are sealed."""
    breaks("sealed:5:raise")
    with pytest.raises(InjectedError):
        scoring.run()
    breaks("")


def outside(tmp_path: Path) -> Tree:
    """All but the job's own ledger."""
    return {path: facts for path, facts in tree(tmp_path).items() if not path.startswith("shared/.out.spark_infer/")}


@pytest.mark.parametrize("mode", ["error_if_exists", "append"])
def test_hostile_ledgers_are_refused_and_nothing_outside_them_is_touched(
    line: str, files: Path, tmp_path: Path, breaks: Break, mode: str
) -> None:
    home, shared = tmp_path / "home", tmp_path / "shared"
    home.mkdir(mode=0o700)
    pq.write_table(pa.table({"id": [-1], "x": [1.0], "part": [0]}), home / "private.parquet")
    shared.mkdir()
    scoring = job(line, {"path": str(files)}, {"path": str(shared / "out"), "mode": mode}, **EACH)
    broken(scoring, breaks)
    for name in each(CORPUS, shared, home):
        before = outside(tmp_path)
        with pytest.raises(LedgerError) as refused:
            scoring.run()
        # A link is found when its unit is published, and units before it may be in the table by then.
        assert refused.value.exit_code == (4 if name == "a linked file" else 2), name
        assert refused.value.next_step, name
        assert outside(tmp_path) == before, name
    assert scoring.run().units_before == 5
    exact(shared / "out")
    if not OWNERS:
        pytest.skip("only root can give files to a second user: his ledgers were not tried")


def test_plan_and_status_refuse_a_ledger_that_somebody_else_may_have_written(
    line: str, files: Path, tmp_path: Path, breaks: Break
) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    scoring = job(line, {"path": str(files)}, {"path": str(shared / "out")}, **EACH)
    broken(scoring, breaks)
    for name in each(MODES | OWNERS, shared, tmp_path / "home"):
        before = tree(tmp_path)
        for look in (scoring.plan, partial(history, scoring.config, LocalTables())):
            with pytest.raises(LedgerRefusedError, match="a part of a ledger"):
                look()
        assert tree(tmp_path) == before, name


@pytest.mark.parametrize(("mask", "kind"), [(0o000, "delta"), (0o002, "parquet"), (0o022, "delta"), (0o077, "parquet")])
def test_a_run_keeps_its_ledger_to_itself_and_gives_the_table_the_modes_of_the_umask(
    line: str, files: Path, tmp_path: Path, breaks: Break, mask: int, kind: str
) -> None:
    with umask(mask):
        target = {"path": str(tmp_path / "out"), "format": kind, "partition_by": "part"}
        scoring = job(line, {"path": str(files)}, target, **EACH)
        broken(scoring, breaks)
        assert modes(tmp_path / ".out.spark_infer", but="files") == {0o700, 0o600}
        assert scoring.run().units_before == 5
    assert modes(tmp_path / ".out.spark_infer") == {0o700, 0o600}
    assert modes(tmp_path / "out") == {0o777 & ~mask, 0o666 & ~mask}
    exact(tmp_path / "out")


def test_plan_warns_of_a_umask_that_keeps_the_group_from_writing_the_table(
    line: str, files: Path, tmp_path: Path
) -> None:
    target = {"path": str(tmp_path / "out"), "ledger_group": str(os.getegid())}
    with umask(0o022):
        warnings = job(line, {"path": str(files)}, target, **EACH).plan().warnings
    assert any(warning.startswith("the umask 022 of this process keeps the group ") for warning in warnings)


@needs_root
@pytest.mark.parametrize("mask", [0o002, 0o022])
def test_members_of_a_group_finish_one_anothers_runs_where_the_umask_lets_them(
    line: str, files: Path, tmp_path: Path, breaks: Break, monkeypatch: pytest.MonkeyPatch, mask: int
) -> None:
    job(line, {"path": str(files)}, {"path": str(tmp_path / "first"), "format": "parquet"}).run()  # imports all modules
    model = shutil.copytree(line, tmp_path / "model")
    open_for_all(tmp_path)
    shared = tmp_path / "shared"
    shared.mkdir()
    os.chown(shared, 0, FS_GROUP)
    shared.chmod(0o2775)
    target = {"path": str(shared / "out"), "format": "parquet", "ledger_group": str(FS_GROUP), "partition_by": "part"}
    scoring = job(str(model), {"path": str(files)}, {**target, "mode": "append"}, **EACH)

    def first() -> None:
        with umask(mask):
            broken(scoring, breaks)

    def second() -> None:
        with umask(0o002):
            if mask == 0o002:
                assert scoring.run().units_before == 5
                exact(shared / "out")
                return
            with pytest.raises((TargetError, WriteError)) as refused:
                scoring.run()
            assert f"has the group {FS_GROUP} and the mode 2755" in refused.value.next_step

    for number, act in enumerate((first, second)):
        home = tmp_path / f"home{number}"
        home.mkdir()
        os.chown(home, OTHER + number, -1)
        monkeypatch.setenv("SPARK_INFER_HOME", str(home))
        as_user(act, OTHER + number, [FS_GROUP])


def modes(folder: Path, but: str = "") -> set[int]:
    """The modes of a folder and of all in it, but for what workers write out of sight."""
    found = [path for path in (folder, *folder.rglob("*")) if not but or but not in path.parts[:-1]]
    return {path.stat().st_mode & 0o777 for path in found}
