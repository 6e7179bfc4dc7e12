"""What the hand-written engines run inside a Python worker: as fast as plain pyarrow and numpy get.

In a module of its own, so that workers import it: a function pickled by value would bring a new, empty
cache with every task, and the model would be loaded again each time. It needs numpy, pyarrow and MLflow,
and the framework of the model; it knows neither Spark nor Ray nor Daft.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from benchmarks.encoded import DECODE, decoded
from benchmarks.workload import Workload

Values = npt.NDArray[Any]
Predict = Callable[[Any], Values]


@cache
def load_once(workload: Workload) -> Predict:
    """Load the model, once in the life of this process, and return its fastest way to predict."""
    import mlflow.pyfunc

    # Trained on a DataFrame, fed with a matrix whose columns are in the order of the names.
    warnings.filterwarnings("ignore", message="X does not have valid feature names")
    model = mlflow.pyfunc.load_model(workload.model_folder).get_raw_model()
    if workload.feeds == "tensor" or workload.feeds in DECODE:
        return _torch_predict(model)
    predict: Predict = getattr(model, "inplace_predict", None) or getattr(model, workload.method)
    return predict


def _torch_predict(module: Any) -> Predict:
    import torch

    torch.set_num_threads(1)
    module.eval()

    def predict(values: Values) -> Values:
        with warnings.catch_warnings(), torch.inference_mode():
            warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
            result: Values = module(torch.from_numpy(values)).numpy()
        return result

    return predict


def predict(values: Any, workload: Workload) -> dict[str, Values]:
    """Predict, and name the outputs; a label is still the number of its class."""
    answer = load_once(workload)(values)
    if workload.labels:
        (label, _), (scores, _) = workload.outputs
        return {label: answer.argmax(axis=1), scores: answer}
    return {workload.outputs[0][0]: answer}


def to_input(batch: pa.RecordBatch, workload: Workload) -> Any:
    """Give an Arrow batch the form in which the model takes it."""
    if workload.feeds == "frame":
        return batch.select(list(workload.features)).to_pandas()
    if workload.feeds in DECODE:
        return decoded(batch.column(workload.features[0]).to_pylist(), workload.feeds)
    if workload.feeds == "tensor":
        column = batch.column(workload.features[0])
        flat = column.flatten().to_numpy(zero_copy_only=False)
        return np.asarray(flat, dtype=workload.dtype).reshape(batch.num_rows, -1)
    # Column-major, so that each Arrow column is one memcpy.
    matrix = np.empty((batch.num_rows, len(workload.features)), workload.dtype, order="F")
    for i, name in enumerate(workload.features):
        matrix[:, i] = batch.column(name).to_numpy(zero_copy_only=False)
    return matrix


def to_arrow(values: Values, *, labels: tuple[str, ...] = ()) -> pa.Array:
    """Turn one output into an Arrow array: rows of a matrix into lists, classes into their names."""
    if values.ndim == 2:
        rows, width = values.shape
        offsets = np.arange(0, (rows + 1) * width, width, dtype=np.int32)
        return pa.ListArray.from_arrays(offsets, np.ascontiguousarray(values).reshape(-1))
    if labels:
        return pa.array(labels).take(pa.array(values))
    return pa.array(values)


def to_names(values: Values, *, labels: tuple[str, ...]) -> Values:
    """Turn classes into their names, as numpy objects."""
    return np.asarray(labels, dtype=object)[values]


def predict_arrow(batch: pa.RecordBatch, workload: Workload) -> dict[str, pa.Array]:
    """Predict one Arrow batch."""
    answers = predict(to_input(batch, workload), workload)
    return {name: to_arrow(values, labels=_labels(name, workload)) for name, values in answers.items()}


def score_batch(batch: pa.RecordBatch, workload: Workload) -> pa.RecordBatch:
    """Score one batch: the kept columns and the predictions; rows keep their order."""
    answers = predict_arrow(batch, workload)
    kept = [batch.column(name) for name in workload.keep]
    return pa.RecordBatch.from_arrays([*kept, *answers.values()], names=[*workload.keep, *answers])


def score_batches(batches: Iterator[pa.RecordBatch], workload: Workload) -> Iterator[pa.RecordBatch]:
    """Score one partition: the function an expert would hand to `mapInArrow`."""
    for batch in batches:
        yield score_batch(batch, workload)


def score_frames(frames: Iterator[Any], workload: Workload) -> Iterator[Any]:
    """Score one partition: the function an expert would hand to `mapInPandas`."""
    for frame in frames:
        answers = predict(_frame_to_input(frame, workload), workload)
        yield frame[list(workload.keep)].assign(
            **{name: _to_column(values, _labels(name, workload)) for name, values in answers.items()}
        )


def _frame_to_input(frame: Any, workload: Workload) -> Any:
    if workload.feeds == "frame":
        return frame[list(workload.features)]
    if workload.feeds in DECODE:
        return decoded(frame[workload.features[0]], workload.feeds)
    if workload.feeds == "tensor":
        return np.stack(frame[workload.features[0]])
    return frame[list(workload.features)].to_numpy(workload.dtype)


def _to_column(values: Values, labels: tuple[str, ...]) -> Any:
    if values.ndim == 2:
        return list(values)
    return to_names(values, labels=labels) if labels else values


def _labels(name: str, workload: Workload) -> tuple[str, ...]:
    """Only the first output can be a label."""
    return workload.labels if name == workload.outputs[0][0] else ()
