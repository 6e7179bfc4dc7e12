"""How the columns of a table become the inputs of a model, as decided on the driver; plain values."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pyarrow as pa

from spark_infer.core.signature import spelled
from spark_infer.errors import SchemaMismatchError, did_you_mean

_MOST_SHOWN = 5


@dataclass(frozen=True, kw_only=True)
class BoundColumn:
    """One column on its way into the model.

    Attributes:
        source: Column of the table; None for an optional input that the table lacks, and the model goes without.
        target: Name the model knows it by.
        type: Arrow type the model gets.
        cast: The conversion, as the plan states it (``integer -> long``); None where the types are equal.
        near: Columns of the table with a similar name, for an optional input that the table lacks.
    """

    source: str | None
    target: str
    type: pa.DataType
    cast: str | None = None
    near: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class TensorInput:
    """A tensor that is put together from columns: one array column, or one column for each number of a row.

    ``name`` is None for a model that takes a single bare array.
    """

    name: str | None
    columns: tuple[str, ...]
    dtype: str
    shape: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Binding:
    """How the columns of a table become the inputs of a model.

    Attributes:
        columns: The columns; with no tensors beside them they make a frame.
        tensors: The arrays that are made of the columns.
        numbered: Whether the model knows the columns of its frame by number: its signature gives them no names.
    """

    columns: tuple[BoundColumn, ...]
    tensors: tuple[TensorInput, ...] = ()
    numbered: bool = False

    @property
    def sources(self) -> tuple[str, ...]:
        """Columns to read from the table, each once, in the model's order."""
        return tuple(dict.fromkeys(column.source for column in self.columns if column.source is not None))

    @property
    def is_open(self) -> bool:
        """Whether only a call will say which columns there are: no table was seen, and the model names none."""
        return not self.columns

    @property
    def absent(self) -> tuple[BoundColumn, ...]:
        """The inputs that the signature calls optional and the table lacks."""
        return tuple(column for column in self.columns if column.source is None)

    def complete(self) -> Binding:
        """The same binding for a table that lacks no column."""
        return replace(self, columns=tuple(replace(column, source=column.target) for column in self.columns))

    def absent_warnings(self) -> tuple[str, ...]:
        """What a user should know about the inputs that the table lacks, a sentence each."""
        found = [
            f"column {column.target!r}, which the signature calls optional, is not in the table"
            f"{did_you_mean(column.near)}: the model goes without it"
            for column in self.absent
            if column.near
        ]
        rest = [column.target for column in self.absent if not column.near]
        if rest:
            shown = ", ".join(map(repr, rest[:_MOST_SHOWN])) + (" and others" if len(rest) > _MOST_SHOWN else "")
            found.append(f"{len(rest)} column(s) that the signature calls optional are not in the table: {shown}")
        return tuple(found)

    def cannot_do_without(self, model: str) -> SchemaMismatchError:
        """The error for a model that fails without the optional inputs that the table lacks."""
        return SchemaMismatchError(
            f"{model} cannot do without columns that the table lacks, although its signature calls them optional.",
            problems=[
                f"column {column.target!r} ({spelled(column.type)}) is missing{did_you_mean(column.near)}"
                for column in self.absent
            ],
            next_step="rename or add the column; MLflow's infer_signature calls a column optional if it had a null.",
        )
