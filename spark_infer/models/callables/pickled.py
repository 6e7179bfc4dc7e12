"""A function, class or object of a script or notebook as bytes: the same bytes for the same code, from every process.

cloudpickle writes what cannot be imported by value, and with it what differs from one process to the next: the file and
line of each function, an id for each class, the order of each set. Here none of that is written. Lines in the stack of
an exception count from the first line of their function.
"""

from __future__ import annotations

import inspect
import io
import pickle
import re
import types
from collections.abc import Iterator, Set
from typing import Any, NamedTuple

import cloudpickle

from spark_infer.errors import ModelRefusedError

_PLAIN = (bool, bytes, float, int, str, type(None))
_NAMED = (type, types.FunctionType, types.BuiltinFunctionType, types.ModuleType)
"""What is written as a name where it can be imported."""
_TRACKER_ID = re.compile("[0-9a-f]{32}")
_PLACE = "<python model>"
"""Stands for the file of a function in the stack of an exception."""


class Dumped(NamedTuple):
    """A pickled predictor.

    Attributes:
        data: The pickle.
        modules: Full names of the modules that it refers to by name, or takes something from.
    """

    data: bytes
    modules: frozenset[str]


def dump(predictor: object, name: str) -> Dumped:
    """Pickle a predictor by value as far as its code cannot be imported.

    Args:
        predictor: A function, class or object.
        name: How to call it in errors.

    Raises:
        ModelRefusedError: Something that it holds cannot be pickled; says what.
    """
    try:
        return _dumped(predictor)
    except (Exception, RecursionError) as error:
        raise ModelRefusedError(
            f"{name} cannot be sent to the workers: {type(error).__name__}.",
            details=_culprits(predictor) or [str(error)[:200]],
            next_step="make such things in `setup` of a class, which runs in each worker, or inside the function; "
            "a table, session or connection cannot travel.",
        ) from error


def load(data: bytes) -> Any:
    """Unpickle what `dump` wrote."""
    return _Unpickler(io.BytesIO(data)).load()


def _dumped(value: object, within: frozenset[int] = frozenset()) -> Dumped:
    file = io.BytesIO()
    pickler = _Pickler(file, protocol=5, within=within)
    pickler.dump(value)
    return Dumped(file.getvalue(), frozenset(pickler.modules))


class _InsideItselfError(Exception):
    """A set is reached from one of its own values."""


def _plain_order(value: Any) -> tuple[str, str]:
    return type(value).__name__, repr(value)


class _Pickler(cloudpickle.Pickler):  # type: ignore[misc]  # it has no types
    def __init__(self, file: io.BytesIO, protocol: int, *, within: frozenset[int]) -> None:
        super().__init__(file, protocol=protocol)
        self.modules: set[str] = set()
        self._sets: dict[int, tuple[int, Set[Any], list[Any]]] = {}
        self._within = within

    def persistent_id(self, obj: Any) -> Any:
        """Write a set in an order of its own, and one that is met again as the same."""
        if type(obj) not in (set, frozenset):
            return None
        if id(obj) in self._within:
            raise _InsideItselfError
        if id(obj) not in self._sets:
            try:
                values = self._in_order(obj)
            except _InsideItselfError:
                if self._within:
                    raise
                return None  # and in the order of this process
            self._sets[id(obj)] = len(self._sets), obj, values  # which keeps it, and so its id
        number, _, values = self._sets[id(obj)]
        return number, type(obj) is frozenset, values

    def _in_order(self, values: Set[Any]) -> list[Any]:
        """Sort plain values by their texts, and others by their pickles."""
        if all(type(each) in _PLAIN for each in values):
            return sorted(values, key=_plain_order)
        within = self._within | {id(values)}
        return sorted(values, key=lambda each: _dumped(each, within).data)

    def reducer_override(self, obj: Any) -> Any:
        """Leave out what says where code stood and which process made a class; note what is taken from modules."""
        if isinstance(obj, types.CodeType):
            placeless = obj.replace(co_filename=_PLACE, co_firstlineno=1)
            return self.dispatch_table[types.CodeType](placeless)
        reduced = super().reducer_override(obj)
        if reduced is NotImplemented and isinstance(obj, _NAMED):
            module = obj.__name__ if isinstance(obj, types.ModuleType) else obj.__module__
            self.modules |= {module} - {None}
        if not isinstance(reduced, tuple) or len(reduced) < 3:
            return reduced
        make, arguments, state, *rest = reduced
        if isinstance(obj, types.FunctionType):
            for each in arguments:
                if isinstance(each, dict):  # the names that every module has
                    each.pop("__file__", None)
        elif isinstance(obj, type):
            arguments = tuple(None if _is_tracker_id(each) else each for each in arguments)
            for each in state:
                if isinstance(each, dict):
                    each.pop("__slotnames__", None)  # which copyreg notes when it first pickles an object of it
                    each.pop("__firstlineno__", None)
        return make, arguments, state, *rest


class _Unpickler(pickle.Unpickler):
    def __init__(self, file: io.BytesIO) -> None:
        super().__init__(file)
        self._sets: dict[int, Set[Any]] = {}

    def persistent_load(self, pid: Any) -> Any:
        number, frozen, values = pid
        return self._sets.setdefault(number, frozenset(values) if frozen else set(values))


def _is_tracker_id(value: object) -> bool:
    return isinstance(value, str) and _TRACKER_ID.fullmatch(value) is not None


def _culprits(predictor: object) -> list[str]:
    """Name what a predictor holds that cannot be pickled."""
    found = []
    for place, value in _held(predictor):
        try:
            _dumped(value)
        except (Exception, RecursionError) as error:
            found.append(f"{place} holds {type(value).__module__}.{type(value).__qualname__}: {str(error)[:120]}")
    return found


def _held(predictor: object) -> Iterator[tuple[str, object]]:
    code = getattr(predictor, "predict", predictor)
    for name, value in (getattr(predictor, "__dict__", None) or {}).items():
        yield f"attribute {name!r}", value
    functions = [code, *(vars(predictor).values() if isinstance(predictor, type) else ())]
    for function in functions:
        function = inspect.unwrap(getattr(function, "__func__", function))
        if isinstance(function, types.FunctionType):
            variables = inspect.getclosurevars(function)
            yield from ((f"variable {name!r}", value) for name, value in variables.nonlocals.items())
            yield from ((f"global variable {name!r}", value) for name, value in variables.globals.items())
