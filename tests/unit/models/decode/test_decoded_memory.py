"""A batch is as small as it has to be once it is decoded, however few bytes the files have."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from spark_infer.config import ScoreOptions
from spark_infer.core.scoring import score_batches
from spark_infer.core.stats import Stats
from spark_infer.engines.local.ddl import parse_ddl
from spark_infer.models.backends import load
from spark_infer.models.callables.callable_model import CallableModel
from spark_infer.models.callables.pin import pin_callable
from spark_infer.models.files.store import ModelStore
from spark_infer.models.recipe import make_recipe

ROW = 64 * 64 * 4
"""Bytes of an image, decoded."""


def encoded(shade: int) -> bytes:
    stream = io.BytesIO()
    Image.new("L", (64, 64), shade).save(stream, "PNG")
    return stream.getvalue()


class Noting:
    """Notes how many rows each batch has that it is given."""

    by_row = True

    def __init__(self) -> None:
        self.rows: list[int] = []

    def predict(self, inputs: pa.RecordBatch) -> Any:
        self.rows.append(inputs.num_rows)
        return {None: np.zeros(inputs.num_rows)}

    def close(self) -> None:
        pass


@pytest.mark.parametrize(("deduplicate", "together"), [("never", 1), ("always", 8)])
def test_rows_that_are_decoded_together_fit_into_the_bytes_of_a_batch(
    store: ModelStore, deduplicate: str, together: int
) -> None:
    most = 16 * ROW
    rows = pa.RecordBatch.from_pydict({"content": pa.array(map(encoded, range(100)), pa.binary())})
    assert rows.nbytes < most / 10
    asked: Any = {"decode": {"image": {"size": 64, "mode": "L", "layout": "flat"}}, "max_batch_bytes": most}
    options = ScoreOptions(**asked, inputs="content", result_type="double", deduplicate=deduplicate)
    ref = pin_callable(CallableModel(lambda batch: batch["content"].sum(axis=1)), options, store, parse_ddl)
    folder = store.path(ref.digest)
    recipe = make_recipe(
        ref,
        rows.schema,
        options,
        folder=folder,
        load_model=lambda spec: load(spec, folder),
        keep=(),
        result_schema=parse_ddl("double"),
    )
    model = Noting()
    scored = list(score_batches([rows], lambda: model, recipe.compile(), Stats()))
    assert sum(each.rows.num_rows for each in scored) == 100
    assert max(model.rows) * ROW <= most
    assert max(each.rows.num_rows for each in scored) * ROW * together <= most
