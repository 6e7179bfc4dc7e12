"""A model in a process of its own, for a worker whose own CUDA is bound to another GPU.

CUDA reads `CUDA_VISIBLE_DEVICES` once, when it starts. A worker that Spark hands another GPU afterwards cannot reach
it, so the model runs in a child that starts with the new GPU. Batches go there as Arrow streams, predictions come back
pickled, both over pipes. The child ends with its model's `close`, and when the worker dies, however it dies.

Run as a module, this file is the child.
"""

from __future__ import annotations

import gc
import os
import pickle
from collections.abc import Callable
from typing import IO, Any

import pyarrow as pa

from spark_infer.core.outputs import Predictions
from spark_infer.errors import RunError
from spark_infer.runtime.child_process import Child, answer, messages, own_pipes, write
from spark_infer.runtime.output_capture import captured_output, open_worker_log
from spark_infer.runtime.process_state import this_process


class HostedModel:
    """A loaded model that lives in a child process.

    Args:
        load: Loads it; sent to the child by its name and arguments.
        threads: Threads that it may use.
        address: The GPU, for messages.

    Raises:
        SparkInferError: What loading it there raised.
        RunError: The child died.
    """

    def __init__(self, load: Callable[[], Any], *, threads: int, address: str | None) -> None:
        self._address = address
        self._child = Child("spark_infer.runtime.model_host")
        try:
            self._how, self._outputs, fell_back = self._ask(pickle.dumps((load, threads)))
        except BaseException:
            self.close()
            raise
        for _ in range(fell_back):
            this_process().device.fall_back("the framework sees no GPU")

    @property
    def how(self) -> str:
        """How batches reach the model."""
        return f"{self._how}; in a process of its own"

    def outputs(self) -> pa.Schema | None:
        """Columns it returns, where it knows."""
        return self._outputs

    def predict(self, inputs: pa.RecordBatch) -> Predictions:
        """Predict one batch in the child; what the model raises there is raised here."""
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, inputs.schema) as stream:
            stream.write_batch(inputs)
        predictions: Predictions = self._ask(sink.getvalue())
        return predictions

    def close(self) -> None:
        """End the child, and with it everything that it holds on its GPU."""
        self._child.close()

    def _ask(self, message: bytes | pa.Buffer) -> Any:
        try:
            return self._child.ask(message)
        except EOFError:
            raise RunError.process_died(
                f"The process of the model on GPU {self._address}",
                self._child.status(),
                details=["what it wrote is in the log of the executor"],
                more_memory="give the executors more memory (spark.executor.memoryOverhead)",
            ) from None


def serve(receive: IO[bytes], send: IO[bytes]) -> None:
    """Load the model of the first message and predict for every other one; returns when the worker is gone."""
    process, received = this_process(), messages(receive)
    try:
        load, threads = pickle.loads(received.get() or b"")
        process.threads.set(threads)
        with captured_output():
            model = load()
        process.threads.set(threads)
        write(send, answer(True, (model.how, model.outputs(), process.device.fallbacks)))
    except (Exception, SystemExit) as error:
        write(send, answer(False, error))
        return
    while (message := received.get()) is not None:
        with pa.ipc.open_stream(message) as stream:
            inputs = stream.read_next_batch()
        try:
            with captured_output():
                found = answer(True, model.predict(inputs))
        except (Exception, SystemExit) as error:
            found = answer(False, error)
        write(send, found)
    model.close()
    gc.collect()  # models lie in cycles; what ends them must not wait for the interpreter's end


def main() -> None:
    """Serve the worker on the pipes that it gave; what the model reads or prints stays out of them."""
    open_worker_log(os.environ)
    serve(*own_pipes())


if __name__ == "__main__":
    main()
