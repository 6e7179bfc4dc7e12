from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa
import pytest

from spark_infer.core.arguments import Arguments, ModelColumns, read_arguments
from spark_infer.core.contract import bind
from spark_infer.core.signature import Column, Signature, Tensor
from spark_infer.core.vectors import _FIELDS
from spark_infer.errors import SchemaMismatchError

DOUBLE, TEXT = pa.float64(), pa.string()


def columns(*names: str | None, optional: Sequence[str] = (), type: pa.DataType = DOUBLE) -> ModelColumns:
    items = tuple(Column(name=name, type=type, required=name not in optional) for name in names)
    return ModelColumns(label="m", signature=Signature(inputs=items))


def struct(*names: str, type: pa.DataType = DOUBLE) -> pa.StructType:
    return pa.struct([(name, type) for name in names])


def loose(model: ModelColumns, *names: str, type: pa.DataType = DOUBLE) -> Arguments:
    return read_arguments([struct(*names, type=type)], model, loose=True)


def fed(given: Arguments) -> list[tuple[int, str]]:
    """The position of each column of the call, and the name under which the model gets it."""
    binding = bind(given.schema, given.signature, inputs=given.inputs)
    return [(given.schema.names.index(str(each.source)), each.target) for each in binding.columns]


@pytest.mark.parametrize("names", [("a", "b"), ("b", "a"), ("b", "x", "a"), ("a", "col2", "b")])
def test_loose_columns_with_the_names_of_the_model_bind_by_name(names: tuple[str, ...]) -> None:
    given = loose(columns("a", "b"), *names)
    assert fed(given) == [(names.index("a"), "a"), (names.index("b"), "b")]
    assert not given.by_position


@pytest.mark.parametrize(
    "names",
    [
        ("col1", "b"),  # predict(col("a").cast("double"), col("b"))
        ("a", "col2"),
        ("col1", "col2"),
        ("x", "y"),
        ("x", "b"),
        ("A", "B"),
        ("x", "x"),  # one column in two places
    ],
)
def test_loose_columns_whose_names_say_nothing_else_bind_by_position(names: tuple[str, ...]) -> None:
    given = loose(columns("a", "b"), *names)
    assert fed(given) == [(0, "a"), (1, "b")]
    assert given.by_position


@pytest.mark.parametrize(
    ("model", "names", "problem"),
    [
        (("a", "b"), ("b", "col2"), "column 'b' stands at the place of 'a'"),
        (("a", "b"), ("x", "a"), "column 'a' stands at the place of 'b'"),
        (("income", "age_years"), ("age", "incom"), "column 'incom' stands at the place of 'age_years'"),
        (("a", "b"), ("B", "A"), "column 'B' stands at the place of 'a'"),
        (("a", "b"), ("col1",), "argument 1 is an expression without a name"),
        (("a", "b", "c"), ("b", "c"), "column 'a' is missing"),
        (("a", "b"), ("x", "y", "a"), "column 'b' is missing"),
        (("a", "A"), ("A", "col2"), "column 'A' stands at the place of 'a'"),
        (("a", "A"), ("A", "x"), "column 'A' stands at the place of 'a'"),
        (("a", "A"), ("A", "A"), "column 'A' stands at the place of 'a'"),
        (("a", "A"), ("x", "a"), "column 'a' stands at the place of 'A'"),
    ],
)
def test_names_that_may_mean_another_column_are_never_bound_by_position(
    model: tuple[str, ...], names: tuple[str, ...], problem: str
) -> None:
    with pytest.raises(SchemaMismatchError, match=r"\.alias\('") as refusal:
        loose(columns(*model), *names)
    assert problem in refusal.value.problems


def test_an_expression_that_may_be_the_optional_column_is_not_dropped() -> None:
    model = columns("a", "b", "c", optional=["b", "c"])
    assert fed(loose(model, "a", "col2", "col3")) == [(0, "a"), (1, "b"), (2, "c")]
    with pytest.raises(SchemaMismatchError, match="argument 2 is an expression without a name"):
        loose(model, "a", "col2")


