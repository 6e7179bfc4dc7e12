"""A model whose process ends is started again; what it failed for is an error that a row may be to blame for."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from spark_infer.core.bad_rows import BadRowLimits
from spark_infer.core.buckets import PreparedRows
from spark_infer.core.contract import bind
from spark_infer.core.exception_text import describe_exception
from spark_infer.core.scoring import score_batches
from spark_infer.core.scoring_steps import ScoringSteps
from spark_infer.core.signature import Column, Signature
from spark_infer.core.stats import Stats
from spark_infer.errors import (
    DeadlineError,
    ModelCrashedError,
    ModelHungError,
    ModelLoadError,
    ModelMemoryError,
    RunError,
    TooManyBadRowsError,
)
from spark_infer.runtime import isolated_model
from spark_infer.runtime.isolated_model import IsolatedModel
from spark_infer.runtime.model_process import ProcessLimits

TABLE = pa.schema([("x", pa.float64())])
CRASHES, HANGS, EATS, RAISES, FORKS, RAISES_ITS_OWN = -1.0, -2.0, -3.0, -4.0, -5.0, -6.0


class OwnError(Exception):
    """Pickling calls it with one argument."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(f"{code} {text}")


class Deadly:
    """Doubles its input, and does to its process what some values say."""

    how, by_row, batch_rows = "as they are", True, 8

    def __init__(self, log: str) -> None:
        self.log = log

    def outputs(self) -> pa.Schema:
        return TABLE

    def predict(self, inputs: pa.RecordBatch) -> dict[str, Any]:
        values = inputs.column("x").to_pylist()
        if FORKS in values and os.fork() == 0:
            Path(self.log).with_name("orphan").write_text(str(os.getpid()))
            time.sleep(20)
            os._exit(0)
        if CRASHES in values:
            os.kill(os.getpid(), signal.SIGSEGV)
        if HANGS in values:
            time.sleep(600)
        if EATS in values:
            bytearray(2**31)
        if RAISES in values:
            raise ValueError("no")
        if RAISES_ITS_OWN in values:
            raise OwnError(7, "no")
        return {"x": inputs.column("x").to_numpy() * 2}

    def close(self) -> None:
        pass


class Prepares(Deadly):
    """The same, with rows that it prepares and predicts by size."""

    batch_cost = 4

    def prepare(self, inputs: pa.RecordBatch) -> PreparedRows:
        return PreparedRows(inputs, np.maximum(inputs.column("x").to_numpy(), 1).astype(np.int64))

    def predict_prepared(self, rows: pa.RecordBatch) -> dict[str, Any]:
        return self.predict(rows)


def loads_what_prepares(log: str) -> Prepares:
    return Prepares(log)


def loads(log: str) -> Deadly:
    with open(log, "a") as file:
        file.write("load\n")
    return Deadly(log)


def dies_at_the_second_load(log: str) -> Deadly:
    if Path(log).exists():
        os.kill(os.getpid(), signal.SIGKILL)
    return loads(log)


def never_loads(log: str) -> Deadly:
    time.sleep(600)
    return loads(log)


Start = Callable[..., IsolatedModel]


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "log"


@pytest.fixture
def start(log: Path) -> Iterator[Start]:
    started: list[IsolatedModel] = []

    def make(load: Callable[..., Deadly] = loads, **limits: Any) -> IsolatedModel:
        how = ProcessLimits(**{"memory_bytes": 2**27, **limits})
        started.append(IsolatedModel(partial(load, str(log)), threads=1, limits=how))
        return started[-1]

    yield make
    for each in started:
        each.close()


def rows(*values: float) -> pa.RecordBatch:
    return pa.record_batch([list(values)], schema=TABLE)


def starts(log: Path) -> int:
    return log.read_text().split().count("load")


def test_a_process_that_a_batch_ends_is_started_again(start: Start, log: Path) -> None:
    model = start()
    assert (model.how, model.outputs(), model.by_row, model.batch_rows) == (
        "as they are; in a process of its own",
        TABLE,
        True,
        8,
    )
    assert model.predict(rows(1, 2))["x"].tolist() == [2, 4]  # type: ignore[union-attr]
    with pytest.raises(ModelCrashedError, match=r"a batch of 2 rows: signal 11 \(SIGSEGV\)\."):
        model.predict(rows(1, CRASHES))
    with pytest.raises(ValueError, match="no"):
        model.predict(rows(RAISES))
    assert model.predict(rows(3))["x"].tolist() == [6]  # type: ignore[union-attr]
    assert starts(log) == 2


