"""The columns a model says it takes and returns, as Arrow types.

The format is MLflow's: three JSON lists (inputs, outputs, params) under the key ``signature`` of an
``MLmodel`` file (https://mlflow.org/docs/latest/ml/model/signatures/).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from spark_infer.core.vectors import is_vector
from spark_infer.errors import ModelRefusedError

VECTOR = "sparkml_vector"
"""What MLflow calls Spark ML's vectors."""

ANY = pa.null()
"""What MLflow calls ``any``: the signature leaves open what a column holds, and the table decides. MLflow infers it for
values that were all None, and from the type hints `Any` and `Union`."""

SCALARS: Mapping[str, pa.DataType] = {
    "boolean": pa.bool_(),
    "integer": pa.int32(),
    "long": pa.int64(),
    "float": pa.float32(),
    "double": pa.float64(),
    "string": pa.string(),
    "binary": pa.binary(),
    "datetime": pa.timestamp("us"),
}

TENSOR_DTYPES: Mapping[str, pa.DataType] = {
    "bool": pa.bool_(),
    "int8": pa.int8(),
    "int16": pa.int16(),
    "int32": pa.int32(),
    "int64": pa.int64(),
    "uint8": pa.uint8(),
    "uint16": pa.uint16(),
    "uint32": pa.uint32(),
    "uint64": pa.uint64(),
    "float16": pa.float16(),
    "float32": pa.float32(),
    "float64": pa.float64(),
    "str": pa.string(),
    "object": pa.string(),
}


@dataclass(frozen=True, kw_only=True)
class Column:
    """One column of a column-based signature.

    Attributes:
        name: Name of the column; None where the model names none.
        type: What the model takes.
        required: Whether the table must have the column.
        is_vector: Whether Spark ML's own vector is meant; for everyone else it is an array of doubles.
    """

    name: str | None
    type: pa.DataType
    required: bool = True
    is_vector: bool = False


@dataclass(frozen=True, kw_only=True)
class Tensor:
    """One tensor of a tensor-based signature; a first dimension of -1 counts rows."""

    name: str | None
    dtype: str
    shape: tuple[int, ...]

    @property
    def value_type(self) -> pa.DataType:
        """Arrow type of one number of the tensor.

        Raises:
            ModelRefusedError: The dtype has no Arrow counterpart.
        """
        dtype = "str" if self.dtype.startswith(("str", "<U", "U")) else self.dtype
        if dtype not in TENSOR_DTYPES:
            raise ModelRefusedError(
                f"The signature's tensor {self.name or ''} has dtype {self.dtype!r}, which no table column can hold.",
                next_step=f"Log the model with one of: {', '.join(TENSOR_DTYPES)}.",
            )
        return TENSOR_DTYPES[dtype]


@dataclass(frozen=True, kw_only=True)
class Param:
    """An inference parameter with its default; ``shape`` is None for a scalar."""

    name: str
    type: str
    default: Any
    shape: tuple[int, ...] | None = None


@dataclass(frozen=True, kw_only=True)
class Signature:
    """What a model takes and returns; ``outputs`` is empty where the model does not say.

    Attributes:
        inputs: Its columns, or its tensors.
        outputs: What it returns.
        params: Its inference parameters.
        type_hints: Whether the inputs come from the type hint of its ``predict``. Such a model takes a list of rows: a
            dict for each where the inputs have names, a bare value where there is one without.
    """

    inputs: tuple[Column | Tensor, ...]
    outputs: tuple[Column | Tensor, ...] = ()
    params: tuple[Param, ...] = ()
    type_hints: bool = False

    @classmethod
    def from_mlmodel(cls, mapping: Mapping[str, Any]) -> Signature | None:
        """Read the signature out of a parsed ``MLmodel`` file; None where it has none.

        Raises:
            ModelRefusedError: The signature is not in MLflow's format, or mixes columns and tensors.
        """
        entry = mapping.get("signature")
        if not entry:
            return None
        try:
            hinted = mapping.get("is_signature_from_type_hint") is True
            inputs = tuple(_item(item) for item in _rows(_listed(entry.get("inputs")), hinted))
            outputs = tuple(_item(item) for item in _rows(_listed(entry.get("outputs")), hinted))
            params = tuple(_param(item) for item in _listed(entry.get("params")))
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise ModelRefusedError(
                f"The model's signature cannot be used ({type(error).__name__}: {error}).",
                next_step="Log the model again with mlflow.models.infer_signature.",
            ) from error
        if len({type(item) for item in inputs}) > 1:
            raise ModelRefusedError("The model's signature mixes columns and tensors among its inputs.")
        return cls(inputs=inputs, outputs=outputs, params=params, type_hints=hinted)

    @property
    def names(self) -> tuple[str, ...] | None:
        """Names of the inputs in the model's order, or None where the signature names none."""
        names = tuple(item.name for item in self.inputs)
        return None if any(name is None for name in names) else tuple(name for name in names if name is not None)

    @property
    def is_tensor(self) -> bool:
        """Whether the inputs are tensors."""
        return any(isinstance(item, Tensor) for item in self.inputs)


