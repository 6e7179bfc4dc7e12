"""A batch that there is too little memory for is predicted in pieces, and those after it are cut at once."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from spark_infer.core.bad_rows import BadRowLimits
from spark_infer.core.contract import bind
from spark_infer.core.exception_text import describe_exception
from spark_infer.core.memory_ceiling import MemoryCeiling, is_out_of_memory
from spark_infer.core.outputs import Predictions
from spark_infer.core.scoring import score_batches
from spark_infer.core.scoring_steps import ScoringSteps
from spark_infer.core.signature import Column, Signature
from spark_infer.core.stats import Stats
from spark_infer.errors import ModelMemoryError, PredictError

TABLE = pa.schema([("x", pa.float64())])


class Cramped:
    """Doubles its input, with memory for some rows at once."""

    def __init__(self, room: int, fault: Exception | None = None, poison: float = -1.0) -> None:
        self.room, self.fault, self.poison = room, fault, poison
        self.calls: list[int] = []

    def predict(self, inputs: pa.RecordBatch) -> Predictions:
        self.calls.append(inputs.num_rows)
        values = inputs.column("x").to_numpy()
        if inputs.num_rows > self.room:
            if self.fault is not None:
                raise self.fault
            np.empty(2**50)
        if self.poison in values:
            raise ValueError("no")
        return {"x": values * 2}

    def close(self) -> None:
        pass


def scored(model: Any, rows: int, **how: Any) -> tuple[list[float | None], Stats]:
    stats = Stats()
    batch = pa.record_batch([np.arange(rows, dtype=float)], schema=TABLE)
    steps = ScoringSteps(
        label="m version 1",
        binding=bind(TABLE, Signature(inputs=(Column(name="x", type=pa.float64()),))),
        raw_outputs=TABLE,
        outputs=TABLE,
        preprocess=None,
        postprocess=lambda batch: batch,
        max_batch_bytes=10**9,
        **{"batch_size": 100, **how},
    )
    found = list(score_batches(iter([batch]), lambda: model, steps, stats))
    return [row["x"] for each in found for row in each.outputs.to_pylist()], stats


@pytest.mark.parametrize("deduplicate", ["never", "always"])
def test_a_batch_is_halved_until_it_fits_and_later_ones_are_cut_at_once(deduplicate: str) -> None:
    model, noted = Cramped(30), list[int]()
    outputs, stats = scored(model, 300, ceiling=MemoryCeiling(note=noted.append), deduplicate=deduplicate)
    assert outputs == [2.0 * row for row in range(300)]
    assert model.calls == [100, 50, 25, 25, 25, 25, *[25] * 8]
    assert (noted, stats.cut_batches, stats.cut_rows, stats.predicted) == ([25], 3, 75, 300)


def test_what_is_known_from_before_cuts_the_first_batch_and_is_lowered_where_that_is_too_much() -> None:
    model, noted = Cramped(30), list[int]()
    outputs, _ = scored(model, 100, ceiling=MemoryCeiling(40, noted.append))
    assert outputs == [2.0 * row for row in range(100)]
    assert (model.calls, noted) == ([40, 20, 20, 20, 20, 20], [20])


def test_a_batch_that_fits_is_one_call_and_is_not_copied() -> None:
    model = Cramped(100)
    _, stats = scored(model, 100)
    assert (model.calls, stats.cut_batches) == ([100], 0)


def test_one_row_that_there_is_no_memory_for_ends_the_task_and_says_nothing_of_batches() -> None:
    for limits in (None, BadRowLimits()):
        model, noted = Cramped(0), list[int]()
        with pytest.raises(PredictError, match="raised on a batch of 1 rows"):
            scored(model, 100, ceiling=MemoryCeiling(note=noted.append), bad_rows=limits)
        assert (model.calls, noted) == ([100, 50, 25, 12, 6, 3, 1], [])


def test_a_row_that_takes_all_memory_in_a_process_of_its_own_is_found_and_lowers_no_ceiling() -> None:
    class Eaten(Cramped):
        def predict(self, inputs: pa.RecordBatch) -> Predictions:
            if 77.0 in inputs.column("x").to_pylist():
                self.calls.append(inputs.num_rows)
                raise ModelMemoryError.on_row("MemoryError") if inputs.num_rows == 1 else MemoryError
            return super().predict(inputs)

    model, noted = Eaten(100), list[int]()
    outputs, stats = scored(model, 100, ceiling=MemoryCeiling(note=noted.append), bad_rows=BadRowLimits())
    assert outputs == [None if row == 77 else 2.0 * row for row in range(100)]
    assert (noted, dict(stats.errors)) == ([], {"ModelMemoryError": 1})
    assert len(model.calls) < 25


def test_a_bad_row_of_a_batch_that_is_too_large_is_found() -> None:
    outputs, stats = scored(Cramped(30, poison=77.0), 100, bad_rows=BadRowLimits())
    assert outputs == [None if row == 77 else 2.0 * row for row in range(100)]
    assert stats.errors == {"ValueError": 1}


def _of_torch() -> Exception:
    torch = pytest.importorskip("torch")
    error: Exception = torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB.")
    return error


def _of_onnx_runtime() -> Exception:
    state = pytest.importorskip("onnxruntime.capi.onnxruntime_pybind11_state")
    error: Exception = state.RuntimeException(
        "[ONNXRuntimeError] : 6 : RUNTIME_EXCEPTION : Exception during initialization: bfc_arena.cc:376 "
        "AllocateRawInternal Failed to allocate memory for requested buffer of size 51380224"
    )
    return error


@pytest.mark.parametrize(
    "make",
    [
        _of_torch,
        _of_onnx_runtime,
        lambda: MemoryError(),
        lambda: RuntimeError(
            "[enforce fail at alloc_cpu.cpp:83] err == 0. DefaultCPUAllocator: can't allocate memory: you tried to "
            "allocate 4000000000000 bytes. Error code 12 (Cannot allocate memory)"
        ),
        lambda: RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
        lambda: RuntimeError("std::bad_alloc"),
    ],
)
def test_what_frameworks_say_of_memory_halves_the_batch(make: Any) -> None:
    model = Cramped(60, make())
    outputs, _ = scored(model, 100)
    assert outputs == [2.0 * row for row in range(100)]
    assert model.calls == [100, 50, 50]


class XGBoostError(ValueError):
    """As xgboost has it."""

    __module__ = "xgboost.core"


def test_errors_of_xgboost_are_about_memory_though_they_are_value_errors() -> None:
    assert is_out_of_memory(XGBoostError("Memory allocation error on worker 0: std::bad_alloc"))


def test_a_text_that_a_value_error_quotes_is_not_about_memory() -> None:
    said = "unknown complaint: 'cannot allocate memory'"
    for error in (ValueError(said), KeyError(said)):
        assert not is_out_of_memory(error)
        shown = PredictError("The model raised.", details=[said])
        shown.__context__ = error
        assert not is_out_of_memory(shown)
    assert is_out_of_memory(RuntimeError(said))


def test_a_long_text_is_looked_at_quickly() -> None:
    error, began = RuntimeError("unable to allocate " + "1" * 50_000_000), time.monotonic()
    assert not is_out_of_memory(error)
    describe_exception(error, show_values=True)
    assert time.monotonic() - began < 2


class Mute(Exception):
    """Its text cannot be had."""

    def __str__(self) -> str:
        raise RuntimeError("no text")


def test_a_row_whose_exception_has_no_text_is_a_bad_row() -> None:
    class Raises(Cramped):
        def predict(self, inputs: pa.RecordBatch) -> Predictions:
            if 7.0 in inputs.column("x").to_pylist():
                raise Mute
            return super().predict(inputs)

    outputs, stats = scored(Raises(100), 20, bad_rows=BadRowLimits(), show_values=True)
    assert outputs == [None if row == 7 else 2.0 * row for row in range(20)]
    assert stats.errors == {"Mute": 1}


def test_other_failures_are_not_about_memory() -> None:
    for error in (ValueError("no room"), RuntimeError("CUDA error: device-side assert triggered"), OSError("no file")):
        assert not is_out_of_memory(error)


def test_what_another_process_found_out_meanwhile_is_taken_over_after_one_call_that_fails() -> None:
    node: list[int] = []

    @contextmanager
    def after_the_other() -> Iterator[None]:
        node.append(20)
        yield

    model = Cramped(30)
    ceiling = MemoryCeiling(known=lambda: node[-1] if node else None, alone=after_the_other)
    outputs, stats = scored(model, 100, ceiling=ceiling)
    assert outputs == [2.0 * row for row in range(100)]
    assert (model.calls, node) == ([100, 20, 20, 20, 20, 20], [20])
    assert (stats.out_of_memory, ceiling.rows) == (1, 20)
