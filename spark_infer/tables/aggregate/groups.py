"""Summaries of groups, in parts that can be put together: of batches, of tasks, of a whole run.

A part has a row for each group: the values of the group, then the states of each measure. Standard deviations are put
together as in T. F. Chan, G. H. Golub, R. J. LeVeque, "Updating Formulae and a Pairwise Algorithm for Computing Sample
Variances" (1979), which loses no digits where the mean is far from zero.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from spark_infer.core.casts import exact, retype
from spark_infer.errors import TooManyGroupsError, WriteError
from spark_infer.tables.aggregate.measures import Measure
from spark_infer.tables.where.mask import outcome

MOST_GROUPS = 1_000_000

_HELD_ROWS = 65_536
_EXACT = 38
_EXACT_SUM = 76
_STATES = {
    "count": ("count",),
    "count_if": ("count",),
    "sum": ("sum",),
    "avg": ("count", "sum"),
    "min": ("min",),
    "max": ("max", "nan"),
    "stddev": ("count", "mean", "square"),
}
_PUT_TOGETHER = {"count": "sum", "nan": "sum", "sum": "sum", "min": "min", "max": "max"}
_ALL = pa.field("by", pa.int8())
"""The group of all rows, where nothing tells them apart."""


class Groups:
    """The groups of some rows, as far as they have come.

    Holds parts of at most a few times as many rows as there are groups.

    Args:
        by: The columns whose values make a group, and their types.
        measures: What is computed of each.
        most: How many groups there may be.
    """

    def __init__(self, by: pa.Schema, measures: Sequence[Measure], *, most: int = MOST_GROUPS) -> None:
        self._by = by
        self._measures = measures
        self._most = most
        self._held: list[pa.Table] = []
        self._rows = 0
        self._bound = _HELD_ROWS

    def add_rows(self, columns: dict[str, pa.Array], rows: int) -> None:
        """Take scored rows.

        Args:
            columns: At least those that the groups and the measures need.
            rows: How many there are.

        Raises:
            TooManyGroupsError: There are more groups than may be.
        """
        self.add(part_of(self._by, self._measures, columns, rows))

    def add(self, part: pa.Table) -> None:
        """Take a part that was made elsewhere; the same errors."""
        self._held.append(part)
        self._rows += part.num_rows
        if self._rows > self._bound:
            self._merge()
            self._bound = max(_HELD_ROWS, 2 * self._rows)

    def part(self) -> pa.Table:
        """All of it as one part; the same errors."""
        self._merge()
        return self._held[0]

    def summary(self) -> pa.Table:
        """The summary: a row for each group, in the order of the groups' values.

        Raises:
            TooManyGroupsError: There are more groups than may be.
            WriteError: A sum of whole numbers or decimals is too large.
        """
        part = self.part()
        keys = {name: part.column(index) for index, name in enumerate(self._by.names)}
        answers = {each.name: _answer(each, number, part) for number, each in enumerate(self._measures)}
        fields = [*self._by, *(pa.field(each.name, each.result) for each in self._measures)]
        table = pa.table({**keys, **answers}, schema=pa.schema(fields))
        return table.sort_by([(name, "ascending") for name in self._by.names]) if self._by.names else table

    def _merge(self) -> None:
        schema = part_schema(self._by, self._measures)
        parts = pa.concat_tables([schema.empty_table(), *self._held])
        merged = _put_together(parts, self._by, self._measures).select(schema.names).cast(schema)
        if merged.num_rows > self._most:
            raise TooManyGroupsError.above(merged.num_rows, self._most, self._by.names)
        self._held, self._rows = [merged], merged.num_rows


def part_schema(by: pa.Schema, measures: Sequence[Measure]) -> pa.Schema:
    """The columns of a part: those of the groups by number, then the states of each measure."""
    keys = [field.with_name(f"by{index}") for index, field in enumerate(by)] or [_ALL]
    states = [
        pa.field(f"{state}{number}", _state_type(each, state))
        for number, each in enumerate(measures)
        for state in _STATES[each.function]
    ]
    return pa.schema([*keys, *states])


def part_of(by: pa.Schema, measures: Sequence[Measure], columns: dict[str, pa.Array], rows: int) -> pa.Table:
    """Summarise one batch of rows."""
    keys = {f"by{index}": retype(columns[field.name], field.type) for index, field in enumerate(by)}
    keys = keys or {_ALL.name: pa.repeat(pa.scalar(0, _ALL.type), rows)}
    values: dict[str, pa.Array] = {}
    wanted: list[tuple[str, str]] = []
    for number, each in enumerate(measures):
        for state, function, array in _observed(each, columns, rows):
            name = f"{state}{number}"
            values[name] = array
            wanted.append((name, function))
    schema = part_schema(by, measures)
    single = {number: _single(values[f"count{number}"]) for number in _deviations(measures)}
    part = _grouped(pa.table({**keys, **values}), list(keys), wanted, single)
    return part.select(schema.names).cast(schema)


def _observed(each: Measure, columns: dict[str, pa.Array], rows: int) -> list[tuple[str, str, pa.Array]]:
    """The states of a measure, each with Arrow's function of an array."""
    if each.condition is not None:
        batch = pa.RecordBatch.from_pydict({name: columns[name] for name in each.inputs})
        holds = outcome(each.condition, batch) if each.inputs else _constant(each, rows)
        return [("count", "sum", pc.cast(pc.fill_null(holds, False), pa.int64()))]
    if not each.column:
        return [("count", "sum", pa.repeat(pa.scalar(1, pa.int64()), rows))]
    array = retype(columns[each.column], each.type)
    if each.function == "count":
        return [("count", "sum", pc.cast(array.is_valid(), pa.int64()))]
    if each.function == "min":
        return [("min", "min", array)]
    if each.function == "max":
        floating = pa.types.is_floating(each.type)
        nan = pc.fill_null(pc.is_nan(array), False) if floating else pa.repeat(pa.scalar(False), rows)
        return [("max", "max", array), ("nan", "sum", pc.cast(nan, pa.int64()))]
    if each.function == "stddev":
        whole = pa.types.is_integer(each.type)  # of which a double has the first 15 digits
        return [("count", "count", pc.cast(array, pa.float64(), safe=False) if whole else exact(array, pa.float64()))]
    summed = [("sum", "sum", pc.cast(array, _state_type(each, "sum")))]
    return summed if each.function == "sum" else [("count", "count", array), *summed]


