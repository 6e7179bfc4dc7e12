"""An exception on its way to another process, with its place in the code and the name of its class."""

from __future__ import annotations

import pickle
from contextlib import suppress
from dataclasses import dataclass

from spark_infer.core.exception_text import keep_place, place_of, text_of

_KINDS: tuple[type[BaseException], ...] = (MemoryError, OSError, ImportError, SystemExit)
"""What a stand-in stays, where the exception was one: these are not the fault of a row."""


@dataclass(frozen=True, kw_only=True)
class CarriedException:
    """What is sent of an exception; plain values.

    Attributes:
        pickled: The exception; None where it cannot be pickled.
        kind: What a stand-in for it is.
        module: Where its class is defined.
        name: The qualified name of its class.
        text: Its message.
        place: Where it was raised.
    """

    pickled: bytes | None
    kind: type[BaseException]
    module: str
    name: str
    text: str
    place: str

    @classmethod
    def of(cls, error: BaseException) -> CarriedException:
        """Return what is sent of one that was raised here."""
        pickled = None
        with suppress(Exception):
            pickled = pickle.dumps(error, protocol=5)
        kind = next((each for each in _KINDS if isinstance(error, each)), RuntimeError)
        raised, text, place = type(error), text_of(error), place_of(error)
        return cls(
            pickled=pickled, kind=kind, module=raised.__module__, name=raised.__qualname__, text=text, place=place
        )

    def restored(self) -> BaseException:
        """Return the exception; a stand-in of the same name and message where this process cannot make one of it."""
        error = self._unpickled() or self._stand_in()
        keep_place(error, self.place)
        return error

    def _unpickled(self) -> BaseException | None:
        with suppress(Exception):  # its constructor may take other arguments, its module may be the other side's alone
            error = pickle.loads(self.pickled or b"")
            if isinstance(error, BaseException):
                return error
        return None

    def _stand_in(self) -> BaseException:
        members = {"__module__": self.module, "__qualname__": self.name}
        made: type[BaseException] = type(self.name.rpartition(".")[-1], (self.kind,), members)
        return made(self.text)
