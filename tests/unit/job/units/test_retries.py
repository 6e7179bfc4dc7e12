"""What is tried again, how often and after how long."""

from __future__ import annotations

import pytest

from spark_infer.config.retry import RetryOptions
from spark_infer.errors import (
    CommitConflictError,
    PredictError,
    RunError,
    SourceReadError,
    SparkMustReadError,
    UnexpectedPredictionsError,
    WorkerLostError,
    WriteError,
)
from spark_infer.job.units.retries import retried


def tried(error: RunError, times: int, options: RetryOptions | None) -> tuple[int, list[float]]:
    """How often work is done that fails so many times, and how long is waited in between."""
    waited: list[float] = []
    done = 0

    def work() -> int:
        nonlocal done
        done += 1
        if done <= times:
            raise error
        return done

    return retried(work, options, waited.append)(), waited


@pytest.mark.parametrize("error", [SourceReadError("x"), WriteError("x"), WorkerLostError("x")])
def test_what_may_pass_is_tried_again_after_twice_as_long(error: RunError) -> None:
    done, waited = tried(error, 3, RetryOptions(attempts=4, backoff=10))
    assert done == 4
    assert [least <= wait <= 1.2 * least for least, wait in zip((10, 20, 40), waited, strict=True)] == [True] * 3


@pytest.mark.parametrize("options", [None, RetryOptions(attempts=1), RetryOptions(attempts=2)])
def test_the_last_attempt_raises(options: RetryOptions | None) -> None:
    with pytest.raises(WriteError):
        tried(WriteError("x"), 2, options)


@pytest.mark.parametrize(
    "error", [PredictError("x"), UnexpectedPredictionsError("x"), SparkMustReadError("x"), CommitConflictError("x")]
)
def test_what_would_fail_again_is_not_tried_again(error: RunError) -> None:
    with pytest.raises(type(error)):
        tried(error, 1, RetryOptions(attempts=3, backoff=0))
