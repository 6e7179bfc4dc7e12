"""The contract between a table and a signature: decided from declared types, by name, before anything runs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import pyarrow as pa

from spark_infer.config import CASTS
from spark_infer.core.open_types import settled
from spark_infer.core.signature import Column, Signature, Tensor, for_model, is_list, marked, spelled
from spark_infer.core.vectors import is_vector
from spark_infer.errors import MOST_PROBLEMS, SchemaMismatchError, did_you_mean, nearest_names

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


def bind(
    schema: pa.Schema,
    signature: Signature | None,
    *,
    inputs: Sequence[str] | None = None,
    allow_casts: Sequence[str] = (),
    model: str = "the model",
) -> Binding:
    """Match a table's columns to a model's inputs.

    Args:
        schema: Columns the table has (after preprocessing).
        signature: What the model takes; None for a model logged without a signature.
        inputs: Columns to feed, in the model's order, where the signature names none.
        allow_casts: Conversions that may lose digits and are allowed all the same (`config.CASTS`).
        model: How to name the model in errors.

    Raises:
        SchemaMismatchError: A column is missing, ambiguous or of a type with no lossless cast; all problems at once.
            Or the table has none of the columns, be they optional.
    """
    available = _Available(schema, allow_casts)
    if signature is None or not signature.inputs:
        binding = _bind_unsigned(available, inputs, model)
    elif signature.is_tensor:
        binding = _bind_tensors(available, signature, inputs)
    else:
        binding = _bind_columns(available, signature, inputs)
    if available.problems:
        raise SchemaMismatchError(
            f"The table does not fit the signature of {model}: {len(available.problems)} problem(s).",
            problems=available.problems,
            next_step=available.advice(),
        )
    if binding.columns and not binding.sources:
        # Rows without columns are none: MLflow's enforcement of a signature loses their number too.
        raise binding.cannot_do_without(model)
    return binding


class _Available:
    """The table's columns, and the problems found so far."""

    def __init__(self, schema: pa.Schema, allow_casts: Sequence[str]) -> None:
        self.schema = schema
        self.allow_casts = frozenset(allow_casts)
        self.counts = Counter(schema.names)
        self.problems: list[str] = []
        self.wanted_casts: set[str] = set()
        self._suggestions = 0

    def column(
        self, source: str, target: str, wanted: pa.DataType, *, required: bool = True, unused: Sequence[str] = ()
    ) -> list[BoundColumn]:
        """Return the bound column, or note the problem and return nothing; ``unused`` columns may be misspelt ones."""
        if self.counts[source] > 1:
            self.problems.append(f"column {source!r} stands {self.counts[source]} times in the table: ambiguous")
        elif source in self.counts:
            got = self.schema.field(source).type
            known = settled(wanted, got)
            if known is None:
                self.problems.append(f"column {source!r} is {spelled(got)}, which no model takes")
                return []
            wanted = known
            step = cast_step(got, wanted)
            if step in self.allow_casts or step in ("", "lossless", "checked"):
                names = spelled(got), spelled(wanted)
                cast = " -> ".join(names) if names[0] != names[1] else None
                return [BoundColumn(source=source, target=target, type=wanted, cast=cast)]
            self._refuse_cast(source, got, wanted, step)
        elif required:
            near = did_you_mean(self._near(source, self.counts))
            self.problems.append(f"column {source!r} ({spelled(wanted)}) is missing{near}")
        else:
            return [BoundColumn(source=None, target=target, type=wanted, near=tuple(self._near(source, unused)))]
        return []

    def _near(self, name: str, names: Iterable[str]) -> list[str]:
        """What may have been meant; for the first names alone, since each is compared with all that there are."""
        self._suggestions += 1
        return nearest_names(name, names) if self._suggestions <= MOST_PROBLEMS else []

    def depth(self, source: str) -> int | None:
        """How many arrays deep a column is; None for a column that is not there."""
        if self.counts[source] != 1:
            return None
        depth, inner = 0, self.schema.field(source).type
        while is_list(inner):
            depth, inner = depth + 1, inner.value_type
        return 1 if is_vector(inner) and depth == 0 else depth

    def _refuse_cast(self, source: str, got: pa.DataType, wanted: pa.DataType, step: str) -> None:
        problem = f"column {source!r} is {spelled(got)}, the model takes {spelled(wanted)}"
        if step in CASTS:
            self.wanted_casts.add(step)
            problem += f" (possible when asked for: allow_casts={step!r})"
        self.problems.append(problem)

    def advice(self) -> str:
        """What to do about the problems."""
        if self.wanted_casts:
            listed = ", ".join(repr(step) for step in sorted(self.wanted_casts))
            return f"rename or cast the columns, or accept the conversion with allow_casts=[{listed}]."
        if any("inputs=[…]" in problem for problem in self.problems):
            return "say which columns the model takes, in its order: inputs=['…', '…']."
        return "rename or cast the columns before scoring."


