"""Why the last command of an unfinished run ended, as its ledger has it."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path

import pytest

from spark_infer.errors import PredictError, StoppedError
from spark_infer.job.units.concurrent_drivers import taking_part
from spark_infer.runtime.process_identity import ProcessIdentity
from spark_infer.runtime.stop_signals import Terminated
from spark_infer.tables.ledger import drivers
from spark_infer.tables.ledger.drivers import Driver
from spark_infer.tables.ledger.ends import last_end
from spark_infer.tables.ledger.ledger import Ledger
from spark_infer.tables.ledger.signed import stamped
from spark_infer.tables.storage import open_storage


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    folder = open_storage(f"file://{tmp_path}/run")
    assert folder is not None
    return Ledger(folder)


def end(ledger: Ledger, session: str, error: BaseException) -> None:
    """A command that takes part in the run and ends by an error."""
    with pytest.raises(type(error)), taking_part(ledger, session):
        raise error


@pytest.mark.parametrize(
    ("error", "why"),
    [
        (KeyboardInterrupt(), "stopped by Ctrl-C"),
        (Terminated(), "stopped by SIGTERM"),
        (StoppedError.by_time("2 of 4 units are done"), "stopped by max_runtime"),
        (PredictError("Jane Doe"), "failed with PredictError"),
    ],
    ids=lambda value: str(value) or type(value).__name__,
)
def test_a_command_leaves_the_kind_of_its_end_and_no_text_of_its_error(
    ledger: Ledger, error: BaseException, why: str
) -> None:
    assert last_end(ledger) is None
    end(ledger, "one", error)
    found = last_end(ledger)
    assert found is not None
    assert found.why == why
    assert abs((datetime.now(timezone.utc) - found.at).total_seconds()) < 60


def test_the_last_of_several_ends_counts_and_none_while_a_driver_is_at_work(ledger: Ledger) -> None:
    end(ledger, "two", KeyboardInterrupt())
    end(ledger, "one", PredictError("it raised"))
    assert str(last_end(ledger)).startswith("failed with PredictError at 20")
    with taking_part(ledger, "three"):
        assert last_end(ledger) is None


def test_a_command_that_left_nothing_was_killed(ledger: Ledger) -> None:
    end(ledger, "one", KeyboardInterrupt())
    dead = replace(ProcessIdentity.own(), born="0")
    drivers.enter(ledger, Driver(session="two", process=dead, since=datetime.now(timezone.utc)))
    assert str(last_end(ledger)).startswith("killed, or its machine is gone at 20")


def test_a_finished_run_gets_no_note_and_a_damaged_one_is_passed_over(ledger: Ledger) -> None:
    ledger.make_folder(ledger.folder.below("ends"))
    for name, text in {"a": b"{", "b": b'{"at": 5, "why": "x"}', "c": b"[]"}.items():
        ledger.create(f"ends/{name}.json", text)
    assert last_end(ledger) is None
    assert ledger.finish(stamped({"run": "theirs"}))
    end(ledger, "one", PredictError("it raised"))
    assert last_end(ledger) is None


def test_a_note_that_cannot_be_written_hides_no_error(ledger: Ledger, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "ends").write_text("a file")
    end(ledger, "one", PredictError("it raised"))
