"""The signature of a plain Python model: what its user says it takes and returns, and what its annotations say."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from spark_infer.core.signature import ANY, Column, Param, Signature
from spark_infer.errors import ConfigError, ModelRefusedError

ParseDDL = Callable[[str], pa.Schema | None]

_SCALARS: Mapping[object, pa.DataType] = {
    bool: pa.bool_(),
    bytes: pa.binary(),
    float: pa.float64(),
    int: pa.int64(),
    str: pa.string(),
}
_PARAMS: Mapping[type, str] = {bool: "boolean", float: "double", int: "long", str: "string"}


def columns_of(given: str | Sequence[str] | pa.Schema, parse_ddl: ParseDDL) -> tuple[Column, ...]:
    """Return the columns that a user names: with types where it is DDL or a schema, else with those of the table.

    Args:
        given: Names, DDL or an Arrow schema.
        parse_ddl: Reads a list of columns in DDL.

    Raises:
        ConfigError: It is none of these, or names a column twice.
    """
    if not isinstance(given, pa.Schema):
        texts = [given] if isinstance(given, str) else list(given)
        if any(" " in text.strip() or "," in text for text in texts):
            given = parse_ddl(", ".join(texts)) or pa.schema([])
        else:
            given = pa.schema([(text, ANY) for text in texts])
    if not given.names or len(set(given.names)) < len(given.names):
        raise ConfigError(
            "`inputs` of a Python model names no columns, or one twice.",
            next_step="write names, DDL such as 'age int, income double', or pass an Arrow schema.",
        )
    return tuple(Column(name=field.name, type=field.type) for field in given)


def predict_of(predictor: object) -> Callable[..., Any]:
    """Return what takes the batches: of a class and of an object ``predict``, else ``__call__``; else the function."""
    found: Any = getattr(predictor, "predict", None)
    if found is None and isinstance(predictor, type):
        called = inspect.getattr_static(predictor, "__call__")  # that of `type` where the class has none
        found = called if inspect.isfunction(called) else None
    elif found is None:
        found = predictor
    if not callable(found):
        raise ModelRefusedError(
            f"{_named(predictor)} has no method `predict` or `__call__`, so it cannot be a model.",
            next_step="pass a function of a batch, or a class with `predict(self, batch)`.",
        )
    function: Callable[..., Any] = found
    return function


def signature_of(
    predictor: object, inputs: tuple[Column, ...], outputs: pa.Schema | None
) -> tuple[Signature | None, object]:
    """Return the signature of a predictor, and the annotation of the parameter that takes the batch.

    Args:
        predictor: The function, class or object.
        inputs: What its user says that it takes; empty where the annotation may say it.
        outputs: What its user says that it returns.

    Raises:
        ModelRefusedError: It does not take one batch, or is `async`.
    """
    function = predict_of(predictor)
    if inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function):
        raise ModelRefusedError(
            f"{_named(predictor)} is `async`, and a model returns its predictions when it is called.",
            next_step="write `def`; a function that waits for others calls `asyncio.run` inside.",
        )
    batch, keywords = _parameters(function, predictor)
    hints = _hints(function)
    hint = hints.get(batch.name, inspect.Parameter.empty)
    if not inputs and typing.is_typeddict(hint):
        inputs = tuple(Column(name=name, type=kind) for name, kind in _fields(hint))
    returned = hints.get("return")
    if outputs is None and typing.is_typeddict(returned):
        declared = pa.schema(list(_fields(returned)))
        outputs = None if ANY in declared.types else declared
    columns = () if outputs is None else tuple(Column(name=field.name, type=field.type) for field in outputs)
    params = tuple(_params(keywords))
    if not (inputs or columns or params):
        return None, hint
    return Signature(inputs=inputs, outputs=columns, params=params), hint


def _parameters(function: Callable[..., Any], predictor: object) -> tuple[inspect.Parameter, list[inspect.Parameter]]:
    try:
        found = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError) as error:
        raise ModelRefusedError(
            f"{_named(predictor)} does not say what it takes, as functions in C do not.",
            next_step="wrap it: lambda batch: function(batch[...]).",
        ) from error
    if isinstance(predictor, type) and inspect.isfunction(inspect.getattr_static(predictor, function.__name__, None)):
        found = found[1:]  # self
    positional = [each for each in found if each.kind in (each.POSITIONAL_ONLY, each.POSITIONAL_OR_KEYWORD)]
    keywords = [each for each in found if each.kind == each.KEYWORD_ONLY]
    needed = [each.name for each in positional[1:] + keywords if each.default is each.empty]
    if not positional or needed:
        shown = ", ".join(str(each) for each in found) if len(found) < 20 else f"{len(found)} parameters"
        raise ModelRefusedError(
            f"{_named(predictor)} takes ({shown}), and a model takes one batch.",
            details=["it is called with one argument, the batch: a dict of numpy arrays, a frame or a RecordBatch"],
            next_step="write `def predict(batch): …` and take the columns out of the batch; keyword-only parameters "
            "with defaults are inference parameters, which `params` sets.",
        )
    return positional[0], keywords


def _hints(function: Callable[..., Any]) -> dict[str, Any]:
    try:
        return typing.get_type_hints(inspect.unwrap(function))
    except (AttributeError, NameError, TypeError):  # an annotation of a name that only a type checker knows
        return {}


def _fields(typed_dict: Any) -> Iterator[tuple[str, pa.DataType]]:
    try:
        hints = typing.get_type_hints(typed_dict)
    except NameError as error:
        raise ConfigError(
            f"The annotation {typed_dict.__name__} cannot be read here: {error}.",
            next_step="import that name where the class is defined, not under TYPE_CHECKING; or say the columns with "
            "`inputs` and `result_type`.",
        ) from error
    for name, hint in hints.items():
        yield name, _kind(hint)


def _kind(hint: Any) -> pa.DataType:
    """The Arrow type of a value, or of the numbers of an array; `any`, the table's own, for others."""
    if hint in _SCALARS:
        return _SCALARS[hint]
    numbers = [each for part in typing.get_args(hint) for each in typing.get_args(part)]  # ndarray[shape, dtype[T]]
    for number in numbers:
        if isinstance(number, type) and issubclass(number, np.number | np.bool_):
            return pa.from_numpy_dtype(np.dtype(number))
    return ANY


def _params(keywords: Sequence[inspect.Parameter]) -> Iterator[Param]:
    for each in keywords:
        if type(each.default) in _PARAMS:
            yield Param(name=each.name, type=_PARAMS[type(each.default)], default=each.default)


def _named(predictor: object) -> str:
    return str(getattr(predictor, "__qualname__", None) or type(predictor).__qualname__)