def spelled(data_type: pa.DataType) -> str:
    """Name an Arrow type as Spark users write it: ``long``, ``array<double>``, ``struct<a:string>``.

    >>> spelled(pa.list_(pa.int64()))
    'array<long>'
    """
    if is_list(data_type):
        return f"array<{spelled(data_type.value_type)}>"
    if pa.types.is_struct(data_type):
        if foreign := marked(data_type):
            return foreign
        if is_vector(data_type):
            return "vector"
        return "struct<" + ",".join(f"{field.name}:{spelled(field.type)}" for field in data_type) + ">"
    if pa.types.is_map(data_type):
        return f"map<{spelled(data_type.key_type)},{spelled(data_type.item_type)}>"
    if pa.types.is_timestamp(data_type):
        return "timestamp" if data_type.tz else "timestamp_ntz"
    if pa.types.is_decimal(data_type):
        return f"decimal({data_type.precision},{data_type.scale})"
    return _SPARK_NAMES.get(data_type) or _unmodeled(data_type) or str(data_type)


def is_list(data_type: pa.DataType) -> bool:
    """Whether a type is one of Arrow's three kinds of lists."""
    tests = pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list
    return any(test(data_type) for test in tests)


def marked(data_type: pa.DataType) -> str | None:
    """Name the Spark type that travels as this struct: ``variant``, ``geometry`` or ``geography``; None for others.

    Spark marks a field of the struct; the metadata of the field is all that tells it from a struct of bytes.
    """
    marks = {mark for field in data_type for mark in (field.metadata or {})}
    return next((name for name in ("variant", "geometry", "geography") if name.encode() in marks), None)


def for_model(data_type: pa.DataType) -> pa.DataType | None:
    """Return the type in which a model without a signature gets a column, or None where no model takes such values.

    Instants become UTC without a zone, vectors arrays; intervals, times of day, variants, geometries, and maps whose
    keys are no scalars are left to the caller's SQL.
    """
    types = pa.types
    if types.is_timestamp(data_type):
        return pa.timestamp("us")
    if is_vector(data_type):
        return pa.list_(pa.float64())
    if is_list(data_type):
        inner = for_model(data_type.value_type)
        return None if inner is None else pa.list_(inner)
    if types.is_map(data_type):
        key, item = for_model(data_type.key_type), for_model(data_type.item_type)
        return None if key is None or item is None or types.is_nested(key) else pa.map_(key, item)
    if types.is_struct(data_type):
        fields = [] if marked(data_type) else [(field.name, for_model(field.type)) for field in data_type]
        return pa.struct(fields) if fields and all(inner is not None for _, inner in fields) else None
    return None if _unmodeled(data_type) else data_type


def _unmodeled(data_type: pa.DataType) -> str | None:
    """Name a type of Spark's whose values no model takes or returns; None for others."""
    if pa.types.is_time(data_type):
        return "time"
    if pa.types.is_duration(data_type):
        return "interval day to second"
    # pyarrow has no test for the intervals in months that Spark sends to its UDFs.
    return {"month_interval": "interval year to month", "month_day_nano_interval": "interval"}.get(str(data_type))


_SPARK_NAMES: Mapping[pa.DataType, str] = {
    pa.bool_(): "boolean",
    pa.int8(): "byte",
    pa.int16(): "short",
    pa.int32(): "integer",
    pa.int64(): "long",
    pa.float32(): "float",
    pa.float64(): "double",
    pa.date32(): "date",
    pa.large_string(): "string",
    pa.large_binary(): "binary",
    pa.null(): "void",
}


def _listed(text: str | list[Any] | None) -> list[Any]:
    items = json.loads(text) if isinstance(text, str) else text
    if items is None:
        return []
    if not isinstance(items, list):
        raise TypeError("a signature part is not a list")
    return items


def _rows(items: list[Any], hinted: bool) -> list[Any]:
    """Make columns of the fields of a pydantic model: a type hint ``list[Person]`` describes a row, and no column."""
    if hinted and len(items) == 1 and items[0].get("name") is None and items[0]["type"] == "object":
        return [{**field, "name": name} for name, field in items[0]["properties"].items()]
    return items


def _item(item: Mapping[str, Any]) -> Column | Tensor:
    name = None if item.get("name") is None else str(item["name"])
    if item["type"] == "tensor":
        spec = item["tensor-spec"]
        return Tensor(name=name, dtype=str(spec["dtype"]), shape=tuple(int(size) for size in spec["shape"]))
    return Column(name=name, type=_type(item), required=_required(item), is_vector=item["type"] == VECTOR)


def _type(item: Mapping[str, Any]) -> pa.DataType:
    kind = item["type"]
    if kind == "array":
        return pa.list_(_type(item["items"]))
    if kind == "map":
        return pa.map_(pa.string(), _type(item["values"]))
    if kind == "object":
        properties: Mapping[str, Mapping[str, Any]] = item["properties"]
        return pa.struct([pa.field(name, _type(each), not _required(each)) for name, each in properties.items()])
    if kind == VECTOR:
        return pa.list_(pa.float64())
    if kind == "any":
        return ANY
    if kind not in SCALARS:
        raise ValueError(f"type {kind!r} is not supported")
    return SCALARS[kind]


def _required(item: Mapping[str, Any]) -> bool:
    # Signatures of MLflow before 2.6 say "optional" instead of "required".
    return bool(item.get("required", not item.get("optional", False)))


def _param(item: Mapping[str, Any]) -> Param:
    shape = item.get("shape")
    return Param(
        name=str(item["name"]),
        type=str(item["type"]),
        default=item.get("default"),
        shape=None if shape is None else tuple(int(size) for size in shape),
    )
