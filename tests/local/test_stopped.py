"""A run that is stopped, by its time or by a signal, keeps what is done, and the same command goes on."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import pytest

from spark_infer.errors import StoppedError
from spark_infer.job.units.history import history
from spark_infer.tables.local_tables import LocalTables
from tests.gate import Gate
from tests.local.eight import EACH, FILES, ROWS, exact, old_rows
from tests.local.jobs import job, read
from tests.pairwise import pairwise

SOON = 1e-9


@pytest.mark.usefixtures("in_this_process")
@pytest.mark.parametrize(("mode", "kind"), pairwise(["append", "overwrite"], ["delta", "parquet"]))
def test_commands_without_time_do_a_unit_each_and_publish_as_the_mode_allows(
    line: str, files: Path, tmp_path: Path, kind: str, mode: str
) -> None:
    old_rows(line, tmp_path, kind)
    target = {"path": str(tmp_path / "out"), "format": kind, "mode": mode}
    scoring = job(line, {"path": str(files)}, target, max_runtime=SOON, **EACH)
    for done in range(1, FILES):
        with pytest.raises(StoppedError) as stopped:
            scoring.run()
        there = f", and {done} of them are in the target" if mode == "append" else "; their rows are kept beside"
        assert stopped.value.details[0].startswith(f"{done} of 8 units are done{there}")
        assert len(read(tmp_path / "out")) == 4 + (done * ROWS if mode == "append" else 0)
    assert "  stopped by max_runtime at 20" in str(history(scoring.config, LocalTables())[-1])
    report = scoring.run()
    assert (report.units_before, report.rows_scored) == (FILES - 1, FILES * ROWS)
    assert history(scoring.config, LocalTables())[-1].last_end is None
    exact(tmp_path / "out")
    assert [row["id"] < 0 for row in read(tmp_path / "out")].count(True) == (4 if mode == "append" else 0)


@pytest.mark.parametrize(("number", "code", "who"), [(signal.SIGINT, 130, "Ctrl-C"), (signal.SIGTERM, 143, "SIGTERM")])
def test_a_signal_stops_a_command_at_once_and_the_same_command_goes_on(
    line: str, files: Path, tmp_path: Path, number: signal.Signals, code: int, who: str
) -> None:
    gate = Gate(tmp_path, line, files, "run", "--set", "engine=local")
    with gate.command() as running:
        gate.wait_for(units=5)
        begin = time.monotonic()
        gate.signal(running, number)
        out, err = running.communicate(timeout=30)
        assert time.monotonic() - begin < 10
    assert (running.returncode, out) == (code, "")
    *_, what, done, next_step, log = err.splitlines()
    assert what == f"interrupted: stopped by {who}"
    assert done == "  5 of 8 units are done; their rows are kept beside the target until all are"
    assert next_step == "Next: run the same command again: it goes on from there."
    assert "Traceback" not in err + Path(log.removeprefix("Log: ")).read_text()
    assert not gate.left_running()
    assert not (tmp_path / "out").exists()
    if number == signal.SIGTERM:  # what comes after is the same
        return
    gate.open()
    with gate.command() as again:
        out, err = again.communicate(timeout=60)
    assert again.returncode == 0, err
    assert "160 rows scored" in out
    exact(tmp_path / "out")
