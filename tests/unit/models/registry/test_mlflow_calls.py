from __future__ import annotations

import os
import threading
import time

import pytest

from spark_infer.models.registry.mlflow_calls import QUESTION, GivenUpError, ask, question_seconds, settings


def test_a_question_runs_with_short_limits_and_leaves_none_behind() -> None:
    before = dict(os.environ)
    assert ask(lambda: {name: os.environ[name] for name in QUESTION}) == QUESTION
    assert dict(os.environ) == before


def test_one_request_and_its_retry_end_within_the_whole_limit() -> None:
    each, retries = int(QUESTION["MLFLOW_HTTP_REQUEST_TIMEOUT"]), int(QUESTION["MLFLOW_HTTP_REQUEST_MAX_RETRIES"])
    assert each * (retries + 1) < question_seconds({}) == 15


def test_what_the_user_has_set_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "77")
    monkeypatch.setenv("MLFLOW_ALLOW_HTTP_REDIRECTS", "true")
    seen = ask(lambda: (os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"], os.environ["MLFLOW_ALLOW_HTTP_REDIRECTS"]))
    assert seen == ("77", "true")
    assert os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"] == "77"


@pytest.mark.parametrize(
    ("environ", "seconds"),
    [
        ({}, 15),
        ({"MLFLOW_HTTP_REQUEST_TIMEOUT": "2"}, 15),
        ({"MLFLOW_HTTP_REQUEST_TIMEOUT": "30"}, 63),
        ({"MLFLOW_HTTP_REQUEST_TIMEOUT": "30", "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "3"}, 123),
        ({"MLFLOW_HTTP_REQUEST_TIMEOUT": "soon"}, 15),
    ],
)
def test_a_user_who_waits_longer_may(environ: dict[str, str], seconds: float) -> None:
    assert question_seconds(environ) == seconds


def test_no_answer_in_time_is_a_timeout_and_puts_the_settings_back() -> None:
    before, never = dict(os.environ), threading.Event()
    started = time.monotonic()
    with pytest.raises(GivenUpError, match=r"no answer in 0.2 seconds") as given_up:
        ask(never.wait, seconds=0.2)
    assert any("threading.py" in call and "in wait" in call for call in given_up.value.stack)
    assert time.monotonic() - started < 5
    assert dict(os.environ) == before
    never.set()


def test_what_the_question_raises_is_raised_here() -> None:
    def question() -> None:
        raise KeyError("x")

    with pytest.raises(KeyError, match="x"):
        ask(question)


def test_settings_that_overlap_in_two_threads_take_turns() -> None:
    before, inside = dict(os.environ), threading.Event()

    def run() -> None:
        with settings({"SPARK_INFER_TEST": "theirs"}):
            inside.set()
            time.sleep(0.2)

    thread = threading.Thread(target=run)
    thread.start()
    inside.wait()
    with settings({"SPARK_INFER_TEST": "ours"}):
        assert os.environ["SPARK_INFER_TEST"] == "ours"
    thread.join()
    assert dict(os.environ) == before