def test_a_call_that_hangs_is_ended_and_says_where_it_stood(start: Start) -> None:
    model = start(predict_seconds=0.5)
    with pytest.raises(ModelHungError, match=r"longer than 0\.5 seconds for a batch of 1 rows") as hung:
        model.predict(rows(HANGS))
    assert "test_isolated_model.py" in hung.value.details[1]
    assert isinstance(hung.value, DeadlineError)


def test_what_the_model_has_forked_is_not_waited_for_and_ends_with_its_process(start: Start, log: Path) -> None:
    model, began = start(predict_seconds=0.5), time.monotonic()
    with pytest.raises(ModelHungError):
        model.predict(rows(FORKS, HANGS))
    orphan = int(log.with_name("orphan").read_text())
    while Path(f"/proc/{orphan}/cmdline").exists() and Path(f"/proc/{orphan}/cmdline").read_text():
        assert time.monotonic() - began < 10, "the forked process lives on"
        time.sleep(0.01)
    assert time.monotonic() - began < 10


@pytest.mark.parametrize(("value", "name"), [(RAISES, "ValueError"), (RAISES_ITS_OWN, "OwnError")])
def test_an_exception_of_the_model_keeps_its_class_and_place(start: Start, value: float, name: str) -> None:
    with pytest.raises(Exception, match=r"^(7 )?no$") as raised:
        start().predict(rows(value))
    where, _ = describe_exception(raised.value, show_values=False)
    assert where.partition(" at ")[0].endswith(f".{name}")
    assert "test_isolated_model.py:" in where
    assert where.endswith(" in predict")


def test_a_row_that_takes_all_memory_is_an_error_of_that_row_and_the_process_lives_on(start: Start, log: Path) -> None:
    model = start()
    with pytest.raises(ModelMemoryError, match="for one row alone"):
        model.predict(rows(EATS))
    with pytest.raises(MemoryError):
        model.predict(rows(1, EATS))
    assert model.predict(rows(1))["x"].tolist() == [2]  # type: ignore[union-attr]
    assert starts(log) == 1


def test_a_process_that_ends_while_it_loads_ends_the_task(start: Start) -> None:
    model = start(dies_at_the_second_load)
    with pytest.raises(ModelCrashedError):
        model.predict(rows(CRASHES))
    with pytest.raises(ModelLoadError, match=r"while it loaded the model: signal 9 \(SIGKILL\), as the kernel does"):
        model.predict(rows(1))
    with pytest.raises(DeadlineError, match=r"`load` took longer than 0\.2 seconds"):
        start(never_loads, load_seconds=0.2)


def test_rows_are_prepared_there_too_and_one_that_crashes_is_found_by_the_place_it_had_before(start: Start) -> None:
    model = start(loads_what_prepares)
    outputs, errors = scored(model, [1.0, 3.0, CRASHES, 2.0, 1.0], BadRowLimits())
    assert outputs == [2.0, 6.0, None, 4.0, 2.0]
    assert errors == ["ModelCrashedError"]
    assert start().batch_cost is None


class Started:
    """Fails as a process would, in this one; memory is short after some calls."""

    how, by_row, batch_rows, batch_cost, difference = "as they are", False, None, None, None
    calls_with_memory = 1_000
    starts = 0

    def __init__(self, *_: object, **__: object) -> None:
        type(self).starts += 1
        self.calls = 0

    def outputs(self) -> pa.Schema:
        return TABLE

    def predict(self, inputs: pa.RecordBatch, seconds: float) -> dict[str, Any]:
        values, self.calls = inputs.column("x").to_pylist(), self.calls + 1
        if CRASHES in values:
            raise ModelCrashedError.on_batch("signal 11", inputs.num_rows)
        if HANGS in values:
            raise ModelHungError.on_batch(DeadlineError("late"), seconds, inputs.num_rows)
        if EATS in values or self.calls > self.calls_with_memory:
            raise MemoryError
        if RAISES in values:
            raise ValueError("no")
        return {"x": inputs.column("x").to_numpy() * 2}

    def close(self) -> None:
        pass


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> type[Started]:
    class New(Started):
        pass

    monkeypatch.setattr(isolated_model, "ModelProcess", New)
    return New