def _constant(each: Measure, rows: int) -> pa.Array:
    one = pa.RecordBatch.from_pydict({"row": pa.nulls(rows)})
    return outcome(each.condition, one)  # type: ignore[arg-type]


def _state_type(each: Measure, state: str) -> pa.DataType:
    if state in ("count", "nan"):
        return pa.int64()
    if state in ("mean", "square"):
        return pa.float64()
    if state != "sum":
        return each.type
    if pa.types.is_decimal(each.type):
        return pa.decimal256(_EXACT_SUM, each.type.scale)  # Arrow's sum of 128 bits wraps
    # Whole numbers with digits to spare, so that a sum that is too large for its type is seen.
    return pa.decimal128(_EXACT, 0) if pa.types.is_integer(each.type) else pa.float64()


def _put_together(parts: pa.Table, by: pa.Schema, measures: Sequence[Measure]) -> pa.Table:
    keys = part_schema(by, ()).names
    plain = [name for name in parts.schema.names if name not in keys and name.rstrip("0123456789") in _PUT_TOGETHER]
    wanted = [(name, _PUT_TOGETHER[name.rstrip("0123456789")]) for name in plain]
    states = {
        number: tuple(parts.column(f"{state}{number}").to_numpy() for state in _STATES["stddev"])
        for number in _deviations(measures)
    }
    return _grouped(parts, keys, wanted, states)


def _deviations(measures: Sequence[Measure]) -> list[int]:
    """The numbers of the measures that are deviations."""
    return [number for number, each in enumerate(measures) if each.function == "stddev"]


