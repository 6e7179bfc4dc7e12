"""What the hand-written engines run inside a Python worker: as fast as plain pyarrow and numpy get.

In a module of its own, so that workers import it: a function pickled by value would bring a new, empty
cache with every task, and the model would be loaded again each time.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

ROWS_PER_PREDICT = 16_384
SCORED = pa.schema([("id", pa.int64()), ("prediction", pa.int64())])


class Classifier(Protocol):
    """The one method of the model that the benchmark needs."""

    def predict(self, features: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
        """Return one label for each row."""


@cache
def load_once(model_folder: str) -> Classifier:
    """Load the scikit-learn model, once in the life of this process."""
    import mlflow.sklearn

    # Trained on a DataFrame, fed with a matrix whose columns are in the order of the names.
    warnings.filterwarnings("ignore", message="X does not have valid feature names")
    model: Classifier = mlflow.sklearn.load_model(model_folder)
    return model


def score_batch(batch: pa.RecordBatch, features: tuple[str, ...], model: Classifier) -> pa.RecordBatch:
    """Score one batch; rows keep their order."""
    # Column-major, so that each Arrow column is one memcpy.
    matrix = np.empty((batch.num_rows, len(features)), order="F")
    for i, name in enumerate(features):
        matrix[:, i] = batch.column(name).to_numpy()
    return pa.RecordBatch.from_arrays([batch.column("id"), pa.array(model.predict(matrix))], schema=SCORED)


def score_batches(
    batches: Iterator[pa.RecordBatch], features: tuple[str, ...], model_folder: str
) -> Iterator[pa.RecordBatch]:
    """Score one partition: the function an expert would hand to `mapInArrow`."""
    model = load_once(model_folder)
    for batch in batches:
        yield score_batch(batch, features, model)


def score_file(source: Path, target: Path, features: tuple[str, ...], model_folder: str) -> None:
    """Read, score and write one Parquet file on one thread: the limit, with no Spark at all."""
    model = load_once(model_folder)
    with pq.ParquetFile(source) as file:
        batches = file.iter_batches(ROWS_PER_PREDICT, columns=["id", *features], use_threads=False)
        scored = pa.Table.from_batches([score_batch(batch, features, model) for batch in batches], SCORED)
    # Ids never repeat: a dictionary would only be built to be thrown away.
    pq.write_table(scored, target, compression="snappy", use_dictionary=["prediction"])
