"""A session that starts in the background: who waits for it, and what becomes of it when it is not wanted any more."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

from spark_infer.errors import EnvironmentProblem
from spark_infer.spark.starting_session import started, starting_session


class Session:
    """What happens to a session, in its order; Spark starts only when the test lets it."""

    def __init__(self) -> None:
        self.happened: list[str] = []
        self.may_start = threading.Event()

    def open(self, go_on: Callable[[], None]) -> Any:
        self.happened.append("jvm")
        go_on()
        self.may_start.wait(30)
        self.happened.append("spark")
        return self

    def stop(self) -> None:
        self.happened.append("stopped")


def go_on_and(work: Callable[[], None], session: Session) -> None:
    with starting_session(session.open) as starting:
        starting.go_on()
        work()


def test_a_session_starts_beside_the_work_and_is_stopped_at_the_end() -> None:
    session = Session()
    there: Any = session
    with starting_session(session.open) as starting:
        starting.go_on()
        assert not starting.session.done()
        session.may_start.set()
        assert starting.session.result() is there
    assert session.happened == ["jvm", "spark", "stopped"]


def test_spark_does_not_start_where_the_work_fails_before_it_is_wanted() -> None:
    session = Session()
    with pytest.raises(LookupError), starting_session(session.open) as starting:
        raise LookupError
    assert isinstance(starting.session.exception(timeout=30), EnvironmentProblem)
    assert session.happened == ["jvm"]


def test_a_session_that_starts_while_the_work_fails_is_stopped_when_it_has() -> None:
    session = Session()

    def work() -> None:
        threading.Timer(0.05, session.may_start.set).start()
        raise LookupError

    with pytest.raises(LookupError):
        go_on_and(work, session)
    assert session.happened == ["jvm", "spark", "stopped"]


def test_a_ctrl_c_does_not_wait_for_a_session_that_starts() -> None:
    session = Session()

    def work() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        go_on_and(work, session)
    assert "spark" not in session.happened
    session.may_start.set()


def test_who_asks_for_a_session_gets_the_error_of_its_start() -> None:
    def fail(go_on: Callable[[], None]) -> Any:
        raise EnvironmentProblem("There is no Java.")

    with starting_session(fail) as starting:
        starting.go_on()
        with pytest.raises(EnvironmentProblem, match="no Java"):
            starting.session.result()


def test_a_session_that_is_there_keeps_nobody_waiting() -> None:
    there: Any = Session()
    assert started(there).result(timeout=0) is there
