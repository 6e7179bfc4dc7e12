"""A ledger counts where nobody but those whom the job trusts can have written it."""

from __future__ import annotations

import ctypes
import grp
import os
import pwd
import shutil
from pathlib import Path
from typing import Any

import pytest

from spark_infer.config import TargetConfig
from spark_infer.errors import ConfigError, LedgerError
from spark_infer.job.units.other_runs import refuse_taken_over
from spark_infer.tables.ledger import access as module
from spark_infer.tables.ledger.access import access_of
from tests.second_user import UMASKS, as_nobody, needs_root, open_for_all, umask
from tests.tree import tree
from tests.unit.tables.ledger.begun import FILES, FOLDERS, ROOT, RUN, begun, ledger, read_all, table

OTHER, MEMBER = 12345, "daemon"


@pytest.mark.parametrize("mask", UMASKS)
def test_a_ledger_is_for_its_user_alone_whatever_the_umask(tmp_path: Path, mask: int) -> None:
    with umask(mask):
        begun(tmp_path)
    modes = {path: facts[0] & 0o7777 for path, facts in tree(tmp_path).items()}
    assert {modes[path] for path in FOLDERS} == {0o700}
    assert {modes[path] for path in FILES} == {0o600}
    read_all(tmp_path)


@pytest.mark.parametrize("mask", UMASKS)
def test_the_folders_around_a_new_table_keep_the_umask(tmp_path: Path, mask: int) -> None:
    (tmp_path / "deep").mkdir()
    with umask(mask):
        begun(tmp_path / "deep" / "er")
    assert (tmp_path / "deep" / "er").stat().st_mode & 0o777 == 0o777 & ~mask


@needs_root
@pytest.mark.parametrize("mask", UMASKS)
def test_a_group_that_the_job_names_shares_the_ledger_whatever_the_umask(tmp_path: Path, mask: int) -> None:
    with umask(mask):
        begun(tmp_path, ledger_group=MEMBER)
    found = tree(tmp_path)
    assert {found[path][0] & 0o7777 for path in [*FOLDERS, f"{RUN}/files/0a1b2c3d"]} == {0o2770}
    assert {found[path][0] & 0o7777 for path in FILES} == {0o640}
    group = grp.getgrnam(MEMBER).gr_gid
    assert {(tmp_path / path).stat().st_gid for path in found} == {group}
    read_all(tmp_path, ledger_group=MEMBER)
    with pytest.raises(LedgerError, match=f"Others may write to .* \\(mode 2770, group {MEMBER}\\)") as refused:
        ledger(tmp_path)
    # The other way would end the sharing.
    assert refused.value.next_step.startswith(
        f"if the group {MEMBER} shares the runs of this table, name it in target.led"
    )


@pytest.mark.parametrize("place", [*FOLDERS, *FILES])
@pytest.mark.parametrize("bits", [0o002, 0o022])
def test_a_ledger_that_others_may_write_to_is_refused(tmp_path: Path, place: str, bits: int) -> None:
    begun(tmp_path)
    spot = tmp_path / place
    spot.chmod(spot.stat().st_mode | bits)
    before = tree(tmp_path)
    with pytest.raises(LedgerError, match=f"Others may write to {spot}, a part of a ledger") as refused:
        read_all(tmp_path)
    assert refused.value.next_step.startswith("run `chmod -R o-w` on the folder of the ledger")
    assert "target.ledger_group" in refused.value.next_step
    assert tree(tmp_path) == before


@needs_root
@pytest.mark.parametrize("place", [*FOLDERS, *FILES])
def test_a_ledger_that_a_group_may_write_to_is_refused_but_for_the_owners_own(tmp_path: Path, place: str) -> None:
    begun(tmp_path)
    spot = tmp_path / place
    spot.chmod(spot.stat().st_mode | 0o020)
    read_all(tmp_path)  # root's own group has nobody else
    os.chown(spot, -1, grp.getgrnam(MEMBER).gr_gid)
    with pytest.raises(LedgerError, match="Others may write to"):
        read_all(tmp_path)
    read_all(tmp_path, ledger_group=MEMBER)


@needs_root
@pytest.mark.parametrize("place", [*FOLDERS, *FILES])
def test_a_ledger_of_another_user_is_refused_until_the_job_names_that_user(tmp_path: Path, place: str) -> None:
    begun(tmp_path)
    os.chown(tmp_path / place, OTHER, OTHER)
    before = tree(tmp_path)
    with pytest.raises(LedgerError, match=f"{place}, a part of a ledger, belongs to the user {OTHER}") as refused:
        read_all(tmp_path)
    assert f"name {OTHER} in target.ledger_users" in refused.value.next_step
    assert tree(tmp_path) == before
    read_all(tmp_path, ledger_users=[str(OTHER)])


