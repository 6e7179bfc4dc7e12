"""What a model host does: it loads one model, and predicts the batches of its clients one call after the other.

One thread does all of it, since models are not known to be safe in several; frameworks use more inside a call. Each
client has one batch here at most, which it waits for: so what is waiting is bounded by the clients' own batches.
"""

from __future__ import annotations

import fcntl
import gc
import os
import selectors
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from spark_infer.config import DEFAULT_BATCH_SIZE
from spark_infer.core.batching import model_rows
from spark_infer.errors import RunError
from spark_infer.runtime.carried_exception import CarriedException
from spark_infer.runtime.host.joined_requests import JoinLimit, choose_joined, predict_joined
from spark_infer.runtime.host.messages import CALLS, Kind, Request, Wish, packed_answer
from spark_infer.runtime.host.private_socket import accept, receive, send
from spark_infer.runtime.host.shared_memory import (
    PREDICTED_ALONE,
    PREDICTED_WITH_OTHERS,
    ReceivedBatches,
    share,
    shared,
)
from spark_infer.runtime.model_cache import resident_bytes
from spark_infer.runtime.model_facts import ModelFacts
from spark_infer.runtime.process_state import this_process

LONGEST_WAIT_SECONDS = 0.005
_SOON_SECONDS = 0.05
_ACTIVE_SECONDS = 1.0
"""A client that asked so recently may ask again soon, and a batch waits for its next one."""


_USES = (Wish.FACTS, Wish.LOAD, *CALLS)


@dataclass(eq=False, kw_only=True)
class _Client:
    """A worker that is connected."""

    connection: socket.socket
    memory: ReceivedBatches | None = None
    asked_at: float = 0.0


@dataclass(eq=False, kw_only=True, slots=True)
class _Waiting:
    """A batch that waits to be predicted, or to be prepared for that."""

    client: _Client
    call: str
    batch: pa.RecordBatch
    size_bytes: int
    seconds: float
    alone: bool
    max_rows: int
    max_bytes: int


