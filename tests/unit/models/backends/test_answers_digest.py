"""What decides the answers of a model: predictions that are kept are found again for the same, and for nothing else."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import pyarrow as pa
import pytest

from spark_infer.core.contract import bind
from spark_infer.core.signature import Column, Signature
from spark_infer.models.backends.spec import Artefact, LoadSpec
from spark_infer.models.mlmodel import MLModel

OUTPUTS = pa.schema([("prediction", pa.float64())])


def bound(*names: str, kind: pa.DataType | None = None) -> Any:
    kind = kind or pa.float64()
    table = pa.schema([(name, kind) for name in names])
    return bind(table, Signature(inputs=tuple(Column(name=name, type=kind) for name in names)))


SPEC = LoadSpec(
    backend="sklearn",
    mlmodel=MLModel(flavors={}),
    methods=("predict",),
    by_signature=True,
    binding=bound("a", "b"),
    params={"top": 3},
    threads=1,
)

DECIDES: dict[str, list[Any]] = {
    "backend": ["pyfunc"],
    "methods": [("predict_proba",), ("predict", "predict_proba")],
    "by_signature": [False],
    "binding": [bound("b", "a"), bound("a"), bound("a", "b", kind=pa.float32())],
    "params": [{"top": 4}, {"top": "3"}, {}],
    "config": [{"device": "cpu"}],
    "extra_env": [{"MODE": "new"}],
    "artefact": [Artefact(digest="c" * 64, size_bytes=1)],
    "dtype": ["float16"],
}

DOES_NOT: dict[str, Any] = {
    "threads": 8,
    "device": "cuda:0",
    "address": "1",
    "allow_cpu_fallback": True,
    "show_values": True,
    "accelerate": False,
    "hosted": True,
    "isolation": object(),
}
"""Where and how fast it is computed."""


def test_each_field_is_known_to_decide_answers_or_not_to() -> None:
    in_the_digest_of_the_model = {"mlmodel"}
    assert {field.name for field in fields(LoadSpec)} == {*DECIDES, *DOES_NOT} | in_the_digest_of_the_model


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in DECIDES.items() for value in values])
def test_what_decides_answers_is_in_their_digest(name: str, value: Any) -> None:
    changed = replace(SPEC, **{name: value})
    assert changed.answers_digest("d" * 64, OUTPUTS) != SPEC.answers_digest("d" * 64, OUTPUTS)


def test_another_model_and_other_outputs_have_another_digest_and_where_it_runs_has_not() -> None:
    same = SPEC.answers_digest("d" * 64, OUTPUTS)
    assert replace(SPEC, **DOES_NOT).answers_digest("d" * 64, OUTPUTS) == same
    others = [("e" * 64, OUTPUTS), ("d" * 64, pa.schema([("prediction", pa.float32())])), ("d" * 64, pa.schema([]))]
    assert same not in [SPEC.answers_digest(digest, outputs) for digest, outputs in others]
