"""Folders of runs that were killed are removed by the next run, and no others."""

from __future__ import annotations

import fcntl
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from spark_infer.engines.local.stack_files import stacks_folder


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def left(place: Path, *, age_seconds: int = 3600) -> Path:
    folder = Path(tempfile.mkdtemp(prefix="spark_infer-stacks-", dir=place))
    (folder / "17").write_text("a stack")
    when = folder.stat().st_mtime - age_seconds
    os.utime(folder, (when, when))
    return folder


def test_a_folder_lives_as_long_as_its_run(place: Path) -> None:
    with stacks_folder() as folder:
        assert folder.parent == place
        assert folder.stat().st_mode & 0o777 == 0o700
        (folder / "17").write_text("a stack")
    assert list(place.iterdir()) == []


def test_what_killed_runs_left_is_removed(place: Path) -> None:
    gone = [left(place), left(place)]
    with stacks_folder():
        assert not any(folder.exists() for folder in gone)


def _linked(folder: Path) -> None:
    elsewhere = folder.rename(folder.parent / "elsewhere")
    folder.symlink_to(elsewhere)


def _of_another_user(folder: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can give a folder to another user")
    os.chown(folder, 65534, 65534)


@pytest.mark.parametrize("change", [_linked, _of_another_user, lambda folder: folder.chmod(0o755)])
def test_what_is_not_surely_ours_stays(place: Path, change: Callable[[Path], None]) -> None:
    folder = left(place)
    change(folder)
    with stacks_folder():
        assert (folder / "17").read_text() == "a stack"


def test_a_run_that_goes_on_keeps_its_folder(place: Path) -> None:
    running, young = left(place), left(place, age_seconds=0)
    held = os.open(running, os.O_RDONLY)
    fcntl.flock(held, fcntl.LOCK_EX)
    with stacks_folder() as first:
        when = first.stat().st_mtime - 3600
        os.utime(first, (when, when))
        with stacks_folder():
            assert running.exists()
            assert young.exists()
            assert first.exists()
    os.close(held)
    with stacks_folder():
        assert not running.exists()