def _single(values: pa.Array) -> tuple[Any, Any, Any]:
    """The states of a deviation of each value alone."""
    counts = values.is_valid().to_numpy(zero_copy_only=False).astype(np.float64)
    return counts, pc.fill_null(values, 0.0).to_numpy(zero_copy_only=False), np.zeros(len(values))


def _grouped(
    table: pa.Table, keys: list[str], wanted: Sequence[tuple[str, str]], spread: dict[int, tuple[Any, Any, Any]]
) -> pa.Table:
    """Put the rows of each group together.

    Args:
        table: The rows.
        keys: The columns whose values make a group.
        wanted: Columns, each with Arrow's function of it.
        spread: The counts, means and squares of the rows, for each measure that is a deviation.
    """
    asked: list[Any] = [*wanted, ("row", "list")] if spread else [*wanted]
    if spread:
        table = table.append_column("row", pa.array(np.arange(table.num_rows)))
    found = table.group_by(keys, use_threads=False).aggregate(asked)
    columns = {name: found.column(name) for name in keys}
    columns |= {name: found.column(f"{name}_{function}") for name, function in wanted}
    group = _group_of_rows(found.column("row_list"), table.num_rows) if spread else None
    for number, states in spread.items():
        mean, square = _spread(group, found.num_rows, *states)
        columns |= {f"mean{number}": pa.array(mean), f"square{number}": pa.array(square)}
    return pa.table(columns)


def _group_of_rows(rows: pa.ChunkedArray, count: int) -> Any:
    """The number of the group that each row is in."""
    group = np.empty(count, dtype=np.int64)
    sizes = pc.list_value_length(rows).to_numpy()
    group[pc.list_flatten(rows).to_numpy()] = np.repeat(np.arange(len(rows)), sizes)
    return group


def _spread(group: Any, groups: int, counts: Any, means: Any, squares: Any) -> tuple[Any, Any]:
    """Put the means and the sums of squares about them together.

    A mean is counted from one of its group, so that equal numbers have it exactly, and no large ones are added up.
    """
    some = counts > 0
    start = np.zeros(groups)
    start[group[some]] = means[some]
    with np.errstate(all="ignore"):  # of numbers that are not finite, as of all others
        total = np.bincount(group, counts, groups)
        ahead = np.where(some, counts * (means - start[group]), 0.0)
        mean = start + np.bincount(group, ahead, groups) / np.maximum(total, 1)
        apart = np.where(some, means - mean[group], 0.0)
        return mean, np.bincount(group, squares + counts * apart * apart, groups)


def _answer(each: Measure, number: int, part: pa.Table) -> pa.ChunkedArray:
    states = {state: part.column(f"{state}{number}") for state in _STATES[each.function]}
    if each.function in ("count", "count_if"):
        return states["count"]
    if each.function == "min":
        return states["min"]
    if each.function == "max":
        found = states["max"]
        if not pa.types.is_floating(each.type):
            return found
        return pc.if_else(pc.greater(states["nan"], 0), pa.scalar(float("nan"), each.type), found)
    if each.function == "stddev":
        return _deviation(states["count"].to_numpy(), states["square"].to_numpy())
    if each.function == "sum":
        return _sum(each, states["sum"])
    summed = states["sum"]
    numbers = pa.chunked_array([exact(chunk, pa.float64()) for chunk in summed.chunks], pa.float64())
    return pc.divide(numbers, pc.cast(states["count"], pa.float64()))


def _sum(each: Measure, summed: pa.ChunkedArray) -> pa.ChunkedArray:
    try:
        return pc.cast(summed, each.result)
    except pa.ArrowInvalid as error:
        raise WriteError(
            f"The sum {each.name} of `aggregate` is too large for {each.result}.",
            next_step="take avg and count instead; the predictions of all units are kept.",
        ) from error


def _deviation(counts: Any, squares: Any) -> pa.ChunkedArray:
    with np.errstate(all="ignore"):
        found = np.sqrt(squares / np.maximum(counts - 1, 1))
    return pa.chunked_array([pa.array(found, mask=counts < 2)], pa.float64())