@pytest.mark.parametrize(
    ("optional", "names"),
    [("b", ("a", "x")), ("b", ("a", "B")), ("ab", ("x", "b")), ("ab", ("x", "y")), ("b", ("x", "b"))],
)
def test_a_column_of_another_name_is_not_dropped_while_an_optional_one_is_left_out(
    optional: str, names: tuple[str, ...]
) -> None:
    given = loose(columns("a", "b", optional=optional), *names)
    assert fed(given) == [(0, "a"), (1, "b")]
    assert given.by_position


@pytest.mark.parametrize(
    ("names", "problem"),
    [
        (("a", "x"), "column 'b' is missing"),  # of three: no position says which
        (("x",), "column 'a' is missing"),
        (("b", "a", "x"), "column 'b' stands at the place of 'a'"),
        (("a", "C"), "column 'c' is missing (did you mean 'C'?)"),
    ],
)
def test_columns_of_other_names_that_no_position_fits_are_an_error(names: tuple[str, ...], problem: str) -> None:
    with pytest.raises(SchemaMismatchError, match=r"\.alias\('") as refusal:
        loose(columns("a", "b", "c", optional="bc"), *names)
    assert problem in refusal.value.problems


def test_optional_columns_may_be_left_out_and_of_more_columns_than_the_model_has_the_others() -> None:
    model = columns("a", "b", "c", optional="bc")
    for names, taken in {("a",): "a", ("c", "a"): "ac", ("x", "a", "y", "z"): "a", ("x", "c", "b", "a"): "abc"}.items():
        given = loose(model, *names)
        assert not given.by_position
        bound = {each.target: each.source for each in bind(given.schema, given.signature).columns}
        assert bound == {name: name if name in taken else None for name in "abc"}
        left_out = set("abc") - set(taken) if set(names) - set("abc") else set()
        assert {name for doubt in model.doubts(names) for name in "abc" if f"leaves out {name!r}" in doubt} == left_out
    (doubt,) = model.doubts(("a", "b", "C", "d"))
    assert "may take (did you mean 'C'?), and has 2 column(s)" in doubt
    with pytest.raises(SchemaMismatchError, match="argument 4 is an expression without a name"):
        loose(model, "x", "a", "y", "col4")


def test_a_struct_of_columns_may_have_the_name_of_one_of_them() -> None:
    # predict(struct("*")): Spark calls the struct col1
    given = read_arguments([pa.struct([("col1", struct("col2", "col1"))])], columns("col1", "col2"), loose=True)
    assert fed(given) == [(1, "col1"), (0, "col2")]
    row = struct("x", "y")
    items = (Column(name="s", type=row), Column(name="b", type=DOUBLE, required=False))
    given = read_arguments(
        [pa.struct([("s", row)])], ModelColumns(label="m", signature=Signature(inputs=items)), loose=True
    )
    assert given.schema == pa.schema([("s", row)])


@pytest.mark.parametrize("is_loose", [True, False])
def test_a_struct_column_binds_by_its_fields_however_it_is_passed(is_loose: bool) -> None:
    row = struct("b", "a")
    given = read_arguments([pa.struct([("s", row)]) if is_loose else row], columns("a", "b"), loose=is_loose)
    assert fed(given) == [(1, "a"), (0, "b")]
    assert given.within == ((0,) if is_loose else ())
    with pytest.raises(SchemaMismatchError, match="'b' \\(double\\) is missing"):
        fed(read_arguments([pa.struct([("s", struct("a", "x"))])], columns("a", "b"), loose=True))


def test_a_struct_that_is_the_only_input_itself_stays_whole() -> None:
    row = struct("x", "y")
    for name in ("s", "t"):
        given = read_arguments([pa.struct([(name, row)])], columns("s", type=row), loose=True)
        assert given.schema == pa.schema([("s", row)])
    assert read_arguments([row], columns(None, type=row), loose=False).schema == pa.schema([("0", row)])


def test_a_vector_is_a_value_and_no_struct_of_columns() -> None:
    vector = pa.struct(list(_FIELDS))
    for model in (columns("features"), columns(None), ModelColumns(label="m", signature=None)):
        given = read_arguments([pa.struct([("v", vector)])], model, loose=True)
        assert given.schema.types == [vector]


