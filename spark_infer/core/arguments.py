"""The columns of a call: which of a model's columns each argument of a column expression is.

A struct brings the names of its fields. Loose columns bind by name as far as Spark knows their names, else by position,
which is how MLflow's ``spark_udf`` takes them all. Where a model names no columns, it gets the names that ``spark_udf``
gives: a struct's fields keep theirs, loose columns are numbered from 0 (`mlflow.pyfunc.spark_udf`).
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass, replace

import pyarrow as pa

from spark_infer.core.signature import Column, Signature, marked
from spark_infer.core.vectors import is_vector
from spark_infer.errors import SchemaMismatchError, nearest

_LIKE = 0.6
"""From which likeness on one name may stand for another; `difflib`'s own default."""


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """The columns of a call, under the names by which they bind.

    Attributes:
        schema: The columns.
        signature: The signature to bind them to; a struct names the columns of one that names none.
        inputs: Names for a model that names no columns.
        within: Where the columns lie in the first argument: fields of fields; None where they are the arguments.
        by_position: Whether only their order says which is which.
    """

    schema: pa.Schema
    signature: Signature | None
    inputs: tuple[str, ...] | None
    within: tuple[int, ...] | None
    by_position: bool = False


@dataclass(frozen=True, kw_only=True)
class ModelColumns:
    """The columns that a model takes, for messages under its ``label``.

    Attributes:
        label: Name and version of the model.
        signature: Its signature.
        inputs: The caller's names, for a model that names no columns or takes a single tensor.
    """

    label: str
    signature: Signature | None
    inputs: tuple[str, ...] | None = None

    @property
    def names(self) -> tuple[str, ...] | None:
        """The names, in the model's order; None where neither the caller nor the signature names them."""
        return self.inputs or (self.signature.names if self.signature else None) or None

    @property
    def required(self) -> frozenset[str]:
        """The names that a call must bring."""
        items = self.signature.inputs if self.signature else ()
        return frozenset(self.names or ()) - {item.name for item in items if not getattr(item, "required", True)}

    @property
    def count(self) -> int | None:
        """How many loose columns stand for them all; None for any number."""
        if self.names is not None:
            return len(self.names)
        return None if self.signature is None or self.signature.is_tensor else len(self.signature.inputs) or None

    def has_struct(self, name: str) -> bool:
        """Whether one of the columns has this name and is a struct itself."""
        items = self.signature.inputs if self.signature else ()
        return any(isinstance(item, Column) and item.name == name and pa.types.is_struct(item.type) for item in items)

    def refuse_count(self, given: int) -> None:
        """Refuse another number of columns than the model takes.

        Raises:
            SchemaMismatchError: Says both.
        """
        if self.count not in (None, given):
            known = [f"the model's columns are {list(self.names)}"] if self.names else []
            raise SchemaMismatchError(
                f"{self.label} takes {self.count} columns, the call has {given}.",
                problems=known,
                next_step="pass one struct, whose fields bind by name: predict(struct(*)), "
                "predict(struct(a + 1 AS x, y))."
                if known
                else "pass as many columns, in the model's order.",
            )

    def doubts(self, given: Sequence[str]) -> Iterator[str]:
        """Say which optional columns a call leaves out while it has columns that the model does not name."""
        names = self.names or ()
        if others := set(given) - set(names):
            for name in names:
                if name not in given:
                    yield (
                        f"The call leaves out {name!r}, which {self.label} may take{nearest(name, others)}, "
                        f"and has {len(others)} column(s) that the model does not name."
                    )

    def place(self, given: Sequence[str]) -> tuple[tuple[str, ...], bool]:
        """Say under which names the loose columns of a call bind.

        By their own names where these are the model's, and bring all its columns or are no others; else by position,
        where there are as many and no name gives reason to think of another column than the one at its place. Of more
        columns than the model has, those with other names are left out, since no position says which they are.

        Args:
            given: Their names, as Spark has them: an expression is ``col1``, ``col2``, … by its place.

        Returns:
            The names, and whether they were found by position.

        Raises:
            SchemaMismatchError: Columns are missing.
        """
        assert self.names is not None
        unnamed = _unnamed(given, self.names)
        others = set(given) - set(self.names)
        if self.required <= set(given) and (
            set(self.names) <= set(given) or not others or (len(given) > len(self.names) and not unnamed)
        ):
            return tuple(given), False
        misplaced = [
            f"column {name!r} stands at the place of {wanted!r}"
            for name, wanted in zip(given, self.names, strict=False)
            if name not in unnamed and _is_rather_another(name, wanted, self.names)
        ]
        if len(given) == len(self.names) and not misplaced:
            return self.names, True
        missing = [name for name in self.names if name not in given and (others or name in self.required)]
        raise SchemaMismatchError(
            f"The call leaves out columns that {self.label} takes.",
            problems=[
                *(f"column {name!r} is missing{nearest(name, set(given) - unnamed)}" for name in missing),
                *(f"argument {given.index(name) + 1} is an expression without a name" for name in sorted(unnamed)),
                *(misplaced if len(given) == len(self.names) else ()),
            ],
            next_step=f"name each column as the model does, (…).alias({missing[0]!r}) or predict({missing[0]}=…), or "
            "pass none: predict() takes all of them from the table.",
        )