def cast_step(got: pa.DataType, wanted: pa.DataType) -> str:
    """Classify the conversion from one declared type to another.

    Returns:
        ``""`` for equal types, ``"lossless"`` where no value can change, ``"checked"`` where a value that does not fit
        is an error and no column could do better, the name of the cast in `config.CASTS` where digits may be lost,
        and ``"impossible"`` otherwise.
    """
    if pa.types.is_struct(got) and marked(got):
        return "impossible"
    if got == wanted:
        return ""
    if pa.types.is_null(got):
        return "lossless"
    for nested in (_list_cast, _struct_cast, _map_cast):
        step = nested(got, wanted)
        if step is not None:
            return step
    return _scalar_cast(got, wanted)


_DIGITS = {pa.float16(): 11, pa.float32(): 24, pa.float64(): 53}


def _scalar_cast(got: pa.DataType, wanted: pa.DataType) -> str:
    types = pa.types
    if types.is_integer(got) and types.is_integer(wanted):
        if types.is_signed_integer(got) and types.is_unsigned_integer(wanted):
            return "checked"  # tensors have unsigned numbers, and Spark has none
        return "lossless" if wanted.bit_width > got.bit_width else "impossible"
    if types.is_integer(got) and wanted in _DIGITS:
        if got.bit_width <= _DIGITS[wanted]:
            return "lossless"
        return "long->double" if wanted == pa.float64() else "impossible"
    if types.is_floating(got) and types.is_floating(wanted):
        if got == pa.float64() and wanted == pa.float32():
            return "double->float"
        return "lossless" if wanted.bit_width > got.bit_width else "impossible"
    if types.is_decimal(got) and wanted == pa.float64():
        return "decimal->double"
    if (types.is_timestamp(got) or types.is_date(got)) and types.is_timestamp(wanted):
        return "lossless"
    same_kind = (types.is_string, types.is_large_string), (types.is_binary, types.is_large_binary)
    if any(any(test(got) for test in pair) and any(test(wanted) for test in pair) for pair in same_kind):
        return "lossless"
    return "impossible"


def _list_cast(got: pa.DataType, wanted: pa.DataType) -> str | None:
    if is_vector(got) and is_list(wanted):
        got = pa.list_(pa.float64())
    if not (is_list(got) or is_list(wanted)):
        return None
    if not (is_list(got) and is_list(wanted)):
        return "impossible"
    return cast_step(got.value_type, wanted.value_type) or "lossless"


def _struct_cast(got: pa.DataType, wanted: pa.DataType) -> str | None:
    if not (pa.types.is_struct(got) or pa.types.is_struct(wanted)):
        return None
    if not (pa.types.is_struct(got) and pa.types.is_struct(wanted)):
        return "impossible"
    fields = {field.name: field.type for field in got}
    counts = Counter(field.name for field in got)
    if any(counts[field.name] > 1 for field in wanted):
        return "impossible"
    steps = {"lossless"}
    for field in wanted:
        if field.name in fields:
            steps.add(cast_step(fields[field.name], field.type) or "lossless")
        elif not field.nullable:
            return "impossible"
    lossy = sorted(steps - {"lossless", "checked"})
    return "impossible" if "impossible" in lossy or len(lossy) > 1 else lossy[0] if lossy else "lossless"


def _map_cast(got: pa.DataType, wanted: pa.DataType) -> str | None:
    if not (pa.types.is_map(got) or pa.types.is_map(wanted)):
        return None
    if not (pa.types.is_map(got) and pa.types.is_map(wanted) and got.key_type == wanted.key_type):
        return "impossible"
    return cast_step(got.item_type, wanted.item_type) or "lossless"