class HostServer:
    """Serves the clients of one model until nobody asks any more.

    Args:
        listener: Where clients connect.
        place: The path of the socket.
        lock: The file that is locked while a client starts a host or this one ends.
        idle_seconds: For how long nobody must have asked.
    """

    def __init__(self, listener: socket.socket, place: Path, lock: Path, idle_seconds: float) -> None:
        self._listener, self._place, self._lock = listener, place, lock
        self._idle_seconds = idle_seconds
        self._selector = selectors.DefaultSelector()
        self._selector.register(listener, selectors.EVENT_READ)
        self._clients: set[_Client] = set()
        self._waiting: list[_Waiting] = []
        self._model: Any = None
        self._default_rows = DEFAULT_BATCH_SIZE
        self._size_bytes = 0
        self._join_limit = JoinLimit()
        self._last_call_seconds = 0.0
        self._asked_at = time.monotonic()
        self._ended = False
        os.register_at_fork(after_in_child=self._leave_to_parent)

    def serve(self) -> None:
        """Serve; returns when nobody has asked for a while, when a client wishes so, or when the model did not load."""
        while not self._ended:
            if self._waiting:
                self._collect(0)
                self._wait_for_others()
                self._predict()
            elif not self._collect(max(_SOON_SECONDS, self._asked_at + self._idle_seconds - time.monotonic())):
                self._end_unless_wanted()
        if self._model is not None:
            self._model.close()
        gc.collect()  # models lie in cycles; what ends them must not wait for the interpreter's end

    def _collect(self, seconds: float) -> bool:
        """Wait for messages and take them; says whether there were any."""
        events = self._selector.select(seconds)
        for key, _ in events:
            if key.fileobj is self._listener:
                self._welcome()
            else:
                self._take(key.data)
        return bool(events)

    def _welcome(self) -> None:
        connection = accept(self._listener)
        if connection is not None:
            client = _Client(connection=connection)
            self._clients.add(client)
            self._selector.register(connection, selectors.EVENT_READ, client)

    def _take(self, client: _Client) -> None:
        """Take one message of a client; one that is gone, or that sends what none of ours would, is let go."""
        try:
            message, file = receive(client.connection, Request.SIZE)
            self._do(client, Request.unpacked(message), file)
        except (EOFError, OSError, ValueError, pa.ArrowInvalid):
            self._let_go(client)

    def _do(self, client: _Client, request: Request, file: int | None) -> None:
        """Do what a client wishes; batches are predicted later."""
        if request.wish in _USES:
            self._asked_at = client.asked_at = time.monotonic()
        match request.wish:
            case Wish.PREDICT | Wish.PREPARE | Wish.PREDICT_PREPARED:
                self._take_batch(client, request, file)
            case Wish.LOAD if file is not None:
                self._load(client, file)
            case Wish.FACTS:
                self._tell_facts(client)
            case Wish.STATUS:
                idle_seconds = 0.0 if self._waiting else time.monotonic() - self._asked_at
                _answer(client, Kind.VALUE, (self._size_bytes, idle_seconds))
            case Wish.END:
                self._end_unless_wanted()
                _answer(client, Kind.VALUE, self._ended)

    def _take_batch(self, client: _Client, request: Request, file: int | None) -> None:
        if file is not None:
            client.memory = ReceivedBatches(file)
        if client.memory is None or self._model is None or any(each.client is client for each in self._waiting):
            raise ValueError("a batch out of turn")
        self._waiting.append(
            _Waiting(
                client=client,
                call=CALLS[request.wish],
                batch=client.memory.read(request.length),
                size_bytes=request.length,
                seconds=request.seconds,
                alone=request.alone or request.wish != Wish.PREDICT,  # a model chose the rows of prepared ones
                max_rows=request.max_rows or self._default_rows,
                max_bytes=request.max_bytes,
            )
        )

    def _let_go(self, client: _Client) -> None:
        self._selector.unregister(client.connection)
        client.connection.close()
        self._clients.discard(client)
        self._waiting = [each for each in self._waiting if each.client is not client]

    def _leave_to_parent(self) -> None:
        """Close the sockets in a process that the model forks: clients must see the end of the host by theirs."""
        for each in (self._listener, *(client.connection for client in self._clients)):
            each.close()

    def _load(self, client: _Client, file: int) -> None:
        """Load the model, once; where that fails the process ends, with all that the attempt has left behind."""
        if self._model is not None:
            os.close(file)
            self._tell_facts(client)
            return
        process, before = this_process(), resident_bytes()
        load: Callable[[], Any]
        try:
            load, threads, load_seconds = shared(file)
            process.threads.set(threads)
            with process.deadlines.limit("load", load_seconds):
                model = load()
            process.threads.set(threads)
            facts = ModelFacts.of(model)
        except (Exception, SystemExit) as error:
            self._ended = True
            _answer(client, Kind.EXCEPTION, CarriedException.of(error))
            return
        self._model, self._facts = model, facts
        self._default_rows = model_rows(None, model)
        self._size_bytes = max(0, resident_bytes() - before)
        gc.collect()
        gc.freeze()
        self._asked_at = time.monotonic()
        self._tell_facts(client)

    def _tell_facts(self, client: _Client) -> None:
        if self._model is None:
            send(client.connection, packed_answer(Kind.NOT_LOADED))
        else:
            _answer(client, Kind.VALUE, self._facts)

    def _wait_for_others(self) -> None:
        """Give the other clients that are at work some milliseconds to ask too, if their batches could join."""
        end = time.monotonic() + min(LONGEST_WAIT_SECONDS, self._last_call_seconds)
        first = self._waiting[0]
        while not first.alone and self._waiting and self._waiting[0] is first:
            now = time.monotonic()
            if now >= end or len(self._waiting) >= sum(now - each.asked_at < _ACTIVE_SECONDS for each in self._clients):
                return
            rows = sum(self._waiting[place].batch.num_rows for place in choose_joined(self._waiting, self._join_limit))
            if 2 * rows > min(first.max_rows, self._join_limit.rows or first.max_rows):
                return
            self._collect(end - now)

    def _predict(self) -> None:
        """Predict the batch that has waited longest, with others beside it, and answer those who asked."""
        if not self._waiting:  # who asked is gone
            return
        places = choose_joined(self._waiting, self._join_limit)
        chosen = [self._waiting[place] for place in places]
        self._waiting = [each for place, each in enumerate(self._waiting) if place not in set(places)]
        began = time.monotonic()
        state = PREDICTED_ALONE if len(chosen) == 1 else PREDICTED_WITH_OTHERS
        _note(chosen, state)
        seconds = [each.seconds for each in chosen if each.seconds]

        def predict(batch: pa.RecordBatch) -> Any:
            with this_process().deadlines.limit("predict", min(seconds, default=None)):
                return getattr(self._model, chosen[0].call)(batch)

        answers = predict_joined([each.batch for each in chosen], predict, self._join_limit)
        self._last_call_seconds = time.monotonic() - began
        self._asked_at = time.monotonic()
        for each in chosen:
            del each.batch
            self._answer_batch(each.client, answers.pop(0))

    def _answer_batch(self, client: _Client, predictions: Any) -> None:
        if client not in self._clients:
            return
        assert client.memory is not None
        client.memory.take_back()
        try:
            if isinstance(predictions, BaseException):
                _answer(client, Kind.EXCEPTION, CarriedException.of(predictions))
            else:
                _answer(client, Kind.VALUE, (predictions, getattr(self._model, "difference", None)))
        except OSError:
            self._let_go(client)

    def _end_unless_wanted(self) -> None:
        """End where nobody has a batch here, and nobody starts a host or is about to connect."""
        if self._waiting:
            return
        lock = os.open(self._lock, os.O_RDWR | os.O_CLOEXEC)
        with suppress(BlockingIOError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if not self._selector.select(0):
                self._place.unlink(missing_ok=True)
                self._ended = True  # the lock goes with this process
                return
        os.close(lock)


def _note(chosen: list[_Waiting], state: int) -> None:
    for each in chosen:
        assert each.client.memory is not None
        each.client.memory.note(state)


def _answer(client: _Client, kind: Kind, value: object) -> None:
    """Send an answer; what cannot be pickled is an exception there."""
    try:
        file = share(value)
    except OSError:
        raise
    except Exception as error:
        failure = RunError(f"The answer cannot be pickled ({type(error).__name__}).")
        kind, file = Kind.EXCEPTION, share(CarriedException.of(failure))
    try:
        send(client.connection, packed_answer(kind), file)
    finally:
        os.close(file)
