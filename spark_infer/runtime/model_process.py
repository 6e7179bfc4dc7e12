"""A model in a process of its own.

Batches go there as Arrow streams, predictions come back pickled, both over pipes. The child ends with its model's
`close`, and when the worker dies, however it dies. The worker needs one where its own CUDA is bound to another GPU,
which CUDA looks up once, when it starts; and for models that may crash or hang (`isolated_model.py`).

Run as a module, this file is the child.
"""

from __future__ import annotations

import gc
import os
import pickle
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import IO, Any

import pyarrow as pa

from spark_infer.core.buckets import PreparedRows
from spark_infer.core.outputs import Predictions
from spark_infer.errors import RunError
from spark_infer.runtime.child_process import Child, answer, messages, own_pipes, write
from spark_infer.runtime.memory import limit_memory
from spark_infer.runtime.model_facts import ModelFacts
from spark_infer.runtime.output_capture import captured_output, open_worker_log
from spark_infer.runtime.process_state import this_process

_HEAD = struct.Struct("<dB")
"""What stands before the rows of a message: how many seconds the call may take, and which of `_CALLS` it is."""
_CALLS = ("predict", "prepare", "predict_prepared")


@dataclass(frozen=True, kw_only=True)
class ProcessLimits:
    """What the process of a model may take; it ends itself where a step takes longer.

    Attributes:
        load_seconds: How long loading may take; None for as long as it likes.
        predict_seconds: The same for one predict call.
        memory_bytes: What predicting may take beyond the loaded model (see `limit_memory`).
    """

    load_seconds: float | None = None
    predict_seconds: float | None = None
    memory_bytes: int | None = None


class ModelProcess:
    """A loaded model that lives in a child process.

    Args:
        load: Loads it; sent to the child by its name and arguments.
        threads: Threads that it may use.
        gone: Makes the error of a child that is gone: while it predicted so many rows, or, with None, while it loaded.
        limits: What the child may take; None leaves it as it is.
        own_group: Whether a Ctrl-C at the terminal is kept from the child.
        environ: Variables that the child has besides those of this process.

    Attributes:
        by_row: Whether the answer for a row is known to depend on that row alone.
        batch_rows: Rows of the batches that it is fastest with; None for the usual ones.
        batch_cost: What a batch takes at most, where it prepares its rows (`core.buckets`).
        difference: How a faster way was seen to answer otherwise than the model; None where it was not.

    Raises:
        SparkInferError: What loading it there raised, or that the child died.
    """

    def __init__(
        self,
        load: Callable[[], Any],
        *,
        threads: int,
        gone: Callable[[Child, int | None], RunError],
        limits: ProcessLimits | None = None,
        own_group: bool = False,
        environ: Mapping[str, str] | None = None,
    ) -> None:
        self._gone = gone
        self._child = Child("spark_infer.runtime.model_process", own_group=own_group, environ=environ)
        self.difference: str | None = None
        try:
            self._facts: ModelFacts = self._ask(pickle.dumps((load, threads, limits)), None)
        except BaseException:
            self.close()
            raise
        facts = self._facts
        self.by_row, self.batch_rows, self.batch_cost = facts.by_row, facts.batch_rows, facts.batch_cost
        facts.note_fallbacks()

    @property
    def how(self) -> str:
        """How batches reach the model."""
        return f"{self._facts.how}; in a process of its own"

    def outputs(self) -> pa.Schema | None:
        """Columns it returns, where it knows."""
        return self._facts.outputs

    def predict(self, inputs: pa.RecordBatch, seconds: float | None = None) -> Predictions:
        """Predict one batch in the child; what the model raises there is raised here.

        Args:
            inputs: The rows.
            seconds: How long it may take before the child ends itself; None for as long as it likes.
        """
        predictions: Predictions = self._call("predict", inputs, seconds)
        return predictions

    def prepare(self, inputs: pa.RecordBatch, seconds: float | None = None) -> PreparedRows:
        """Prepare rows in the child, as `predict`."""
        prepared: PreparedRows = self._call("prepare", inputs, seconds)
        return prepared

    def predict_prepared(self, rows: pa.RecordBatch, seconds: float | None = None) -> Predictions:
        """Predict one batch of prepared rows in the child, as `predict`."""
        predictions: Predictions = self._call("predict_prepared", rows, seconds)
        return predictions

    def close(self) -> None:
        """End the child, and with it everything that it holds on its GPU."""
        self._child.close()

    def _call(self, name: str, rows: pa.RecordBatch, seconds: float | None) -> Any:
        sink = pa.BufferOutputStream()
        sink.write(_HEAD.pack(seconds or 0.0, _CALLS.index(name)))
        with pa.ipc.new_stream(sink, rows.schema) as stream:
            stream.write_batch(rows)
        answered, self.difference = self._ask(sink.getvalue(), rows.num_rows)
        return answered

    def _ask(self, message: bytes | pa.Buffer, rows: int | None) -> Any:
        try:
            return self._child.ask(message)
        except EOFError:
            raise self._gone(self._child, rows) from None


def gone_from_gpu(address: str | None, child: Child, rows: int | None) -> RunError:
    """The error of a child that is gone, and that had a GPU which this process cannot reach."""
    return RunError.process_died(
        f"The process of the model on GPU {address}",
        child.status(),
        details=["what it wrote is in the log of the executor"],
        more_memory="give the executors more memory (spark.executor.memoryOverhead)",
    )


def serve(receive: IO[bytes], send: IO[bytes]) -> None:
    """Load the model of the first message and predict for every other one; returns when the worker is gone."""
    process, received = this_process(), messages(receive)
    try:
        load, threads, limits = pickle.loads(received.get() or b"")
        process.threads.set(threads)
        with captured_output(), process.deadlines.limit("load", limits and limits.load_seconds):
            model = load()
        process.threads.set(threads)
        if limits is not None:
            limit_memory(limits.memory_bytes)
        write(send, answer(True, ModelFacts.of(model)))
    except (Exception, SystemExit) as error:
        write(send, answer(False, error))
        return
    while (message := received.get()) is not None:
        try:
            answered = _answered(model, message)
            found = answer(True, (answered, getattr(model, "difference", None)))
        except (Exception, SystemExit) as error:
            found = answer(False, error)
        write(send, found)
    model.close()
    gc.collect()  # models lie in cycles; what ends them must not wait for the interpreter's end


def _answered(model: Any, message: bytes) -> Any:
    seconds, call = _HEAD.unpack_from(message)
    with pa.ipc.open_stream(pa.py_buffer(message).slice(_HEAD.size)) as stream:
        rows = stream.read_next_batch()
    with captured_output(), this_process().deadlines.limit("predict", seconds or None):
        return getattr(model, _CALLS[call])(rows)


def main() -> None:
    """Serve the worker on the pipes that it gave; what the model reads or prints stays out of them."""
    open_worker_log(os.environ)
    serve(*own_pipes())


if __name__ == "__main__":
    main()
