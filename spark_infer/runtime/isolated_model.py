"""A model that may crash, hang or eat memory: its process is started again, and the worker lives on.

A batch for which the process ends is an error that may be the fault of one of its rows: whoever looks for that row
predicts parts of the batch in the next process, which loads the model again from this node's store.
"""

from __future__ import annotations

import logging
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

import pyarrow as pa

from spark_infer.core.buckets import PreparedRows
from spark_infer.core.memory_ceiling import is_out_of_memory
from spark_infer.core.outputs import Predictions
from spark_infer.errors import (
    ModelCrashedError,
    ModelHungError,
    ModelLoadError,
    ModelMemoryError,
    ModelProcessError,
    RunError,
)
from spark_infer.runtime.child_process import Child
from spark_infer.runtime.deadline import FOLDER, NO_DUMPS, expired, stacks_of
from spark_infer.runtime.model_process import ModelProcess, ProcessLimits

logger = logging.getLogger(__name__)

_Answer = TypeVar("_Answer")

_MOST_ENDS = 50
_SHORT_SECONDS, _SHORT_TIMES = 10.0, 20
"""How long a part of a batch that hung may take: so long, or so many times the slowest call that was answered."""


class IsolatedModel:
    """A loaded model in a child process that is started again after it ended.

    Args:
        load: Loads it; sent to the child by its name and arguments.
        threads: Threads that it may use.
        limits: What the child may take.

    Raises:
        SparkInferError: What loading it there raised; the child died or took too long.
    """

    def __init__(self, load: Callable[[], Any], *, threads: int, limits: ProcessLimits) -> None:
        self._limits = limits
        self._stacks = TemporaryDirectory(prefix="spark_infer-stacks-")
        environ = {FOLDER: self._stacks.name, **NO_DUMPS}
        start = partial(ModelProcess, load, threads=threads, gone=self._gone, limits=limits)
        self._start: Callable[[], ModelProcess] = partial(start, own_group=True, environ=environ)
        self._answered = False
        self._ends, self._hung_rows, self._slowest = 0, 0, 0.0
        self._asked_seconds: float | None = None
        self._model: ModelProcess | None = None
        try:
            self._model = self._start()
        except BaseException:
            self.close()
            raise
        self.how, self._outputs = self._model.how, self._model.outputs()
        self.by_row, self.batch_rows = self._model.by_row, self._model.batch_rows
        self.batch_cost = self._model.batch_cost

    @property
    def difference(self) -> str | None:
        """How a faster way was seen to answer otherwise than the model; None where it was not."""
        return None if self._model is None else self._model.difference

    def outputs(self) -> pa.Schema | None:
        """Columns it returns, where it knows."""
        return self._outputs

    def predict(self, inputs: pa.RecordBatch) -> Predictions:
        """Predict one batch in the child, which is started again where it ended before.

        Raises:
            Exception: What the model raises there.
            ModelProcessError: The child ended, took too long, or ran out of memory for one row alone.
            RunError: It ended many times without an answer in between: that is not the fault of rows.
        """
        return self._asked(ModelProcess.predict, inputs)

    def prepare(self, inputs: pa.RecordBatch) -> PreparedRows:
        """Prepare rows in the child, as `predict`."""
        return self._asked(ModelProcess.prepare, inputs)

    def predict_prepared(self, rows: pa.RecordBatch) -> Predictions:
        """Predict one batch of prepared rows in the child, as `predict`."""
        return self._asked(ModelProcess.predict_prepared, rows)

    def close(self) -> None:
        """End the child."""
        self._end()
        self._stacks.cleanup()

    def _asked(
        self, call: Callable[[ModelProcess, pa.RecordBatch, float | None], _Answer], rows: pa.RecordBatch
    ) -> _Answer:
        try:
            return self._answer(call, rows)
        except ModelProcessError:
            raise
        except (Exception, SystemExit) as error:
            if rows.num_rows > 1 or not is_out_of_memory(error):
                raise
            name, used = type(error).__name__, self._answered
        if used:  # what other rows left behind may have taken the memory
            self._end()
            return self._asked(call, rows)
        raise ModelMemoryError.on_row(name)

    def _answer(
        self, call: Callable[[ModelProcess, pa.RecordBatch, float | None], _Answer], inputs: pa.RecordBatch
    ) -> _Answer:
        if self._model is None:
            self._model, self._answered = self._start(), False
        rows, began = inputs.num_rows, time.monotonic()
        self._asked_seconds = self._may_take(rows)
        try:
            answered = call(self._model, inputs, self._asked_seconds)
        except (ModelCrashedError, ModelHungError) as error:
            self._end()
            self._note_end(error, rows)
            raise
        finally:
            self._ends = 0 if self._model is not None else self._ends
        self._answered = True
        self._slowest = max(self._slowest, time.monotonic() - began)
        self._hung_rows = 0 if rows >= self._hung_rows else self._hung_rows
        return answered

    def _may_take(self, rows: int) -> float | None:
        """How many seconds a call may take: all of them for a batch or a row, few for a part of a batch that hung.

        Parts only narrow down where it hangs: the row that is found is tried alone, and has all the time again.
        """
        most = self._limits.predict_seconds
        if most is None or rows == 1 or rows >= self._hung_rows:
            return most
        return min(most, max(_SHORT_SECONDS, _SHORT_TIMES * self._slowest))

    def _note_end(self, error: ModelProcessError, rows: int) -> None:
        if isinstance(error, ModelHungError):
            self._hung_rows = max(rows, self._hung_rows)
        self._ends += 1
        logger.warning("%s It is started again.", error.what)
        if self._ends >= _MOST_ENDS:
            raise RunError(
                f"The process of the model ended {self._ends} times without an answer in between.",
                details=[f"the last time: {error.what}"],
                next_step="predict a few of the rows in plain Python to see the cause.",
            ) from None

    def _gone(self, child: Child, rows: int | None) -> RunError:
        status = child.status()
        late = expired(stacks_of(Path(self._stacks.name), child.pid))
        if rows is not None:
            if late is not None:
                return ModelHungError.on_batch(late, self._asked_seconds or 0.0, rows)
            return ModelCrashedError.on_batch(ended_by(status), rows)
        return late or ModelLoadError(
            f"The process of the model ended while it loaded the model: {ended_by(status)}.",
            next_step="load the model in plain Python to see the cause; what it wrote is in the log of the worker.",
        )

    def _end(self) -> None:
        if self._model is not None:
            self._model.close()
            self._model = None


def ended_by(status: int) -> str:
    """Say how a process ended, by its exit status."""
    if status >= 0:
        return f"exit status {status}"
    name = ""
    with suppress(ValueError):
        name = f" ({signal.Signals(-status).name})"
    killed = ", as the kernel does where memory runs out" if -status == signal.SIGKILL else ""
    return f"signal {-status}{name}{killed}"
