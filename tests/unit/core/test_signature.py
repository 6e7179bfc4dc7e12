from __future__ import annotations

import json

import pyarrow as pa
import pytest

from spark_infer.core.signature import Column, Param, Signature, Tensor, spelled
from spark_infer.errors import ModelRefusedError


def parsed(inputs: object, outputs: object = None, params: object = None) -> Signature:
    entry = {"inputs": json.dumps(inputs), "outputs": json.dumps(outputs), "params": json.dumps(params)}
    signature = Signature.from_mlmodel({"signature": entry})
    assert signature is not None
    return signature


def test_columns_keep_their_names_types_and_whether_they_are_required() -> None:
    signature = parsed(
        [
            {"type": "long", "name": "a", "required": True},
            {"type": "string", "name": "b", "required": False},
            {"type": "array", "items": {"type": "double"}, "name": "c", "required": True},
        ]
    )
    assert signature.inputs == (
        Column(name="a", type=pa.int64()),
        Column(name="b", type=pa.string(), required=False),
        Column(name="c", type=pa.list_(pa.float64())),
    )
    assert signature.names == ("a", "b", "c")
    assert not signature.is_tensor


def test_an_optional_column_of_an_old_mlflow_is_not_required() -> None:
    assert parsed([{"type": "long", "name": "a", "optional": True}]).inputs[0] == Column(
        name="a", type=pa.int64(), required=False
    )


def test_objects_and_maps_become_structs_and_maps() -> None:
    signature = parsed(
        [
            {
                "type": "object",
                "name": "o",
                "properties": {"p": {"type": "long", "required": True}, "q": {"type": "string", "required": False}},
            },
            {"type": "map", "values": {"type": "double"}, "name": "m"},
        ]
    )
    struct, mapping = signature.inputs
    assert isinstance(struct, Column)
    assert isinstance(mapping, Column)
    assert struct.type == pa.struct([pa.field("p", pa.int64(), False), pa.field("q", pa.string())])
    assert mapping.type == pa.map_(pa.string(), pa.float64())


def test_a_vector_is_an_array_of_doubles_that_says_so() -> None:
    (column,) = parsed([{"type": "sparkml_vector", "name": "v", "required": True}]).inputs
    assert column == Column(name="v", type=pa.list_(pa.float64()), is_vector=True)


def test_a_bare_tensor_names_no_columns() -> None:
    signature = parsed([{"type": "tensor", "tensor-spec": {"dtype": "float64", "shape": [-1, 3]}}])
    assert signature.inputs == (Tensor(name=None, dtype="float64", shape=(-1, 3)),)
    assert signature.names is None
    assert signature.is_tensor


def test_parameters_keep_default_and_shape() -> None:
    params = [
        {"name": "t", "type": "double", "default": 1.0, "shape": None},
        {"name": "l", "type": "long", "default": [1], "shape": [-1]},
    ]
    assert parsed([], params=params).params == (
        Param(name="t", type="double", default=1.0),
        Param(name="l", type="long", default=[1], shape=(-1,)),
    )


def test_a_model_without_signature_has_none() -> None:
    assert Signature.from_mlmodel({"flavors": {}}) is None


@pytest.mark.parametrize(
    "inputs",
    [
        '{"type": "long"}',
        "not json",
        '[{"name": "a"}]',
        '[{"type": "quaternion", "name": "a"}]',
        '[{"type": "tensor"}]',
        "[3]",
    ],
)
def test_a_signature_that_is_none_is_refused(inputs: str) -> None:
    with pytest.raises(ModelRefusedError, match="cannot be used"):
        Signature.from_mlmodel({"signature": {"inputs": inputs}})


def test_columns_and_tensors_do_not_mix() -> None:
    with pytest.raises(ModelRefusedError, match="mixes"):
        parsed(
            [
                {"type": "long", "name": "a"},
                {"type": "tensor", "name": "b", "tensor-spec": {"dtype": "float64", "shape": [-1]}},
            ]
        )


@pytest.mark.parametrize(
    ("data_type", "name"),
    [
        (pa.int64(), "long"),
        (pa.float32(), "float"),
        (pa.list_(pa.int8()), "array<byte>"),
        (pa.struct([("a", pa.string())]), "struct<a:string>"),
        (pa.map_(pa.string(), pa.bool_()), "map<string,boolean>"),
        (pa.timestamp("us", "UTC"), "timestamp"),
        (pa.timestamp("us"), "timestamp_ntz"),
        (pa.decimal128(10, 2), "decimal(10,2)"),
        (pa.duration("us"), "interval day to second"),
        (pa.month_day_nano_interval(), "interval"),
        (pa.time64("ns"), "time"),
        (pa.null(), "void"),
        (
            pa.struct([pa.field("srid", pa.int32()), pa.field("wkb", pa.binary(), False, {b"geometry": b"true"})]),
            "geometry",
        ),
    ],
)
def test_types_are_spelled_as_spark_users_write_them(data_type: pa.DataType, name: str) -> None:
    assert spelled(data_type) == name
