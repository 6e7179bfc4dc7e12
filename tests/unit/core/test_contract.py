from __future__ import annotations

import itertools
import pickle

import pyarrow as pa
import pytest

from spark_infer.core.binding import Binding, BoundColumn
from spark_infer.core.contract import bind
from spark_infer.core.declared_types import cast_step
from spark_infer.core.signature import Column, Signature, Tensor
from spark_infer.errors import SchemaMismatchError

TWO = Signature(inputs=(Column(name="a", type=pa.float64()), Column(name="b", type=pa.int64())))


def test_columns_bind_by_name_whatever_their_order() -> None:
    for names in itertools.permutations(["a", "b", "extra"]):
        types = {"a": pa.float64(), "b": pa.int64(), "extra": pa.string()}
        binding = bind(pa.schema([(name, types[name]) for name in names]), TWO)
        assert [column.target for column in binding.columns] == ["a", "b"]
        assert binding.sources == ("a", "b")


def test_a_lossless_cast_is_stated() -> None:
    binding = bind(pa.schema([("a", pa.int32()), ("b", pa.int16())]), TWO)
    assert [column.cast for column in binding.columns] == ["integer -> double", "short -> long"]


def test_all_problems_come_in_one_message_with_the_nearest_names() -> None:
    with pytest.raises(SchemaMismatchError) as refusal:
        bind(
            pa.schema([("A", pa.float64()), ("b", pa.string()), ("c", pa.int64()), ("c", pa.int64())]),
            Signature(inputs=(*TWO.inputs, Column(name="c", type=pa.int64()), Column(name="d", type=pa.bool_()))),
        )
    assert refusal.value.problems == (
        "column 'a' (double) is missing (did you mean 'A'?)",
        "column 'b' is string, the model takes long",
        "column 'c' stands 2 times in the table: ambiguous",
        "column 'd' (boolean) is missing",
    )
    assert pickle.loads(pickle.dumps(refusal.value)).problems == refusal.value.problems


@pytest.mark.parametrize(
    ("got", "wanted", "step"),
    [
        (pa.int64(), pa.float64(), "long->double"),
        (pa.decimal128(10, 2), pa.float64(), "decimal->double"),
        (pa.float64(), pa.float32(), "double->float"),
        (pa.list_(pa.float64()), pa.list_(pa.float32()), "double->float"),
    ],
)
def test_a_cast_that_can_lose_digits_happens_only_when_asked_for(
    got: pa.DataType, wanted: pa.DataType, step: str
) -> None:
    signature = Signature(inputs=(Column(name="a", type=wanted),))
    with pytest.raises(SchemaMismatchError, match="allow_casts") as refusal:
        bind(pa.schema([("a", got)]), signature)
    assert step in str(refusal.value)
    assert bind(pa.schema([("a", got)]), signature, allow_casts=[step]).columns[0].cast


LADDER = [pa.int8(), pa.int16(), pa.int32(), pa.int64()]


def test_integers_widen_and_never_narrow() -> None:
    for low, high in itertools.combinations(range(4), 2):
        assert cast_step(LADDER[low], LADDER[high]) == "lossless"
        assert cast_step(LADDER[high], LADDER[low]) == "impossible"


