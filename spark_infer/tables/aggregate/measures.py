"""What is computed of each group: its formula, the columns that it needs, and the type of the answer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pyarrow as pa

from spark_infer.config import AggregateConfig
from spark_infer.config.aggregate import formula_parts
from spark_infer.errors import SchemaMismatchError, nearest
from spark_infer.tables.where.sql import OnlySpark, condition
from spark_infer.tables.where.terms import Term, columns_of

_MOST_DIGITS = 38


@dataclass(frozen=True, kw_only=True)
class Measure:
    """One column of a summary; plain values, pickled to the workers.

    Attributes:
        name: Its name.
        function: One of `config.aggregate.FUNCTIONS`.
        column: The column that is looked at; "" for none.
        type: Its type.
        condition: What `count_if` counts.
    """

    name: str
    function: str
    column: str = ""
    type: pa.DataType
    condition: Term | None = None

    @property
    def inputs(self) -> tuple[str, ...]:
        """The columns that it needs."""
        if self.condition is not None:
            return columns_of(self.condition)
        return (self.column,) if self.column else ()

    @property
    def result(self) -> pa.DataType:
        """The type of the answer, as Spark has it."""
        if self.function in ("count", "count_if"):
            return pa.int64()
        if self.function in ("avg", "stddev"):
            return pa.float64()
        if self.function == "sum":
            return _sum_type(self.type)
        return self.type


def _sum_type(kind: pa.DataType) -> pa.DataType:
    if pa.types.is_decimal(kind):
        return pa.decimal128(min(_MOST_DIGITS, kind.precision + 10), kind.scale)
    return pa.int64() if pa.types.is_integer(kind) else pa.float64()


def measures_of(config: AggregateConfig, schema: pa.Schema) -> tuple[Measure, ...]:
    """Read the formulas of a job.

    Args:
        config: What the job asks for.
        schema: All columns that may be asked for: those of the scored rows, and the others of the source.

    Raises:
        SchemaMismatchError: A column is missing, or of a type that a group or a formula cannot have; all at once.
    """
    problems = list(_group_problems(config.by, schema))
    found = []
    for name, text in config.columns.items():
        try:
            found.append(_measure(name, text, schema))
        except OnlySpark as why:
            problems.append(f"{name}: `{text}` cannot be counted: {why}")
        except ValueError as why:
            problems.append(f"{name}: {why}")
    if problems:
        raise SchemaMismatchError(
            "`aggregate` does not fit the scored rows.",
            problems=problems,
            next_step="correct `aggregate.by` and `aggregate.columns`.",
        )
    return tuple(found)


def inputs_of(by: Sequence[str], measures: Sequence[Measure]) -> tuple[str, ...]:
    """The columns that a summary is made of, each once."""
    return tuple(dict.fromkeys([*by, *(name for each in measures for name in each.inputs)]))


def _group_problems(by: Sequence[str], schema: pa.Schema) -> Iterator[str]:
    for name in by:
        if name not in schema.names:
            yield f"there is no column {name!r}{nearest(name, schema.names)}"
        elif not _makes_groups(kind := schema.field(name).type):
            yield f"column {name!r} is {kind}, whose values do not make groups: a number with digits rarely is the same"


def _makes_groups(kind: pa.DataType) -> bool:
    types = pa.types
    plain = (types.is_integer, types.is_string, types.is_boolean, types.is_date, types.is_timestamp, types.is_decimal)
    return any(is_it(kind) for is_it in plain)


def _measure(name: str, text: str, schema: pa.Schema) -> Measure:
    function, argument = formula_parts(text)
    if function == "count_if":
        return Measure(name=name, function=function, type=pa.bool_(), condition=condition(argument, schema))
    if not argument:
        return Measure(name=name, function=function, type=pa.null())
    column = argument.strip("`")
    if column not in schema.names:
        is_condition = any(sign in argument for sign in "<>=")
        hint = "; count rows with count_if(…)" if is_condition else nearest(column, schema.names)
        raise ValueError(f"there is no column {column!r}{hint}")
    kind = schema.field(column).type
    if not _takes(function, kind):
        raise ValueError(f"{function} takes no column of type {kind}, which {column!r} is")
    return Measure(name=name, function=function, column=column, type=kind)


def _takes(function: str, kind: pa.DataType) -> bool:
    types = pa.types
    if function == "count":
        return True
    number = types.is_integer(kind) or types.is_floating(kind) or types.is_decimal(kind)
    return number or (function in ("min", "max") and _makes_groups(kind))