@needs_root
@pytest.mark.parametrize("place", [*FOLDERS, *FILES])
def test_a_ledger_of_the_tables_owner_or_of_a_member_of_the_group_counts(tmp_path: Path, place: str) -> None:
    begun(tmp_path)
    member = pwd.getpwnam(MEMBER).pw_uid
    os.chown(tmp_path / place, member, -1)
    with pytest.raises(LedgerError, match=f"belongs to the user {MEMBER}"):
        read_all(tmp_path)
    read_all(tmp_path, ledger_group=MEMBER)
    read_all(tmp_path, ledger_users=MEMBER)
    (tmp_path / "t" / ".spark").mkdir(parents=True)
    os.chown(tmp_path / "t", member, -1)
    with pytest.raises(LedgerError, match=f"belongs to the user {MEMBER}"):
        read_all(tmp_path)  # anybody can make an empty folder where a table is going to be
    (tmp_path / "t" / "part-0.parquet").touch()
    read_all(tmp_path)


@needs_root
def test_an_owner_whom_a_container_cannot_name_may_be_anybody(tmp_path: Path) -> None:
    begun(tmp_path)
    (tmp_path / "t" / "_delta_log").mkdir(parents=True)
    for path in (tmp_path / "t", tmp_path / RUN):
        os.chown(path, 65534, 65534)
    with pytest.raises(LedgerError, match="belongs to the user nobody"):
        read_all(tmp_path)
    read_all(tmp_path, ledger_users=["nobody"])


@pytest.mark.parametrize("place", [*FOLDERS, *FILES])
@pytest.mark.parametrize("dangling", [False, True])
def test_a_part_of_a_ledger_that_is_a_link_is_refused(tmp_path: Path, place: str, dangling: bool) -> None:
    begun(tmp_path)
    spot, aside = tmp_path / place, tmp_path / "aside"
    spot.rename(aside)
    spot.symlink_to(tmp_path / "nothing" if dangling else aside)
    before = tree(tmp_path)
    with pytest.raises(LedgerError, match=f"{place}, a part of a ledger, is a symbolic link"):
        read_all(tmp_path)
    assert tree(tmp_path) == before


@pytest.mark.parametrize("place", FOLDERS)
def test_a_folder_that_is_exchanged_while_a_run_is_at_work_is_found_before_anything_is_sealed_or_published(
    tmp_path: Path, place: str
) -> None:
    made = begun(tmp_path)
    refuse_taken_over(made)
    (tmp_path / place).rename(tmp_path / "aside")
    shutil.copytree(tmp_path / "aside", tmp_path / place)
    (tmp_path / place).chmod(0o777)
    with pytest.raises(LedgerError, match=f"Others may write to {tmp_path / place}"):
        refuse_taken_over(made)
    shutil.rmtree(tmp_path / place)
    (tmp_path / place).symlink_to(tmp_path / "aside")
    with pytest.raises(LedgerError, match="is a symbolic link"):
        refuse_taken_over(made)


def test_a_pipe_in_the_place_of_a_file_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    begun(tmp_path)
    (tmp_path / FILES[0]).unlink()
    os.mkfifo(tmp_path / FILES[0], 0o600)
    with pytest.raises(LedgerError, match="not a folder or file as it should be"):
        read_all(tmp_path)


def test_a_folder_that_is_there_already_is_looked_at_before_it_is_used(tmp_path: Path) -> None:
    made = begun(tmp_path)
    folder = Path(made.staged("0badc0de").root)
    folder.mkdir()
    folder.chmod(0o777)
    with pytest.raises(LedgerError, match="Others may write to"):
        made.make_folder(made.staged("0badc0de"))


def test_a_file_that_lies_among_the_runs_is_left_alone(tmp_path: Path) -> None:
    begun(tmp_path)
    (tmp_path / ROOT / ".nfs0000000000000001").touch(0o666)
    read_all(tmp_path)


@needs_root
def test_root_whom_a_disk_shows_as_nobody_reads_its_own_ledgers(tmp_path: Path) -> None:
    """As NFS with root_squash: files of this process belong to somebody else."""
    open_for_all(tmp_path)
    tmp_path.chmod(0o777)
    set_user = ctypes.CDLL(None).setfsuid
    set_user(65534)
    try:
        begun(tmp_path)
        assert {facts[1] for facts in tree(tmp_path).values()} == {65534}
        read_all(tmp_path)
    finally:
        set_user(0)


def test_where_a_disk_shows_one_owner_and_mode_for_everything_the_modes_say_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun(tmp_path)
    for place in [*FOLDERS, *FILES]:
        (tmp_path / place).chmod(0o777)
    shown = os.stat(tmp_path / ROOT)
    monkeypatch.setattr(module, "_as_shown", lambda folder: shown)
    read_all(tmp_path)


@needs_root
def test_a_ledger_that_may_not_be_read_is_refused_with_its_way_out(tmp_path: Path) -> None:
    begun(tmp_path)
    open_for_all(tmp_path)

    def look() -> None:
        with pytest.raises(LedgerError, match="cannot be read: Permission denied") as refused:
            ledger(tmp_path, ledger_users=["root"])
        assert "target.ledger_group" in str(refused.value)

    as_nobody(look)


@pytest.mark.parametrize(("key", "given"), [("ledger_users", ["no-such-user"]), ("ledger_group", "no-such-group")])
def test_a_user_that_the_machine_does_not_know_is_an_error_in_the_job(tmp_path: Path, key: str, given: Any) -> None:
    with pytest.raises(ConfigError, match=f"target.{key} names 'no-such-"):
        access_of(table(tmp_path), TargetConfig(path="t", **{key: given}))
