from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from spark_infer.cli.logfile import default_log_file

NOW = datetime(2025, 1, 2, 3, 4, 5, tzinfo=UTC)


def test_the_default_log_file_follows_the_xdg_specification() -> None:
    for environ, folder in (
        ({"XDG_STATE_HOME": "/state", "HOME": "/h"}, Path("/state/spark_infer/logs")),
        ({"XDG_STATE_HOME": "", "HOME": "/h"}, Path("/h/.local/state/spark_infer/logs")),
    ):
        log = default_log_file("nightly", environ, NOW)
        assert log.parent == folder
        assert log.name.startswith("nightly-20250102T030405Z-")