def test_columns_that_the_signature_does_not_name_are_numbered() -> None:
    given = loose(columns(None, None), "b", "a")
    binding = bind(given.schema, given.signature, inputs=given.inputs)
    assert [(each.source, each.target) for each in binding.columns] == [("0", "0"), ("1", "1")]
    assert binding.numbered
    from_sql = read_arguments([DOUBLE, DOUBLE], columns(None, None), loose=False)
    assert bind(from_sql.schema, from_sql.signature, inputs=from_sql.inputs) == binding
    for wrong in (("a",), ("a", "b", "c")):
        with pytest.raises(SchemaMismatchError, match=f"takes 2 columns, the call has {len(wrong)}"):
            loose(columns(None, None), *wrong)


def test_a_struct_brings_names_for_columns_that_the_signature_does_not_name() -> None:
    given = read_arguments([struct("b", "a")], columns(None, None), loose=False)
    assert fed(given) == [(0, "b"), (1, "a")]
    assert not bind(given.schema, given.signature).numbered
    with pytest.raises(SchemaMismatchError, match="takes 2 columns, the call has 3"):
        read_arguments([struct("a", "b", "c")], columns(None, None), loose=False)


def test_a_model_without_a_signature_takes_whatever_the_call_brings() -> None:
    model = ModelColumns(label="m", signature=None)
    assert fed(loose(model, "x", "y")) == [(0, "0"), (1, "1")]
    assert fed(read_arguments([struct("x", "y")], model, loose=False)) == [(0, "x"), (1, "y")]
    assert fed(read_arguments([pa.struct([("s", struct("x", "y"))])], model, loose=True)) == [(0, "x"), (1, "y")]
    assert fed(read_arguments([TEXT], model, loose=False)) == [(0, "0")]


def test_the_names_of_inputs_are_those_of_the_model() -> None:
    for signature in (None, Signature(inputs=(Column(name=None, type=DOUBLE),) * 2)):
        model = ModelColumns(label="m", signature=signature, inputs=("a", "b"))
        given = loose(model, "b", "a", "x")
        binding = bind(given.schema, given.signature, inputs=given.inputs)
        assert [each.source for each in binding.columns] == ["a", "b"]
        assert binding.numbered is (signature is not None)
        assert loose(model, "col1", "col2").by_position
        with pytest.raises(SchemaMismatchError, match="takes 2 columns, the call has 3"):
            read_arguments([DOUBLE] * 3, model, loose=False)


def test_an_unnamed_tensor_is_one_array_column_or_a_column_for_each_number() -> None:
    model = ModelColumns(label="m", signature=Signature(inputs=(Tensor(name=None, dtype="float64", shape=(-1, 4, 3)),)))
    given = loose(model, "x", type=pa.list_(DOUBLE))
    assert bind(given.schema, given.signature, inputs=given.inputs).tensors[0].columns == ("0",)
    flat = ModelColumns(label="m", signature=Signature(inputs=(Tensor(name=None, dtype="float64", shape=(-1, 2)),)))
    for given in (loose(flat, "x", "y"), read_arguments([struct("x", "y")], flat, loose=False)):
        assert len(bind(given.schema, given.signature, inputs=given.inputs).tensors[0].columns) == 2
    given = loose(flat, "x", "y", "z")
    with pytest.raises(SchemaMismatchError, match="takes 2 numbers a row, there are 3 columns"):
        bind(given.schema, given.signature, inputs=given.inputs)


def test_a_single_tensor_with_a_name_may_be_made_of_the_columns_that_inputs_name() -> None:
    signature = Signature(inputs=(Tensor(name="t", dtype="float64", shape=(-1, 2)),))
    given = loose(ModelColumns(label="m", signature=signature, inputs=("x", "y")), "y", "x")
    assert bind(given.schema, given.signature, inputs=given.inputs).tensors[0].columns == ("x", "y")
    given = loose(ModelColumns(label="m", signature=signature), "v", type=pa.list_(DOUBLE))
    assert bind(given.schema, given.signature, inputs=given.inputs).tensors[0].columns == ("t",)
