from __future__ import annotations

import os
import stat
from datetime import datetime, timezone
from pathlib import Path

import pytest

from spark_infer.cli.logfile import create_log, default_log_file

NOW = datetime(2025, 1, 2, 3, 4, 5, tzinfo=timezone.utc)


def test_the_default_log_file_follows_the_xdg_specification() -> None:
    for environ, folder in (
        ({"XDG_STATE_HOME": "/state", "HOME": "/h"}, Path("/state/spark_infer/logs")),
        ({"XDG_STATE_HOME": "", "HOME": "/h"}, Path("/h/.local/state/spark_infer/logs")),
    ):
        log = default_log_file("nightly", environ, NOW)
        assert log.parent == folder
        assert log.name.startswith("nightly-20250102T030405Z-")


@pytest.mark.parametrize("umask", [0o000, 0o002, 0o022, 0o077])
def test_a_new_log_is_its_owners_alone_whatever_the_umask(tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        create_log(tmp_path / "state" / "logs" / "a.log")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "state" / "logs" / "a.log").stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "state" / "logs").stat().st_mode) == 0o700


def test_a_log_that_is_there_keeps_its_mode(tmp_path: Path) -> None:
    (tmp_path / "a.log").touch()
    (tmp_path / "a.log").chmod(0o660)
    create_log(tmp_path / "a.log")
    assert stat.S_IMODE((tmp_path / "a.log").stat().st_mode) == 0o660
