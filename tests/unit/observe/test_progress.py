from __future__ import annotations

import io
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spark_infer.observe.progress import Progress, ProgressLine, clock_time


class Screen:
    """A terminal of 40 columns, or a file."""

    def __init__(self, *, is_terminal: bool, width: int = 40, encoding: str = "utf-8") -> None:
        self.is_terminal = is_terminal
        self.width = width
        self._bytes = io.BytesIO()
        self.file = io.TextIOWrapper(self._bytes, encoding=encoding, newline="")

    @property
    def text(self) -> str:
        return self._bytes.getvalue().decode(self.file.encoding)


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_rows_rate_and_time_left_follow_from_the_tasks() -> None:
    progress = Progress(tasks_done=3, tasks_total=12, rows_total=4_000, seconds=5.0)
    assert progress.rows_done == 1_000
    assert progress.rows_per_second == 200.0
    assert progress.eta_seconds == 15.0
    assert str(progress) == "25%, 3 of 12 tasks, about 1,000 rows, 200 rows/s, 15 s left"


def test_what_is_not_known_is_left_out() -> None:
    assert str(Progress(0, 12, 4_000, 5.0)) == "0%, 0 of 12 tasks, loading the model and scoring the first rows"
    assert str(Progress(3, 12, None, 5.0)) == "25%, 3 of 12 tasks, 15 s left"
    assert Progress(0, 0, None, 0.0).eta_seconds is None
    assert str(Progress(3, 12, None, 5.0, 1, 1)) == "25%, 3 of 12 tasks, 15 s left"


def test_units_are_told_where_there_are_several() -> None:
    assert str(Progress(3, 12, None, 5.0, 2, 8)) == "25%, 3 of 12 tasks, 2 of 8 units, 15 s left"
    with pytest.raises(ValueError, match="9 of 8 units done"):
        Progress(3, 12, None, 5.0, 9, 8)


@pytest.mark.parametrize("wrong", [(-1, 2, None, 0.0), (3, 2, None, 0.0), (1, 2, -1, 0.0), (1, 2, None, -1.0)])
def test_progress_that_cannot_be_true_is_refused(wrong: tuple[int, int, int | None, float]) -> None:
    with pytest.raises(ValueError, match=r"tasks done|below zero"):
        Progress(*wrong)


@given(
    done=st.integers(0, 10**6),
    more=st.integers(0, 10**6),
    rows=st.none() | st.integers(0, 10**12),
    seconds=st.floats(0, 10**7),
)
def test_no_progress_counts_more_rows_than_there_are(done: int, more: int, rows: int | None, seconds: float) -> None:
    progress = Progress(done, done + more, rows, seconds)
    assert 0 <= progress.share <= 1
    assert progress.rows_done is None or (rows is not None and 0 <= progress.rows_done <= rows)
    assert progress.eta_seconds is None or progress.eta_seconds >= 0
    assert str(progress).isprintable()


def test_a_terminal_gets_one_line_that_is_rewritten_and_wiped() -> None:
    screen = Screen(is_terminal=True)
    with ProgressLine(screen, Clock()) as line:
        line.note("starting Spark")
        line(Progress(1, 2, None, 3.0))
        line(Progress(1, 2, None, 3.0))
    wipe = "\r\x1b[2K"
    assert screen.text == f"{wipe}starting Spark{wipe}██████████░░░░░░░░░░ 50%, 1 of 2 tasks,{wipe}"


def test_the_live_line_never_wraps() -> None:
    screen = Screen(is_terminal=True, width=10)
    with ProgressLine(screen, Clock()) as line:
        line(Progress(1, 2, None, 3.0))
    assert max(len(part.removeprefix("\x1b[2K")) for part in screen.text.split("\r")) < 10


def test_a_file_gets_a_plain_line_every_ten_seconds() -> None:
    screen, clock = Screen(is_terminal=False), Clock()
    with ProgressLine(screen, clock) as line:
        line.note("starting Spark")
        for seconds in range(21):
            clock.now = 100.0 + seconds
            line(Progress(seconds, 20, None, float(seconds)))
    assert screen.text.splitlines() == [
        "starting Spark",
        "scoring: 0%, 0 of 20 tasks, loading the model and scoring the first rows",
        "scoring: 50%, 10 of 20 tasks, 10 s left",
        "scoring: 100%, 20 of 20 tasks, 0 s left",
    ]


def test_a_dumb_terminal_gets_plain_lines() -> None:
    screen = Screen(is_terminal=True)
    screen.is_dumb_terminal = True  # type: ignore[attr-defined]
    with ProgressLine(screen, Clock()) as line:
        line(Progress(1, 2, None, 3.0))
    assert screen.text == "scoring: 50%, 1 of 2 tasks, 3 s left\n"


def test_a_late_call_from_another_thread_writes_nothing() -> None:
    screen = Screen(is_terminal=True)
    with ProgressLine(screen, Clock()) as line:
        pass
    late = threading.Thread(target=line, args=(Progress(1, 2, None, 3.0),))
    late.start()
    late.join()
    line.note("late")
    assert screen.text == ""


def test_a_terminal_without_block_letters_gets_question_marks() -> None:
    screen = Screen(is_terminal=True, width=80, encoding="ascii")
    with ProgressLine(screen, Clock()) as line:
        line(Progress(1, 2, None, 3.0))
    assert "???????????????????? 50%" in screen.text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.4, "0 s"),
        (59.4, "59 s"),
        (59.6, "1 min 0 s"),
        (185, "3 min 5 s"),
        (3599.7, "1 h 0 min"),
        (7800, "2 h 10 min"),
    ],
)
def test_durations_are_written_for_people(seconds: float, text: str) -> None:
    assert clock_time(seconds) == text
