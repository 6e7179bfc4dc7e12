"""A ledger that a group shares: who counts as a member, and what a umask keeps from the group."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from spark_infer.config import TargetConfig
from spark_infer.errors import ConfigError, LedgerError, TargetError, WriteError
from spark_infer.tables.ledger.access import access_of
from spark_infer.tables.location import TableLocation
from spark_infer.tables.publishing.move_files import place as put
from spark_infer.tables.writable import check_writable
from tests.second_user import UMASKS, as_nobody, as_user, needs_root, open_for_all, umask
from tests.unit.tables.ledger.begun import RUN, begun, ledger, read_all, table

OTHER, MEMBER, FS_GROUP = 12345, "daemon", "2000"


@needs_root
@pytest.mark.parametrize("mask", UMASKS)
def test_a_umask_that_keeps_the_group_from_writing_the_table_is_a_warning(tmp_path: Path, mask: int) -> None:
    shared, own = (access_of(table(tmp_path), TargetConfig(path="t", ledger_group=group)) for group in (MEMBER, None))
    assert shared is not None
    assert own is not None
    with umask(mask):
        found = shared.warnings()
        assert own.warnings() == ()
    if mask in (0o000, 0o002):
        assert found == ()
    else:
        (warning,) = found
        assert f"the umask {mask:03o} of this process keeps the group {MEMBER}" in warning
        assert "set the umask 002" in warning


@needs_root
def test_members_of_a_group_that_only_their_processes_have_share_the_ledger(tmp_path: Path) -> None:
    """As a volume of Kubernetes with fsGroup: users and group are numbers that the machine does not know."""
    open_for_all(tmp_path)
    shared = shared_folder(tmp_path, 0o2775)
    as_user(lambda: begun(shared, ledger_group=FS_GROUP), OTHER, [int(FS_GROUP)])
    assert {(facts.st_uid, facts.st_gid) for facts in map(os.stat, shared.rglob("*"))} == {(OTHER, int(FS_GROUP))}
    as_user(lambda: read_all(shared, ledger_group=FS_GROUP), OTHER + 1, [int(FS_GROUP)])
    as_user(lambda: read_all(shared / ".." / "shared", ledger_group=FS_GROUP), OTHER + 1, [int(FS_GROUP)])

    def without_the_setting() -> None:
        with pytest.raises(LedgerError, match=f"belongs to the user {OTHER}"):
            read_all(shared)

    as_user(without_the_setting, OTHER + 1, [int(FS_GROUP)])


@needs_root
@pytest.mark.parametrize("mode", [0o2775, 0o775])
def test_a_group_that_is_named_later_gets_the_ledger_of_earlier_runs(tmp_path: Path, mode: int) -> None:
    open_for_all(tmp_path)
    shared = shared_folder(tmp_path, mode)
    as_user(lambda: begun(shared), OTHER, [int(FS_GROUP)])

    def run_again() -> None:
        again = ledger(shared, ledger_group=FS_GROUP)
        again.make_folder(again.staged("11111111"))

    def member_reads() -> None:
        read_all(shared, ledger_group=FS_GROUP)

    def member_is_refused() -> None:
        with pytest.raises(LedgerError, match=r"cannot be read|belongs to the user"):
            member_reads()

    as_user(member_is_refused, OTHER + 1, [int(FS_GROUP)])
    as_user(run_again, OTHER, [int(FS_GROUP)])
    as_user(member_reads, OTHER + 1, [int(FS_GROUP)])


@needs_root
@pytest.mark.parametrize(
    ("place", "change"),
    [
        (".", lambda path: path.chmod(0o2777)),  # there anybody can make a folder that gets the group
        (".", lambda path: os.chown(path, OTHER + 2, OTHER + 2)),
        (RUN, lambda path: os.chown(path, -1, OTHER + 2)),
        (f"{RUN}/plan.json", lambda path: os.chown(path, -1, OTHER + 2)),
    ],
)
def test_a_ledger_that_more_than_the_group_can_have_made_is_refused(
    tmp_path: Path, place: str, change: Callable[[Path], None]
) -> None:
    open_for_all(tmp_path)
    shared = shared_folder(tmp_path, 0o2775)
    as_user(lambda: begun(shared, ledger_group=FS_GROUP), OTHER, [int(FS_GROUP)])
    change(shared / place)

    with pytest.raises(LedgerError, match=f"belongs to the user {OTHER}"):
        read_all(shared, ledger_group=FS_GROUP)


@needs_root
def test_what_a_member_with_another_umask_left_is_refused_with_the_group_and_the_umask(tmp_path: Path) -> None:
    open_for_all(tmp_path)
    shared = shared_folder(tmp_path, 0o2775)

    def first_run() -> None:
        os.umask(0o022)
        made = begun(shared, ledger_group=FS_GROUP)
        for folder in (Path(made.staged("0a1b2c3d").root) / "part=1", shared / "t" / "_delta_log"):
            folder.mkdir(parents=True)
        (shared / RUN / "files" / "0a1b2c3d" / "part=1" / "a.parquet").touch()

    def second_run() -> None:
        os.umask(0o002)
        made = ledger(shared, ledger_group=FS_GROUP)
        wanted = f"has the group {FS_GROUP} and the mode 2755, as after a run of {OTHER} with the umask 022"
        with pytest.raises(WriteError) as refused:
            put(made.staged("0a1b2c3d"), made.folder.below("new"), ["part=1/a.parquet"])
        assert wanted in refused.value.next_step
        with pytest.raises(TargetError) as target:
            check_writable(TableLocation("delta", f"file://{shared}/t"), exists=True)
        assert wanted in target.value.next_step

    as_user(first_run, OTHER, [int(FS_GROUP)])
    as_user(second_run, OTHER + 1, [int(FS_GROUP)])


@needs_root
def test_a_group_that_the_user_is_not_in_is_an_error_in_the_job(tmp_path: Path) -> None:
    def look() -> None:
        with pytest.raises(ConfigError, match=f"names '{MEMBER}', and the user of this process is not in that group"):
            access_of(table(tmp_path), TargetConfig(path="t", ledger_group=MEMBER))
        assert access_of(table(tmp_path), TargetConfig(path="t", ledger_group="nogroup"))

    as_nobody(look)


def shared_folder(tmp_path: Path, mode: int) -> Path:
    """A folder of a group that the machine does not know."""
    folder = tmp_path / "shared"
    folder.mkdir()
    os.chown(folder, 0, int(FS_GROUP))
    folder.chmod(mode)
    return folder
