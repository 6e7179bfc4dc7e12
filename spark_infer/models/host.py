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
import queue
import struct
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

import pyarrow as pa

from spark_infer.core.outputs import Predictions
from spark_infer.errors import RunError
from spark_infer.models.backends.spec import LoadSpec
from spark_infer.models.device import fall_back, fallbacks

_LENGTH = struct.Struct("<Q")
_LAST_BATCH_SECONDS = 5
_CLOSE_SECONDS = 10


class HostedModel:
    """A loaded model that lives in a child process.

    Args:
        spec: How to load it.
        folder: Its verified files.

    Raises:
        SparkInferError: What loading it there raised.
        RunError: The child died.
    """

    def __init__(self, spec: LoadSpec, folder: Path) -> None:
        self._address = spec.address
        self._child = subprocess.Popen(
            [sys.executable, "-m", "spark_infer.models.host"],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        try:
            self._how, self._outputs, fell_back = self._ask(pickle.dumps((spec, folder)))
        except BaseException:
            self.close()
            raise
        for _ in range(fell_back):
            fall_back("the framework sees no GPU")

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
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        with suppress(OSError):  # it died with a batch in the pipe
            self._child.stdin.close()
        try:
            self._child.wait(_CLOSE_SECONDS)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait()
        self._child.stdout.close()

    def _ask(self, message: bytes | pa.Buffer) -> Any:
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        try:
            _write(self._child.stdin, message)
            answer = _read(self._child.stdout)
        except BrokenPipeError:
            answer = None
        if answer is None:
            raise RunError(
                f"The process of the model on GPU {self._address} died with exit status {self._child.wait()}: killed "
                "for memory, or crashed in native code.",
                details=["what it wrote is in the log of the executor"],
                next_step="lower batch_size or max_batch_bytes, or give the executors more memory "
                "(spark.executor.memoryOverhead).",
            )
        well, value = pickle.loads(answer)
        if not well:
            raise value
        return value


def _write(pipe: IO[bytes], message: bytes | pa.Buffer) -> None:
    pipe.write(_LENGTH.pack(len(message)))
    pipe.write(message)
    pipe.flush()


def _read(pipe: IO[bytes]) -> bytes | None:
    """Return the next message; None where the other side is gone."""
    head = pipe.read(_LENGTH.size)
    if len(head) < _LENGTH.size:
        return None
    (length,) = _LENGTH.unpack(head)
    message = pipe.read(length)
    return message if len(message) == length else None


def _answer(well: bool, value: object) -> bytes:
    try:
        answer = pickle.dumps((well, value), protocol=5)
        pickle.loads(answer)
    except Exception as error:
        if well:
            return _answer(False, RunError(f"The predictions cannot be pickled ({type(error).__name__})."))
        # An exception with a constructor of its own; its class and text are what is told of it.
        return pickle.dumps((False, RuntimeError(f"{type(value).__qualname__}: {value}")))
    return answer


def _messages(pipe: IO[bytes]) -> queue.Queue[bytes | None]:
    """Read messages beside the model, None as the last; end this process soon after, also amid a long batch."""
    messages: queue.Queue[bytes | None] = queue.Queue()

    def read() -> None:
        while (message := _read(pipe)) is not None:
            messages.put(message)
        messages.put(None)
        time.sleep(_LAST_BATCH_SECONDS)
        os._exit(1)

    threading.Thread(target=read, name="spark_infer-host", daemon=True).start()
    return messages


def serve(receive: IO[bytes], send: IO[bytes]) -> None:
    """Load the model of the first message and predict for every other one; returns when the worker is gone."""
    from spark_infer.models.backends import load
    from spark_infer.models.threads import limit_threads

    messages = _messages(receive)
    try:
        spec, folder = pickle.loads(messages.get() or b"")
        limit_threads(spec.threads)
        model = load(spec, folder)
        limit_threads(spec.threads)
        _write(send, _answer(True, (model.how, model.outputs(), fallbacks())))
    except (Exception, SystemExit) as error:
        _write(send, _answer(False, error))
        return
    while (message := messages.get()) is not None:
        with pa.ipc.open_stream(message) as stream:
            inputs = stream.read_next_batch()
        try:
            answer = _answer(True, model.predict(inputs))
        except (Exception, SystemExit) as error:
            answer = _answer(False, error)
        _write(send, answer)
    model.close()
    gc.collect()  # models lie in cycles; what ends them must not wait for the interpreter's end


def main() -> None:
    """Serve the worker on the pipes that it gave; what the model reads or prints stays out of them."""
    receive, send = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    with open(os.devnull) as nothing:
        os.dup2(nothing.fileno(), 0)
    os.dup2(2, 1)
    serve(receive, send)


if __name__ == "__main__":
    main()