def read_arguments(given: Sequence[pa.DataType], model: ModelColumns, *, loose: bool) -> Arguments:
    """Find the model's columns among the arguments of a call.

    Args:
        given: Types of the arguments. Several are loose columns of SQL, whose names Spark does not pass.
        model: What the model takes.
        loose: Whether the only argument is a struct that was made of loose columns, to bring their names.

    Raises:
        SchemaMismatchError: They do not fit; what is known from their names and number alone.
    """
    if loose:
        return _loose(list(given[0]), model)
    if len(given) == 1 and _holds_columns(given[0], model):
        return _fields(given[0], model, within=())
    model.refuse_count(len(given))
    names = model.names or _numbers(len(given))
    return Arguments(
        schema=pa.schema(list(zip(names, given, strict=True))),
        signature=model.signature,
        inputs=None if model.names and not model.inputs else tuple(names),
        within=None,
        by_position=model.names is not None,
    )


def _loose(fields: Sequence[pa.Field], model: ModelColumns) -> Arguments:
    if len(fields) == 1 and not model.has_struct(fields[0].name) and _holds_columns(fields[0].type, model):
        return _fields(fields[0].type, model, within=(0,))
    given = [field.name for field in fields]
    if model.names is None:
        model.refuse_count(len(given))
        names, by_position, inputs = _numbers(len(given)), False, _numbers(len(given))
    else:
        (names, by_position), inputs = model.place(given), model.inputs or ()
    return Arguments(
        schema=pa.schema(list(zip(names, (field.type for field in fields), strict=True))),
        signature=model.signature,
        inputs=tuple(inputs) or None,
        within=(),
        by_position=by_position,
    )


def _fields(struct: pa.StructType, model: ModelColumns, *, within: tuple[int, ...]) -> Arguments:
    names = tuple(field.name for field in struct)
    signature, inputs = model.signature, model.inputs
    if model.names is None:
        model.refuse_count(len(names))
        if signature is not None and signature.inputs and not signature.is_tensor:
            items = zip(signature.inputs, names, strict=True)
            signature = replace(signature, inputs=tuple(replace(item, name=name) for item, name in items))
        else:
            inputs = names
    return Arguments(schema=pa.schema(list(struct)), signature=signature, inputs=inputs, within=within)


def _holds_columns(data_type: pa.DataType, model: ModelColumns) -> bool:
    """Whether an argument brings the model's columns as its fields, and is not one of these columns itself."""
    if not pa.types.is_struct(data_type) or is_vector(data_type) or marked(data_type):
        return False
    if model.names is not None:
        # A model with one struct-typed input may be given that value itself.
        return len(model.names) != 1 or model.names[0] in {field.name for field in data_type}
    items = model.signature.inputs if model.signature else ()
    return not (len(items) == 1 and isinstance(items[0], Column) and pa.types.is_struct(items[0].type))


def _numbers(count: int) -> tuple[str, ...]:
    return tuple(map(str, range(count)))


def _unnamed(given: Sequence[str], names: Sequence[str]) -> Set[str]:
    """The expressions among columns: Spark calls their fields of a struct ``col1``, ``col2``, … by their places."""
    return {name for index, name in enumerate(given, 1) if name == f"col{index}" and name not in names}


def _is_rather_another(name: str, wanted: str, names: Sequence[str]) -> bool:
    """Whether a column's name is more like another of the model's columns than like the one at its place."""
    if name in names:
        return name != wanted
    folded = {other.casefold(): other for other in names}
    near = difflib.get_close_matches(name.casefold(), folded, n=1, cutoff=_LIKE)
    return bool(near) and _likeness(name, near[0]) > _likeness(name, wanted)


def _likeness(name: str, other: str) -> float:
    return difflib.SequenceMatcher(None, other.casefold(), name.casefold()).ratio()