def _bind_columns(available: _Available, signature: Signature, inputs: Sequence[str] | None) -> Binding:
    columns: list[BoundColumn] = []
    named = signature.names
    if named is None:
        sources = _given_inputs(available, inputs, len(signature.inputs))
    else:
        sources = named
        if inputs is not None and set(inputs) != set(named):
            available.problems.append(
                f"inputs={list(inputs)} was given, but the signature names its columns: {list(named)}"
            )
    known = set(sources)
    unused = [name for name in available.schema.names if name not in known]
    for source, item in zip(sources, signature.inputs, strict=False):
        assert isinstance(item, Column)
        columns += available.column(source, item.name or source, item.type, required=item.required, unused=unused)
    return Binding(columns=tuple(columns), numbered=named is None)


def _bind_tensors(available: _Available, signature: Signature, inputs: Sequence[str] | None) -> Binding:
    columns: list[BoundColumn] = []
    tensors: list[TensorInput] = []
    if len(signature.inputs) > 1 and inputs is not None and set(inputs) != set(signature.names or ()):
        available.problems.append(
            f"inputs={list(inputs)} was given, but the signature has tensors of its own names: {signature.names}"
        )
        inputs = None
    for item in signature.inputs:
        assert isinstance(item, Tensor)
        # A named tensor is the table column of that name; a single one may also be made of the columns given.
        by_name = item.name is not None and (inputs is None or len(signature.inputs) > 1)
        sources = (str(item.name),) if by_name else tuple(inputs or ())
        if not sources:
            available.problems.append(
                f"the model takes one array of shape {list(item.shape)} and names no columns: say which with inputs=[…]"
            )
            continue
        wanted = _tensor_column(available, item, sources)
        for source in sources:
            columns += available.column(source, source, wanted)
        tensors.append(TensorInput(name=item.name, columns=sources, dtype=item.dtype, shape=item.shape))
    return Binding(columns=tuple(columns), tensors=tuple(tensors))


def _tensor_column(available: _Available, item: Tensor, sources: Sequence[str]) -> pa.DataType:
    """Type that each column of a tensor must have; notes why there is none."""
    shape, wanted = list(item.shape), item.value_type
    if shape[:1] != [-1]:
        available.problems.append(f"a tensor of shape {shape} does not count rows: its first size must be -1")
    if len(sources) > 1:
        if len(shape) != 2:
            available.problems.append(f"a tensor of shape {shape} needs a single array column")
        elif shape[1] not in (-1, len(sources)):
            available.problems.append(
                f"the model takes {shape[1]} numbers a row, there are {len(sources)} columns for them"
            )
        return wanted
    depth = available.depth(sources[0])
    if len(shape) == 2 and shape[1] in (-1, 1) and depth == 0:
        return wanted
    if len(shape) > 2 and depth == len(shape) - 1:
        for _ in range(depth):
            wanted = pa.list_(wanted)
        return wanted
    if shape[1:].count(-1) > 1:
        available.problems.append(
            f"a tensor of shape {shape} has several open sizes besides rows: it needs arrays of as many dimensions"
        )
    return pa.list_(wanted) if len(shape) > 1 else wanted


def _bind_unsigned(available: _Available, inputs: Sequence[str] | None, model: str) -> Binding:
    columns: list[BoundColumn] = []
    if inputs is None:
        available.problems.append(f"{model} was logged without a signature: say which columns it takes with inputs=[…]")
    for source in inputs or ():
        found = available.schema.field(source).type if available.counts[source] == 1 else pa.null()
        wanted = for_model(found)
        if wanted is None:
            available.problems.append(f"column {source!r} is {spelled(found)}, which no model takes")
        else:
            columns += available.column(source, source, wanted)
    return Binding(columns=tuple(columns))


def _given_inputs(available: _Available, inputs: Sequence[str] | None, count: int) -> Sequence[str]:
    if not inputs:
        available.problems.append(f"the model takes {count} columns and names none: say which with inputs=[…]")
    elif len(inputs) != count:
        available.problems.append(f"the model takes {count} columns, inputs=[…] names {len(inputs)}")
    return inputs or ()