@pytest.mark.parametrize(
    ("got", "wanted", "step"),
    [
        (pa.int16(), pa.float32(), "lossless"),
        (pa.int32(), pa.float32(), "impossible"),
        (pa.float64(), pa.float32(), "double->float"),
        (pa.list_(pa.list_(pa.float64())), pa.list_(pa.list_(pa.float32())), "double->float"),
        (pa.struct([("x", pa.float64())]), pa.struct([("x", pa.float32())]), "double->float"),
        (pa.map_(pa.string(), pa.float64()), pa.map_(pa.string(), pa.float32()), "double->float"),
        (pa.float32(), pa.int64(), "impossible"),
        (pa.bool_(), pa.float64(), "impossible"),
        (pa.string(), pa.float64(), "impossible"),
        (pa.int64(), pa.string(), "impossible"),
        (pa.uint32(), pa.int64(), "lossless"),
        (pa.int32(), pa.uint8(), "checked"),
        (pa.uint64(), pa.int64(), "impossible"),
        (pa.null(), pa.string(), "lossless"),
        (pa.date32(), pa.timestamp("us"), "lossless"),
        (pa.timestamp("us", "UTC"), pa.timestamp("us"), "lossless"),
        (pa.large_string(), pa.string(), "lossless"),
        (pa.list_(pa.int32()), pa.list_(pa.float64()), "lossless"),
        (pa.list_(pa.int64()), pa.list_(pa.float64()), "long->double"),
        (pa.list_(pa.string()), pa.list_(pa.float64()), "impossible"),
        (pa.float64(), pa.list_(pa.float64()), "impossible"),
        (pa.struct([("y", pa.int32()), ("x", pa.int8())]), pa.struct([("x", pa.int64())]), "lossless"),
        (pa.struct([("x", pa.int64())]), pa.struct([pa.field("y", pa.int64(), False)]), "impossible"),
        (pa.map_(pa.string(), pa.int32()), pa.map_(pa.string(), pa.int64()), "lossless"),
        (pa.map_(pa.int32(), pa.int32()), pa.map_(pa.string(), pa.int32()), "impossible"),
    ],
)
def test_every_pair_of_types_has_one_verdict(got: pa.DataType, wanted: pa.DataType, step: str) -> None:
    assert cast_step(got, wanted) == step


def test_an_optional_column_that_is_missing_is_null_in_every_row() -> None:
    signature = Signature(inputs=tuple(Column(name=name, type=pa.string(), required=False) for name in "ab"))
    assert bind(pa.schema({"b": pa.string()}), signature) == Binding(
        columns=(
            BoundColumn(source=None, target="a", type=pa.string()),
            BoundColumn(source="b", target="b", type=pa.string()),
        )
    )


@pytest.mark.parametrize("table", [(), ("x", "A")])
def test_rows_that_have_none_of_the_optional_columns_are_refused(table: tuple[str, ...]) -> None:
    signature = Signature(inputs=tuple(Column(name=name, type=pa.string(), required=False) for name in "ab"))
    with pytest.raises(SchemaMismatchError, match="m cannot do without columns that the table lacks") as refusal:
        bind(pa.schema([(name, pa.string()) for name in table]), signature, model="m")
    near = " (did you mean 'A'?)" if table else ""
    assert refusal.value.problems == (f"column 'a' (string) is missing{near}", "column 'b' (string) is missing")


def test_an_optional_column_that_is_misspelt_is_reported_with_the_near_name() -> None:
    names = ("region", "plan", "plan_2", "age")
    signature = Signature(inputs=tuple(Column(name=name, type=pa.string(), required=False) for name in names))
    binding = bind(pa.schema({"Region": pa.string(), "plan_2": pa.string(), "other": pa.string()}), signature)
    assert binding.absent_warnings() == (
        "column 'region', which the signature calls optional, is not in the table (did you mean 'Region'?): "
        "the model goes without it",
        "2 column(s) that the signature calls optional are not in the table: 'plan', 'age'",
    )
    assert [column.source for column in binding.complete().columns] == list(names)
    assert bind(pa.schema({name: pa.string() for name in names}), signature).absent_warnings() == ()


def test_a_bare_tensor_takes_the_columns_given_in_that_order() -> None:
    signature = Signature(inputs=(Tensor(name=None, dtype="float64", shape=(-1, 2)),))
    schema = pa.schema([("x", pa.float64()), ("y", pa.float32()), ("v", pa.list_(pa.float32()))])
    assert bind(schema, signature, inputs=["y", "x"]).tensors[0].columns == ("y", "x")
    assert bind(schema, signature, inputs=["v"]).columns[0].cast == "array<float> -> array<double>"
    with pytest.raises(SchemaMismatchError, match=r"inputs=\[…\]"):
        bind(schema, signature)
    with pytest.raises(SchemaMismatchError, match="takes 2 numbers a row"):
        bind(schema, signature, inputs=["x", "y", "x"])


