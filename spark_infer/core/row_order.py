"""Whether a model answers its rows in their order. Some models sort them, and give their answers to other rows."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from spark_infer.core.binding import Binding

ROWS = 16
"""Most rows that a model is tried with."""
NEXT_STEP = (
    "have the model return its answers in the order of its input and log it again; else set batch_size: 1, or "
    "row_order: trust, which leaves this check out (in a job file, both go under `score`)."
)

_ORDERS = 4

Predict = Callable[[pa.RecordBatch], pa.RecordBatch]
"""From a model batch to the outputs of its rows."""


@dataclass(frozen=True)
class RowOrder:
    """What trying a model with its rows in several orders showed.

    Attributes:
        rows: How many rows it was tried with.
        moved: The outputs whose values belong to other rows than those that they stand at.
        unknown: Why nothing can be said; empty where the model keeps the order, or where it does not.
    """

    rows: int
    moved: tuple[str, ...] = ()
    unknown: str = ""

    def __str__(self) -> str:
        if self.unknown:
            return f"not known: {self.unknown}"
        if self.moved:
            return f"not kept: values of {named(self.moved)} stand at other rows"
        return f"kept, as {self.rows} rows in two orders showed"


def named(outputs: Sequence[str]) -> str:
    """Name outputs in a sentence, the first few of many."""
    more = f" and {len(outputs) - 4} more" if len(outputs) > 4 else ""
    return ", ".join(outputs[:4]) + more


def find_row_order(predict: Predict, inputs: pa.RecordBatch) -> RowOrder:
    """Predict rows, and the same rows in another order; where the answers do not move along, find out why.

    An answer has moved where it is the very value that another row of the batch gets when it is predicted alone. So a
    model that looks at several rows of a batch, at their order, or that answers by chance, is not suspected.

    Args:
        predict: Predicts a batch. It is called twice for a model that keeps the order, else some two dozen times.
        inputs: Model inputs, of which at most 16 rows are used.
    """
    rows = _some(inputs)
    count = rows.num_rows
    if count < 2:
        return RowOrder(count, unknown="it takes two rows to see it")
    orders = _orders(count)
    try:
        answers = [predict(rows.take(order)) for order in orders[:2]]
        if all(_follow(_values(answers, name), orders) for name in answers[0].schema.names):
            constant = all(_is_constant(column.to_pylist()) for column in answers[0].columns)
            return RowOrder(count, unknown="all rows that the model was tried with get one answer" if constant else "")
        moved = _moved(predict, rows, orders)
    except KeyboardInterrupt:
        raise
    except BaseException:  # the model's code may raise one of its own
        return RowOrder(count, unknown="the model raised for rows in another order")
    return RowOrder(count, moved, "" if moved else "an answer depends on several rows, on their order or on chance")


def _some(inputs: pa.RecordBatch) -> pa.RecordBatch:
    if inputs.num_rows <= ROWS:
        return inputs
    return inputs.take(pa.array(np.linspace(0, inputs.num_rows - 1, ROWS).astype(np.int64)))


def _orders(count: int) -> list[pa.Array]:
    """Orders of rows: their own; the last, the first, the last but one, the second …; that done again, and again."""
    order, step = np.arange(count), np.empty(count, np.int64)
    step[0::2], step[1::2] = order[::-1][: (count + 1) // 2], order[: count // 2]
    orders = []
    for _ in range(_ORDERS):
        orders.append(pa.array(order))
        order = order[step]
    return orders


def _moved(predict: Predict, rows: pa.RecordBatch, orders: Sequence[pa.Array]) -> tuple[str, ...]:
    """The outputs whose values are those of the rows alone, in every order, and do not stand at these rows."""
    answers = [predict(rows.take(order)) for order in orders]
    again = [predict(rows.take(order)) for order in orders]
    try:
        alone = pa.Table.from_batches([predict(rows.slice(row, 1)) for row in range(rows.num_rows)])
    except (Exception, SystemExit):
        # A model of series may need several rows. An output that repeats an input is known without the model.
        alone = rows
    names = [name for name in answers[0].schema.names if name in alone.schema.names]
    return tuple(
        name
        for name in names
        if not _follow(_values(answers, name), orders)
        and _same(_values(answers, name), _values(again, name))
        and all(
            _rearranged(alone.column(name).take(order).to_pylist(), found)
            for order, found in zip(orders, _values(answers, name), strict=True)
        )
    )


def _values(answers: Sequence[pa.RecordBatch], name: str) -> list[list[Any]]:
    return [answer.column(name).to_pylist() for answer in answers]


def _follow(answers: Sequence[list[Any]], orders: Sequence[pa.Array]) -> bool:
    """Whether the answers to rows in several orders are those to the first, in these orders."""
    first = answers[0]
    return all(
        _same(found, [first[row] for row in order.to_pylist()]) for found, order in zip(answers, orders, strict=False)
    )


def _rearranged(wanted: list[Any], found: list[Any]) -> bool:
    left = list(found)
    for value in wanted:
        at = next((at for at, other in enumerate(left) if _same(value, other)), None)
        if at is None:
            return False
        del left[at]
    return not left


def _is_constant(values: Sequence[Any]) -> bool:
    return all(_same(value, values[0]) for value in values)


def _same(one: Any, other: Any) -> bool:
    """Whether two answers are equal, apart from the digits that change with the shape of a batch."""
    if isinstance(one, float) and isinstance(other, float):
        return one == other or math.isclose(one, other, rel_tol=1e-5, abs_tol=1e-8) or (one != one and other != other)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_same, one, other))
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_same(one[key], other[key]) for key in one)
    return bool(one == other)


class Echoes:
    """The outputs of a scoring that have the name of an input, which a model may repeat at other rows.

    Comparing them costs little. Where a batch has the values of an input at other rows, the model is tried with some of
    these rows, once: it may also mean something else by that name, such as a rank of ranks.

    Args:
        binding: How the inputs arrive.
        outputs: The columns that the model returns.
    """

    def __init__(self, binding: Binding, outputs: pa.Schema) -> None:
        inputs = {column.target: column.type for column in binding.columns if column.source is not None}
        self._names = [
            field.name
            for field in outputs
            if not binding.tensors and inputs.get(field.name) == field.type and not pa.types.is_nested(field.type)
        ]

    def moved(self, inputs: pa.RecordBatch, outputs: pa.RecordBatch, predict: Predict) -> tuple[str, ...]:
        """Return the outputs that a model gave to other rows of this batch."""
        for name in self._names:
            rows = _at_other_rows(inputs.column(name), outputs.column(name))
            if len(rows):
                self._names = []
                return find_row_order(predict, inputs.take(pa.array(rows[:ROWS]))).moved
        return ()


def _at_other_rows(given: pa.Array, found: pa.Array) -> npt.NDArray[np.int64]:
    """The rows where two columns differ that hold the same values; none where they hold others."""
    if pa.types.is_floating(given.type):  # a model is given NaN for null, and may return either
        given, found = (pc.fill_null(column, float("nan")) for column in (given, found))
    if given.equals(found):
        return np.empty(0, np.int64)
    codes = pa.concat_arrays([given, found]).dictionary_encode("encode").indices.to_numpy()
    one, other = codes[: len(given)], codes[len(given) :]
    if not np.array_equal(np.sort(one), np.sort(other)):
        return np.empty(0, np.int64)
    return np.flatnonzero(one != other)
