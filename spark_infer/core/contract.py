"""The contract between a table and a signature: decided from declared types, by name, before anything runs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from math import prod

import pyarrow as pa

from spark_infer.config import CASTS
from spark_infer.core.binding import Binding, BoundColumn, TensorInput
from spark_infer.core.declared_types import cast_step, settled
from spark_infer.core.signature import Column, Signature, Tensor, for_model, is_list, spelled
from spark_infer.core.vectors import is_vector
from spark_infer.errors import MOST_PROBLEMS, SchemaMismatchError, did_you_mean, nearest_names


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

    def fixed_misfit(self, source: str, shape: Sequence[int]) -> str:
        """Say that arrays of fixed sizes are no tensor of a shape; empty where they are, or where that is not known."""
        sizes, inner = list[int](), self.schema.field(source).type if self.counts[source] == 1 else pa.null()
        while pa.types.is_fixed_size_list(inner):
            sizes.append(inner.list_size)
            inner = inner.value_type
        if not sizes or is_list(inner):
            return ""
        if len(sizes) > 1:
            known = [size if wanted != -1 else -1 for size, wanted in zip(sizes, shape, strict=False)]
            fits = len(sizes) == len(shape) and known == list(shape)
        else:
            fits = -1 in shape or sizes[0] == prod(shape)
        found, wants = ("x".join("?" if size == -1 else str(size) for size in each) for each in (sizes, shape))
        return "" if fits else f"column {source!r} holds {found} numbers a row, the model takes {wants}"

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
    if misfit := available.fixed_misfit(sources[0], shape[1:]):
        available.problems.append(misfit)
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
        available.problems.append(f"{model} has no signature that names columns: say which it takes with inputs=[…]")
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