def test_named_tensors_are_the_columns_of_their_names() -> None:
    signature = Signature(
        inputs=(Tensor(name="v", dtype="float32", shape=(-1, 4)), Tensor(name="s", dtype="int64", shape=(-1,)))
    )
    binding = bind(pa.schema([("s", pa.int32()), ("v", pa.list_(pa.float32()))]), signature)
    assert [(column.source, column.cast) for column in binding.columns] == [("v", None), ("s", "integer -> long")]


def test_a_model_without_signature_asks_for_its_inputs() -> None:
    schema = pa.schema([("x", pa.string())])
    with pytest.raises(SchemaMismatchError, match="has no signature"):
        bind(schema, None)
    assert bind(schema, None, inputs=["x"]).columns == (BoundColumn(source="x", target="x", type=pa.string()),)
    with pytest.raises(SchemaMismatchError, match="'z'"):
        bind(schema, None, inputs=["z"])


def test_inputs_that_contradict_the_names_of_the_signature_are_refused() -> None:
    with pytest.raises(SchemaMismatchError, match="names its columns"):
        bind(pa.schema([("a", pa.float64()), ("b", pa.int64())]), TWO, inputs=["b"])


TYPES_WITHOUT_MODEL = {
    "interval day to second": pa.duration("us"),
    "time": pa.time64("ns"),
    "variant": pa.struct([("value", pa.binary()), pa.field("metadata", pa.binary(), False, {b"variant": b"true"})]),
    "map<struct<x:long>,long>": pa.map_(pa.struct([("x", pa.int64())]), pa.int64()),
}


@pytest.mark.parametrize("name", TYPES_WITHOUT_MODEL)
def test_a_type_that_no_model_takes_is_refused_at_every_depth(name: str) -> None:
    data_type = TYPES_WITHOUT_MODEL[name]
    columns = {"a": data_type, "b": pa.list_(data_type), "c": pa.struct([("v", data_type)])}
    with pytest.raises(SchemaMismatchError) as refusal:
        bind(pa.schema(list(columns.items())), None, inputs=list(columns))
    assert refusal.value.problems == (
        f"column 'a' is {name}, which no model takes",
        f"column 'b' is array<{name}>, which no model takes",
        f"column 'c' is struct<v:{name}>, which no model takes",
    )
    for wanted in (pa.float64(), pa.string(), data_type) if name == "variant" else (pa.float64(), pa.string()):
        assert cast_step(data_type, wanted) == "impossible"


def test_a_cast_that_changes_nothing_but_nullability_is_not_told() -> None:
    signature = Signature(inputs=(Column(name="a", type=pa.list_(pa.float64())),))
    required = pa.list_(pa.field("element", pa.float64(), False))
    assert bind(pa.schema([("a", required)]), signature).columns[0].cast is None


def test_a_struct_with_a_needed_field_twice_is_refused() -> None:
    twice = pa.struct([pa.field("x", pa.int64()), pa.field("x", pa.int64())])
    assert cast_step(twice, pa.struct([("x", pa.int64())])) == "impossible"
    assert cast_step(twice, pa.struct([("y", pa.int64())])) == "lossless"


def test_several_tensors_take_columns_of_their_own_names_only() -> None:
    signature = Signature(
        inputs=(Tensor(name="v", dtype="float32", shape=(-1, 4)), Tensor(name="s", dtype="int64", shape=(-1,)))
    )
    schema = pa.schema([("s", pa.int64()), ("v", pa.list_(pa.float32())), ("w", pa.int64())])
    assert bind(schema, signature, inputs=["s", "v"]) == bind(schema, signature)
    with pytest.raises(SchemaMismatchError, match="tensors of its own names"):
        bind(schema, signature, inputs=["w", "v"])


