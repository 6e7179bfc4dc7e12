"""A condition over a record batch: which rows it keeps."""

from __future__ import annotations

from functools import reduce

import pyarrow as pa
import pyarrow.compute as pc

from spark_infer.tables.where.terms import AllOf, Always, AnyOf, Compares, IsNull, IsTrue, Not, OneOf, Term, Value

_COMPARE = {"=": pc.equal, "<": pc.less, "<=": pc.less_equal, ">": pc.greater, ">=": pc.greater_equal}


def kept(term: Term, batch: pa.RecordBatch) -> pa.RecordBatch:
    """Return the rows for which a condition is true, in order; the batch itself where these are all."""
    mask = outcome(term, batch)
    count = mask.true_count
    if count == batch.num_rows:
        return batch
    return batch.slice(0, 0) if count == 0 else batch.filter(mask)


def outcome(term: Term, batch: pa.RecordBatch) -> pa.BooleanArray:
    """Evaluate a condition for each row: true, false or null."""
    match term:
        case Compares(column, op, value):
            return _compared(batch.column(column), op, value)
        case OneOf(column, values):
            return _one_of(batch.column(column), values)
        case IsNull(column):
            return pc.is_null(batch.column(column))
        case IsTrue(column):
            return batch.column(column)
        case Always(value):
            return pa.repeat(pa.scalar(value), batch.num_rows)
        case Not(inner):
            return pc.invert(outcome(inner, batch))
        case AllOf(terms):
            return reduce(pc.and_kleene, (outcome(each, batch) for each in terms))
        case AnyOf(terms):
            return reduce(pc.or_kleene, (outcome(each, batch) for each in terms))


def _compared(column: pa.Array, op: str, value: Value) -> pa.BooleanArray:
    wide = _widened(column)
    found = _COMPARE[op](wide, pa.scalar(value, wide.type))
    # SQL orders NaN above every number.
    return pc.or_(found, pc.is_nan(wide)) if pa.types.is_float64(wide.type) and op in (">", ">=") else found


def _one_of(column: pa.Array, values: tuple[Value, ...]) -> pa.BooleanArray:
    wide = _widened(column)
    found = pc.is_in(wide, value_set=_distinct(values, wide.type))
    return pc.if_else(pc.is_valid(wide), found, pa.scalar(None, pa.bool_()))


def _distinct(values: tuple[Value, ...], kind: pa.DataType) -> pa.Array:
    # Arrow tells 0.0 from -0.0 in a set, SQL does not.
    zeros = (0.0, -0.0) if pa.types.is_floating(kind) and 0.0 in values else ()
    return pa.array([*values, *zeros], kind)


def _widened(column: pa.Array) -> pa.Array:
    """Numbers as the widest of their kind, in which every literal is exact."""
    if pa.types.is_integer(column.type):
        return column.cast(pa.int64())
    return column.cast(pa.float64()) if pa.types.is_floating(column.type) else column
