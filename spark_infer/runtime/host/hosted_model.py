"""A model that the executor's host holds: batches go there in shared memory, and predictions come back so too."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from spark_infer.core.buckets import PreparedRows
from spark_infer.core.outputs import Predictions
from spark_infer.core.stats import Counters
from spark_infer.errors import DeadlineError, ModelCrashedError, ModelHungError, ModelLoadError, RunError
from spark_infer.runtime.deadline import expired, stacks_of
from spark_infer.runtime.host.host_place import HostPlace
from spark_infer.runtime.host.messages import ANSWER_SIZE, Kind, Request, Wish, answer_kind
from spark_infer.runtime.host.private_socket import connect, peer_of, receive, send
from spark_infer.runtime.host.shared_memory import (
    PREDICTED_ALONE,
    PREDICTED_WITH_OTHERS,
    WAITING,
    SentBatches,
    share,
    shared,
)
from spark_infer.runtime.host.start_host import IDLE_SECONDS, locked, make_room, start_host
from spark_infer.runtime.isolated_model import ended_by
from spark_infer.runtime.model_facts import ModelFacts
from spark_infer.runtime.process_identity import ProcessIdentity

logger = logging.getLogger(__name__)

_MOST_ENDS = 50


@dataclass(frozen=True, kw_only=True)
class HostLimits:
    """What the host of a model may take.

    Attributes:
        threads: Threads of the model.
        load_seconds: How long loading may take; None for as long as it likes.
        predict_seconds: The same for one predict call.
        max_rows: Most rows of a predict call, of several workers' batches together; None for those that the model is
            fastest with.
        max_bytes: Most bytes of such a call.
        size_bytes: Size of the model's files.
        cache_bytes: What the models of a device may take together.
        idle_seconds: For how long nobody must have asked before it ends.
    """

    threads: int
    load_seconds: float | None
    predict_seconds: float | None
    max_rows: int | None
    max_bytes: int
    size_bytes: int
    cache_bytes: int
    idle_seconds: float = IDLE_SECONDS


class HostedModel:
    """A loaded model in the host of this executor, which is started where it does not run.

    Args:
        find: Finds the model's files and returns what loads it, which is sent to the host by its name and arguments;
            called only where the host has not loaded it.
        executor: The process with which the host ends.
        place: Where the host is.
        limits: What it may take.

    Attributes:
        by_row: Whether the answer for a row is known to depend on that row alone.
        batch_rows: Rows of the batches that it is fastest with; None for the usual ones.
        batch_cost: What a batch takes at most, where it prepares its rows (`core.buckets`).
        difference: How a faster way was seen to answer otherwise than the model; None where it was not.
        loads: How often this worker had the host load it, since `take_loads` was called.
        counted: What else happened in the host since `add_counts` was called.

    Raises:
        SparkInferError: What loading it raised there, or that the host died of it.
    """

    def __init__(
        self,
        find: Callable[[], Callable[[], Any]],
        *,
        executor: ProcessIdentity,
        place: HostPlace,
        limits: HostLimits,
    ) -> None:
        self._find, self._executor, self._place, self._limits = find, executor, place, limits
        self._connection: socket.socket | None = None
        self._batches = SentBatches()
        self._waits = False
        self._host = 0
        self.loads = 0
        self.counted = Counters()
        self.difference: str | None = None
        try:
            self._facts = self._open()
        except BaseException:
            self.close()
            raise
        facts = self._facts
        self.by_row, self.batch_rows, self.batch_cost = facts.by_row, facts.batch_rows, facts.batch_cost

    @property
    def how(self) -> str:
        """How batches reach the model."""
        return f"{self._facts.how}; in the model host of the executor"

    def outputs(self) -> pa.Schema | None:
        """Columns it returns, where it knows."""
        return self._facts.outputs

    def predict(self, inputs: pa.RecordBatch) -> Predictions:
        """Predict one batch in the host, which is started again where it ended.

        A batch that was being predicted when it ended is tried once more, with no other batch beside it.

        Raises:
            Exception: What the model raises there.
            ModelProcessError: The host ended twice while it predicted this batch, or it took too long for it.
            RunError: The host ended many times for others.
        """
        predictions: Predictions = self._call(Wish.PREDICT, inputs)
        return predictions

    def prepare(self, inputs: pa.RecordBatch) -> PreparedRows:
        """Prepare rows in the host, as `predict`."""
        prepared: PreparedRows = self._call(Wish.PREPARE, inputs)
        return prepared

    def predict_prepared(self, rows: pa.RecordBatch) -> Predictions:
        """Predict one batch of prepared rows in the host, as `predict`."""
        predictions: Predictions = self._call(Wish.PREDICT_PREPARED, rows)
        return predictions

    def take_loads(self) -> int:
        """Return how often this worker had the host load the model, and count from zero again."""
        taken, self.loads = self.loads, 0
        return taken

    def add_counts(self, stats: Counters) -> None:
        """Add to a worker's counters what happened in the host since the last call."""
        counted, self.counted = self.counted, Counters()
        stats.loads += self.take_loads()
        stats.hosted_batches += counted.hosted_batches
        stats.joined_batches += counted.joined_batches
        stats.host_restarts += counted.host_restarts

    def close(self) -> None:
        """Leave the host, which stays for other workers."""
        self._disconnect()
        self._batches.close()

    def _call(self, wish: Wish, inputs: pa.RecordBatch) -> Any:
        ends = 0
        for _ in range(_MOST_ENDS):
            if self._connection is None:
                loads = self.loads
                self._open()
                self.counted.host_restarts += self.loads - loads
            try:
                answered, self.difference = self._answer(wish, inputs, alone=ends > 0)
                self.counted.hosted_batches += wish is not Wish.PREPARE
                self.counted.joined_batches += self._batches.state == PREDICTED_WITH_OTHERS
                return answered
            except EOFError:
                state, late, ended = self._batches.state, *self._how_it_ended()
            logger.warning("The model host ended (%s). It is started again.", ended)
            if state == WAITING:
                continue
            if late is not None and state == PREDICTED_ALONE:
                raise ModelHungError.on_batch(late, self._limits.predict_seconds or 0.0, inputs.num_rows) from None
            if ends:
                raise ModelCrashedError.on_batch(ended, inputs.num_rows) from None
            ends += 1
        raise RunError(
            f"The model host ended {_MOST_ENDS} times before it came to this worker's batch.",
            details=[f"the last time: {ended}"],
            next_step="find the rows that end it with on_error: null or quarantine, or set hosting: worker.",
        )

    def _open(self) -> ModelFacts:
        """Connect to the host, which has loaded the model then."""
        try:
            self._connection = connect(self._place.socket)
            if self._connection is not None and (facts := self._facts_of_host()) is not None:
                return facts
        except EOFError:  # it was about to end
            pass
        self._disconnect()
        with locked(self._place.lock):
            return self._open_locked()

    def _open_locked(self) -> ModelFacts:
        self._connection = connect(self._place.socket)
        if self._connection is not None:
            try:
                facts = self._facts_of_host()
            except EOFError:
                self._disconnect()
            else:
                return facts or self._load()
        make_room(self._place, self._limits.size_bytes, self._limits.cache_bytes)
        limits = self._limits
        self._connection = start_host(
            self._place, self._executor, threads=limits.threads, idle_seconds=limits.idle_seconds
        )
        return self._load()

    def _facts_of_host(self) -> ModelFacts | None:
        facts: ModelFacts | None = self._ask(Request(wish=Wish.FACTS))
        return facts

    def _load(self) -> ModelFacts:
        file = share((self._find(), self._limits.threads, self._limits.load_seconds))
        try:
            facts: ModelFacts = self._ask(Request(wish=Wish.LOAD), file)
        except EOFError:
            late, ended = self._how_it_ended()
            raise late or ModelLoadError(
                f"The model host ended while it loaded the model: {ended}.",
                details=[f"what it wrote is in {self._place.log}"],
                next_step="load the model in plain Python to see the cause.",
            ) from None
        finally:
            os.close(file)
        self.loads += 1
        facts.note_fallbacks()
        return facts

    def _answer(self, wish: Wish, inputs: pa.RecordBatch, *, alone: bool) -> tuple[Any, str | None]:
        limits = self._limits
        request = Request(
            wish=wish,
            length=self._batches.write(inputs),
            seconds=limits.predict_seconds or 0.0,
            alone=alone,
            max_rows=limits.max_rows or 0,
            max_bytes=limits.max_bytes,
        )
        answer: tuple[Any, str | None] = self._ask(request, self._batches.take_descriptor())
        return answer

    def _ask(self, request: Request, file: int | None = None) -> Any:
        """Send a message and return the answer, None where no model is loaded; what the host raised is raised here.

        Raises:
            EOFError: The host is gone.
        """
        assert self._connection is not None
        if self._waits:  # waiting was interrupted, and the next answer would be that of the message before
            raise EOFError
        self._waits = True
        self._host, _ = peer_of(self._connection)
        try:
            send(self._connection, request.packed(), file)
            message, answer = receive(self._connection, ANSWER_SIZE)
        except OSError:
            raise EOFError from None
        self._waits = False
        kind = answer_kind(message)
        if kind is Kind.NOT_LOADED or answer is None:
            return None
        value = shared(answer)
        if kind is Kind.EXCEPTION:
            raise value.restored()
        return value

    def _how_it_ended(self) -> tuple[DeadlineError | None, str]:
        """Say how the host ended: the error of a step that took too long, and a text in any case."""
        self._disconnect()
        late = expired(stacks_of(self._place.folder, self._host))
        status = self._place.end_of(self._host) if late is None else None
        return late, "it took too long" if late else "nobody saw how" if status is None else ended_by(status)

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        self._waits = False
        self._batches.forget_host()
