"""What the hand-written engines run inside a Python worker: as fast as plain pyarrow and numpy get.

In a module of its own, so that workers import it: a function pickled by value would bring a new, empty
cache with every task, and the model would be loaded again each time.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

ROWS_PER_PREDICT = 16_384

Matrix = npt.NDArray[np.float64]
Predict = Callable[[Matrix], npt.NDArray[np.generic]]


@cache
def load_once(model_folder: str) -> Predict:
    """Load the model, once in the life of this process, and return its fastest way to predict a matrix."""
    import mlflow.pyfunc

    # Trained on a DataFrame, fed with a matrix whose columns are in the order of the names.
    warnings.filterwarnings("ignore", message="X does not have valid feature names")
    model = mlflow.pyfunc.load_model(model_folder).get_raw_model()
    predict: Predict = getattr(model, "inplace_predict", model.predict)
    return predict


def to_matrix(batch: pa.RecordBatch, features: tuple[str, ...]) -> Matrix:
    """Lay the features side by side, column-major, so that each Arrow column is one memcpy."""
    matrix = np.empty((batch.num_rows, len(features)), order="F")
    for i, name in enumerate(features):
        matrix[:, i] = batch.column(name).to_numpy()
    return matrix


def score_batch(batch: pa.RecordBatch, features: tuple[str, ...], predict: Predict) -> pa.RecordBatch:
    """Score one batch; rows keep their order."""
    predictions = pa.array(predict(to_matrix(batch, features)))
    return pa.RecordBatch.from_arrays([batch.column("id"), predictions], names=["id", "prediction"])


def score_batches(
    batches: Iterator[pa.RecordBatch], features: tuple[str, ...], model_folder: str
) -> Iterator[pa.RecordBatch]:
    """Score one partition: the function an expert would hand to `mapInArrow`."""
    predict = load_once(model_folder)
    for batch in batches:
        yield score_batch(batch, features, predict)


def score_file(source: Path, target: Path, features: tuple[str, ...], model_folder: str) -> None:
    """Read, score and write one Parquet file on one thread: the limit, with no Spark at all."""
    predict = load_once(model_folder)
    with pq.ParquetFile(source) as file:
        batches = file.iter_batches(ROWS_PER_PREDICT, columns=["id", *features], use_threads=False)
        scored = pa.Table.from_batches([score_batch(batch, features, predict) for batch in batches])
    # Ids never repeat: a dictionary would only be built to be thrown away.
    pq.write_table(scored, target, compression="snappy", use_dictionary=["prediction"])


@cache
def _matrices(source: Path, features: tuple[str, ...]) -> list[Matrix]:
    with pq.ParquetFile(source) as file:
        return [to_matrix(batch, features) for batch in file.iter_batches(ROWS_PER_PREDICT, columns=list(features))]


_kept: list[Path] = []


def predict_in_memory(source: Path, features: tuple[str, ...], model_folder: str) -> None:
    """Predict as many rows as a file has, on the first file that this process met; it is read once and kept."""
    predict = load_once(model_folder)
    if not _kept:
        _kept.append(source)
    for matrix in _matrices(_kept[0], features):
        predict(matrix)