@pytest.mark.usefixtures("started")
def test_parts_of_a_batch_that_hung_are_given_less_time_and_single_rows_all_of_it(start: Start) -> None:
    model = start(predict_seconds=1_800.0)
    for values, seconds in (((0.0, 1.0, HANGS), 1800), ((1.0, HANGS), 10), ((HANGS,), 1800), ((1.0, HANGS), 10)):
        with pytest.raises(ModelHungError, match=f"longer than {seconds} seconds"):
            model.predict(rows(*values))
    model.predict(rows(1, 2, 3))
    with pytest.raises(ModelHungError, match="longer than 1800 seconds"):
        model.predict(rows(1, HANGS))


def test_memory_that_other_calls_left_behind_is_not_a_row_s_fault(start: Start, started: type[Started]) -> None:
    started.calls_with_memory = 2
    model = start()
    for value in range(5):
        assert model.predict(rows(value))["x"].tolist() == [2 * value]  # type: ignore[union-attr]
    assert started.starts == 3


def test_a_process_that_ends_every_time_ends_the_task(start: Start, started: type[Started]) -> None:
    model = start()
    for value in (*[CRASHES] * 49, 1.0, *[CRASHES] * 49):
        with pytest.raises(ModelCrashedError) if value == CRASHES else nullcontext():
            model.predict(rows(value))
    with pytest.raises(RunError, match="50 times without an answer in between") as ended:
        model.predict(rows(CRASHES))
    assert not isinstance(ended.value, ModelCrashedError)
    assert started.starts == 1 + 98


def scored(model: IsolatedModel, values: list[float], limits: BadRowLimits) -> tuple[list[Any], list[str]]:
    steps = ScoringSteps(
        label="m version 1",
        binding=bind(TABLE, Signature(inputs=(Column(name="x", type=pa.float64()),))),
        raw_outputs=TABLE,
        outputs=TABLE,
        preprocess=None,
        postprocess=lambda batch: batch,
        batch_size=10_000,
        max_batch_bytes=10**9,
        bad_rows=limits,
    )
    found = list(score_batches(iter([rows(*values)]), lambda: model, steps, Stats()))
    outputs = [row["x"] for each in found for row in each.outputs.to_pylist()]
    return outputs, [row["error_class"] for each in found if each.errors for row in each.errors.to_pylist() if row]


def test_rows_that_crash_hang_or_eat_memory_are_found_with_few_starts(start: Start, started: type[Started]) -> None:
    values = [float(row) for row in range(50_000)]
    bad = {7: CRASHES, 9_000: RAISES, 15_000: HANGS, 29_999: EATS, 45_000: CRASHES, 45_001: HANGS}
    for row, value in bad.items():
        values[row] = value
    outputs, errors = scored(start(predict_seconds=1.0), values, BadRowLimits())
    assert outputs == [None if row in bad else 2 * row for row in range(50_000)]
    crashed, hung = "ModelCrashedError", "ModelHungError"
    assert errors == [crashed, "ValueError", hung, "ModelMemoryError", crashed, hung]
    # Three for each row that ends its process, one to see that memory is short in a new one too.
    assert started.starts <= 1 + 4 * 3 + 1


def test_rows_that_all_end_their_process_stop_the_task_after_few_starts(start: Start, started: type[Started]) -> None:
    for limits, error in ((BadRowLimits(fraction=0.1), TooManyBadRowsError), (BadRowLimits(), RunError)):
        with pytest.raises(error):
            scored(start(), [CRASHES] * 10_000, limits)
    assert started.starts <= 2 + 18 + 50


def test_a_process_that_ends_for_a_batch_and_for_none_of_its_rows_ends_the_task(
    start: Start, started: type[Started], monkeypatch: pytest.MonkeyPatch
) -> None:
    ends = {"left": 1}

    def predict(self: Started, inputs: pa.RecordBatch, seconds: float) -> dict[str, Any]:
        if inputs.num_rows > 100 and ends["left"]:
            ends["left"] -= 1
            raise ModelCrashedError.on_batch("signal 9", inputs.num_rows)
        return {"x": inputs.column("x").to_numpy() * 2}

    monkeypatch.setattr(started, "predict", predict)
    # Once: somebody else ended it, and the batch is predicted the next time.
    assert scored(start(), [1.0] * 10_000, BadRowLimits()) == ([2.0] * 10_000, [])
    ends["left"] = 1_000
    with pytest.raises(ModelCrashedError, match="batch of 10,000 rows") as ended:
        scored(start(), [1.0] * 10_000, BadRowLimits())
    assert "none of its rows fails alone" in str(ended.value)
    assert started.starts < 10
