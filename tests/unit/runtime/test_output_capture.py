# ruff: noqa: T201 - what is printed is the subject
"""What a block prints is in the log and not on the screen; everything else is where it was."""

from __future__ import annotations

import contextlib
import io
import logging
import sys
import threading
import warnings
from collections.abc import Iterator

import pytest
from tqdm import tqdm  # type: ignore[import-untyped] # it ships no types

from spark_infer.models.registry.mlflow_calls import within
from spark_infer.runtime.output_capture import captured, captured_output, capturing, open_worker_log

LOGGER = "spark_infer.runtime.output_capture"


def speak() -> None:
    print("printed", "in parts")
    print("to stderr", file=sys.stderr)
    sys.stdout.write("half a line")
    for _ in tqdm(range(2), desc="bar"):
        pass


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.INFO, logger=LOGGER)
    return caplog


def test_prints_and_progress_bars_go_to_the_log_line_by_line(
    log: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    before = (sys.stdout, sys.stderr)
    with captured_output():
        speak()
    assert (sys.stdout, sys.stderr) == before
    assert capsys.readouterr() == ("", "")
    assert log.messages[:2] == ["printed in parts", "to stderr"]
    assert any(message.startswith("half a line") for message in log.messages)
    assert any("bar: 100%" in message for message in log.messages)


@pytest.mark.filterwarnings("default")
def test_warnings_and_loggers_that_nobody_configured_go_there_too(
    log: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As in a process without pytest: warnings are written out, and the last resort is all that logging has.
    stderr = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stderr)
    monkeypatch.setattr(warnings, "showwarning", _write_out)
    framework = logging.getLogger("a_framework")
    monkeypatch.setattr(framework, "propagate", False)
    with captured_output():
        warnings.warn("old version", UserWarning, stacklevel=1)
        framework.warning("logged")
        framework.info("not said")
    assert stderr.getvalue() == ""
    assert any("UserWarning: old version" in message for message in log.messages)
    assert "logged" in log.messages
    framework.warning("outside")
    assert stderr.getvalue() == "outside\n"


def _write_out(message: Warning | str, category: type[Warning], filename: str, lineno: int, *_: object) -> None:
    print(warnings.formatwarning(message, category, filename, lineno), file=sys.stderr)


def test_other_threads_keep_the_screen_and_helpers_of_the_block_do_not(
    log: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    with captured_output():
        other = threading.Thread(target=print, args=("theirs",))
        other.start()
        other.join()
        within(5, lambda: print("ours"), "nothing")
    assert capsys.readouterr().out == "theirs\n"
    assert log.messages == ["ours"]


def test_a_function_captures_in_whatever_thread_it_is_called(
    log: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    thread = threading.Thread(target=captured(print), args=("from elsewhere",))
    thread.start()
    thread.join()
    assert (log.messages, capsys.readouterr()) == (["from elsewhere"], ("", ""))


def test_a_handler_that_writes_to_the_screen_writes_each_line_once(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = io.StringIO()
    monkeypatch.setattr(sys, "stderr", screen)
    logger = logging.getLogger(LOGGER)
    monkeypatch.setattr(logger, "propagate", False)
    logger.setLevel(logging.INFO)
    with captured_output():
        handler = logging.StreamHandler()  # of the stream that captures
        logger.addHandler(handler)
        print("once", file=sys.stderr)
        logger.removeHandler(handler)
    logger.setLevel(logging.NOTSET)
    assert screen.getvalue() == "once\n"


def test_a_library_that_made_a_handler_for_itself_before_is_captured_too(capsys: pytest.CaptureFixture[str]) -> None:
    library, handler = logging.getLogger("transformers"), logging.StreamHandler()
    library.addHandler(handler)
    try:
        with captured_output():
            library.warning("inside")
        library.warning("outside")
    finally:
        library.removeHandler(handler)
    assert capsys.readouterr().err == "outside\n"


def test_blocks_end_in_any_order_and_after_errors(capsys: pytest.CaptureFixture[str]) -> None:
    before = (sys.stdout, sys.stderr)
    inner_left, outer_left = threading.Event(), threading.Event()

    def outer() -> None:
        with captured_output():
            inner_left.wait(5)
        outer_left.set()

    thread = threading.Thread(target=outer)
    thread.start()
    with contextlib.suppress(ValueError), captured_output():
        raise ValueError
    print("between")
    inner_left.set()
    thread.join()
    assert (sys.stdout, sys.stderr) == before
    assert capsys.readouterr().out == "between\n"


def test_a_generator_is_captured_while_it_works_and_not_between(
    log: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    closed = []

    def work() -> Iterator[int]:
        try:
            for number in range(3):
                print(f"inside {number}")
                yield number
        finally:
            closed.append(True)

    items = capturing(work())
    for number in items:
        print(f"between {number}")
        if number == 1:
            break
    items.close()  # type: ignore[attr-defined]
    assert closed == [True]
    assert capsys.readouterr().out == "between 0\nbetween 1\n"
    assert log.messages == ["inside 0", "inside 1"]


@pytest.mark.parametrize(("asked", "shown"), [("", ["error"]), ("WARNING", ["warning", "error"]), ("info", None)])
def test_a_worker_writes_errors_alone_unless_a_level_is_asked_for(
    asked: str, shown: list[str] | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    stderr = io.StringIO()
    monkeypatch.setattr(sys, "__stderr__", stderr)
    ours = logging.getLogger("spark_infer")
    monkeypatch.setattr(ours, "handlers", [])
    monkeypatch.setattr(ours, "propagate", False)
    level = ours.level
    try:
        for _ in range(2):  # each task asks
            open_worker_log({"SPARK_INFER_LOG_LEVEL": asked} if asked else {})
        with captured_output():
            print("printed")
        logger = logging.getLogger("spark_infer.spark.worker")
        logger.warning("warning")
        logger.error("error")
    finally:
        ours.setLevel(level)
    lines = [line.rpartition(": ")[2] for line in stderr.getvalue().splitlines()]
    assert lines == (shown or ["printed", "warning", "error"])