@pytest.mark.parametrize(
    ("shape", "column", "wanted"),
    [
        ((-1, 1), pa.float64(), pa.float64()),
        ((-1, -1), pa.float64(), pa.float64()),
        ((-1, 2, 2), pa.list_(pa.float64()), pa.list_(pa.float64())),
        ((-1, 2, 2), pa.list_(pa.list_(pa.float64())), pa.list_(pa.list_(pa.float64()))),
        ((-1, -1, -1), pa.list_(pa.list_(pa.float64())), pa.list_(pa.list_(pa.float64()))),
    ],
)
def test_a_tensor_is_made_of_the_column_there_is(
    shape: tuple[int, ...], column: pa.DataType, wanted: pa.DataType
) -> None:
    signature = Signature(inputs=(Tensor(name="t", dtype="float64", shape=shape),))
    assert bind(pa.schema([("t", column)]), signature).columns[0].type == wanted


@pytest.mark.parametrize(
    ("shape", "column", "message"),
    [
        ((4, 2), pa.list_(pa.float64()), "does not count rows"),
        ((-1, -1, -1), pa.list_(pa.float64()), "several open sizes"),
        ((-1,), pa.list_(pa.float64()), "is array<double>, the model takes double"),
        ((-1, 2, 2, 2), pa.list_(pa.list_(pa.float64())), "is array<array<double>>, the model takes array<double>"),
    ],
)
def test_a_tensor_that_no_column_can_make_is_refused(shape: tuple[int, ...], column: pa.DataType, message: str) -> None:
    signature = Signature(inputs=(Tensor(name="t", dtype="float64", shape=shape),))
    with pytest.raises(SchemaMismatchError, match=message):
        bind(pa.schema([("t", column)]), signature)


MANY = 20_000


@pytest.mark.parametrize("required", [True, False])
def test_a_table_that_lacks_thousands_of_columns_gives_a_short_error(required: bool) -> None:
    signature = Signature(
        inputs=tuple(Column(name=f"a{i}", type=pa.float64(), required=required or i == 0) for i in range(MANY))
    )
    table = pa.schema([(f"b{i}", pa.float64()) for i in range(MANY)])
    with pytest.raises(SchemaMismatchError) as refused:
        bind(table, signature)
    assert len(str(refused.value).splitlines()) <= 40
    assert len(str(refused.value)) < 20_000
    if required:
        assert refused.value.problems[-1] == f"and {MANY - 30:,} more"


@pytest.mark.parametrize(
    ("sizes", "shape", "problem"),
    [
        ((8, 8, 3), (-1, 8, 8, 3), ""),
        ((8, 8, 3), (-1, -1, -1, 3), ""),
        ((192,), (-1, 8, 8, 3), ""),
        ((3, 8, 8), (-1, 8, 8, 3), "holds 3x8x8 numbers a row, the model takes 8x8x3"),
        ((8, 8), (-1, 64), "holds 8x8 numbers a row, the model takes 64"),
        ((81,), (-1, 64), "holds 81 numbers a row, the model takes 64"),
    ],
)
def test_arrays_of_fixed_sizes_are_compared_with_the_tensor(
    sizes: tuple[int, ...], shape: tuple[int, ...], problem: str
) -> None:
    kind = pa.float32()
    for size in reversed(sizes):
        kind = pa.list_(kind, size)
    signature = Signature(inputs=(Tensor(name="image", dtype="float32", shape=shape),))
    if not problem:
        assert bind(pa.schema({"image": kind}), signature).sources == ("image",)
        return
    with pytest.raises(SchemaMismatchError, match=problem):
        bind(pa.schema({"image": kind}), signature)
