"""Settings hold while the body runs, whatever happens in it."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from spark_infer.errors import EnvironmentProblem
from spark_infer.spark.tables.settings import can_set, refuse_lossy_settings, settings


class Conf(dict[str, str]):
    """Spark's conf as far as it is used here; one setting belongs to the platform."""

    def set(self, name: str, value: str) -> None:
        if name == "platform":
            raise PermissionError(name)
        self[name] = value

    def unset(self, name: str) -> None:
        self.pop(name, None)


class Session:
    def __init__(self, **conf: str) -> None:
        self.conf = Conf(conf)


def test_settings_are_put_back_also_after_an_error(caplog: pytest.LogCaptureFixture) -> None:
    session = Session(old="1", platform="theirs")
    held = settings(session, {"old": "2", "new": "3", "platform": "ours"})  # type: ignore[arg-type]

    def fail_inside() -> None:
        with held:
            assert session.conf == {"old": "2", "new": "3", "platform": "theirs"}
            raise KeyError

    with pytest.raises(KeyError):
        fail_inside()
    assert session.conf == {"old": "1", "platform": "theirs"}
    assert "does not let this session set platform" in caplog.text


def test_whether_a_setting_can_be_set_is_found_without_changing_it() -> None:
    session = Session(old="1", platform="theirs")
    assert [can_set(session, name) for name in ("old", "new", "platform")] == [True, True, False]  # type: ignore[arg-type]
    assert session.conf == {"old": "1", "platform": "theirs"}


def test_threads_take_turns_and_leave_the_session_as_it_was() -> None:
    session = Session(old="1")

    def run(facts: str) -> str | None:
        with settings(session, {"old": "2"}), settings(session, {"facts": facts}):  # type: ignore[arg-type]
            time.sleep(0.01)  # long enough for another thread to come between
            return session.conf.get("facts")

    names = [str(each) for each in range(8)]
    with ThreadPoolExecutor(len(names)) as pool:
        assert list(pool.map(run, names)) == names
    assert session.conf == {"old": "1"}


def test_all_lossy_settings_are_named_at_once() -> None:
    session = Session(
        **{
            "spark.sql.files.ignoreCorruptFiles": "TRUE",
            "spark.sql.files.ignoreMissingFiles": "false",
            "spark.hadoop.mapreduce.fileoutputcommitter.algorithm.version": "2",
        }
    )
    with pytest.raises(EnvironmentProblem) as refused:
        refuse_lossy_settings(session)  # type: ignore[arg-type]
    assert [detail.split("=")[0] for detail in refused.value.details] == [
        "spark.sql.files.ignoreCorruptFiles",
        "spark.hadoop.mapreduce.fileoutputcommitter.algorithm.version",
    ]
    refuse_lossy_settings(Session())  # type: ignore[arg-type]
