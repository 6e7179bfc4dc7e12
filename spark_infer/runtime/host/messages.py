"""What goes through the socket between a model host and its clients."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum

_REQUEST = struct.Struct("<BQdBQQ")
_ANSWER = struct.Struct("<B")


class Wish(IntEnum):
    """What a client wants."""

    FACTS = 1
    """Facts of the model; `NOT_LOADED` where it must be loaded first."""
    LOAD = 2
    """Load the model as the shared memory says, and return its facts."""
    PREDICT = 3
    """Predict the batch in the client's memory."""
    PREPARE = 4
    """Prepare the rows in the client's memory (`core.buckets`)."""
    PREDICT_PREPARED = 5
    """Predict prepared rows."""
    STATUS = 6
    """How large the model is, and for how long nobody has asked it."""
    END = 7
    """End, unless somebody is about to connect."""


CALLS = {Wish.PREDICT: "predict", Wish.PREPARE: "prepare", Wish.PREDICT_PREPARED: "predict_prepared"}
"""Which method of the model a client asks for."""


class Kind(IntEnum):
    """What an answer is."""

    VALUE = 1
    EXCEPTION = 2
    NOT_LOADED = 3


@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """A message to the host; a descriptor may come with it.

    Attributes:
        wish: What is wanted.
        length: Bytes of the batch.
        seconds: How long predicting may take; 0 for as long as it likes.
        alone: Whether no other batch may be predicted in the same call.
        max_rows: Most rows of a call; 0 for those that the model is fastest with.
        max_bytes: Most bytes of a call.
    """

    SIZE = _REQUEST.size

    wish: Wish
    length: int = 0
    seconds: float = 0.0
    alone: bool = False
    max_rows: int = 0
    max_bytes: int = 0

    def packed(self) -> bytes:
        """Return it as it is sent."""
        return _REQUEST.pack(self.wish, self.length, self.seconds, self.alone, self.max_rows, self.max_bytes)

    @classmethod
    def unpacked(cls, message: bytes) -> Request:
        """Return what was sent.

        Raises:
            ValueError: Nobody of ours sent that.
        """
        wish, length, seconds, alone, max_rows, max_bytes = _REQUEST.unpack(message)
        return cls(
            wish=Wish(wish), length=length, seconds=seconds, alone=bool(alone), max_rows=max_rows, max_bytes=max_bytes
        )


ANSWER_SIZE = _ANSWER.size


def packed_answer(kind: Kind) -> bytes:
    """Return the message of an answer, whose value is in the shared memory that goes with it."""
    return _ANSWER.pack(kind)


def answer_kind(message: bytes) -> Kind:
    """Return what an answer is."""
    return Kind(_ANSWER.unpack(message)[0])
