"""What a plain Python model takes and returns: said by its user, or by its annotations."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypedDict

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest

from spark_infer.core.signature import ANY, Column, Param
from spark_infer.engines.local.ddl import parse_ddl
from spark_infer.errors import ConfigError, ModelRefusedError
from spark_infer.models.callables.callable_signature import columns_of, predict_of, signature_of


class Flight(TypedDict):
    """A batch, by its annotations."""

    delay: npt.NDArray[np.float32]
    name: str
    other: Any


class Answer(TypedDict):
    """Predictions, by their annotations."""

    late: bool
    minutes: npt.NDArray[np.float64]


def test_inputs_are_names_ddl_or_a_schema() -> None:
    assert columns_of(["a", "b"], parse_ddl) == (Column(name="a", type=ANY), Column(name="b", type=ANY))
    typed = (Column(name="a", type=pa.int32()), Column(name="b", type=pa.list_(pa.float64())))
    assert columns_of("a int, b array<double>", parse_ddl) == typed
    assert columns_of(["a int", "b array<double>"], parse_ddl) == typed
    assert columns_of(pa.schema([("a", pa.int32()), ("b", pa.list_(pa.float64()))]), parse_ddl) == typed
    with pytest.raises(ConfigError, match="twice"):
        columns_of(["a", "a"], parse_ddl)


def test_annotations_name_inputs_outputs_and_parameters() -> None:
    def predict(batch: Flight, *, least: float = 0.5, of: str = "x", hidden: object = None) -> Answer:
        raise NotImplementedError

    signature, hint = signature_of(predict, (), None)
    assert signature is not None
    assert hint is Flight
    assert signature.inputs == (
        Column(name="delay", type=pa.float32()),
        Column(name="name", type=pa.string()),
        Column(name="other", type=ANY),
    )
    assert signature.outputs == (Column(name="late", type=pa.bool_()), Column(name="minutes", type=pa.float64()))
    assert signature.params == (
        Param(name="least", type="double", default=0.5),
        Param(name="of", type="string", default="x"),
    )
    given, _ = signature_of(predict, (Column(name="a", type=ANY),), pa.schema([("b", pa.int64())]))
    assert given is not None
    assert [each.name for each in (*given.inputs, *given.outputs)] == ["a", "b"]


class WithPredict:
    """Has a method for batches."""

    def predict(self, batch: object) -> object:
        return batch


class WithCall:
    """Is called with batches."""

    def __call__(self, batch: object) -> object:
        return batch


@pytest.mark.parametrize("predictor", [WithPredict, WithPredict(), WithCall, WithCall(), lambda batch: batch])
def test_functions_classes_and_objects_take_one_batch(predictor: Any) -> None:
    assert signature_of(predictor, (), None)[0] is None
    assert callable(predict_of(predictor))


def test_an_annotation_of_a_name_that_is_not_there_is_refused() -> None:
    class Batch(TypedDict):
        a: nowhere.Number  # type: ignore[name-defined]  # noqa: F821 - as under TYPE_CHECKING

    def predict(batch: Any) -> Any:
        return batch

    predict.__annotations__["batch"] = Batch
    with pytest.raises(ConfigError, match="annotation Batch cannot be read here"):
        signature_of(predict, (), None)


async def waiting(batch: Any) -> Any:
    """Return a coroutine."""
    return batch


class Waiting:
    """Returns rows one by one, later."""

    async def predict(self, batch: Any) -> Any:
        yield batch


class WithNothing:
    """Takes no batches."""


@pytest.mark.parametrize(
    ("predictor", "complaint"),
    [
        (lambda: 1, r"takes \(\), and a model takes one batch"),
        (lambda a, b: 1, r"takes \(a, b\), and a model takes one batch"),
        (lambda batch, *, least: 1, "a model takes one batch"),
        (waiting, "waiting is `async`"),
        (Waiting, "Waiting is `async`"),
        (WithNothing, "WithNothing has no method `predict`"),
        (WithNothing(), "WithNothing has no method `predict`"),
    ],
)
def test_what_takes_no_batch_is_refused(predictor: Callable[..., Any], complaint: str) -> None:
    with pytest.raises(ModelRefusedError, match=complaint):
        signature_of(predictor, (), None)
