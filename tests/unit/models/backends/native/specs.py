"""A spec as the driver would make it, for a saved model and a table of these columns."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa

from spark_infer.config import ScoreOptions
from spark_infer.core.contract import bind
from spark_infer.core.prediction_columns import signature_outputs
from spark_infer.models.backends.choose_backend import choose
from spark_infer.models.backends.spec import LoadSpec
from spark_infer.models.mlmodel import read_mlmodel


def arrow(frame: pd.DataFrame) -> pa.RecordBatch:
    return pa.RecordBatch.from_pandas(frame, preserve_index=False)


def spec_of(folder: Path, schema: pa.Schema, *, threads: int = 1, device: str = "cpu", **options: Any) -> LoadSpec:
    mlmodel = read_mlmodel(folder)
    given = ScoreOptions(**options)
    return LoadSpec(
        backend=choose(mlmodel, given, folder).backend,
        mlmodel=mlmodel,
        methods=given.predict_method or (mlmodel.predict_fn,),
        by_signature=given.predict_method is None and signature_outputs(mlmodel.signature) is not None,
        binding=bind(schema, mlmodel.signature, inputs=given.inputs),
        params={},
        threads=threads,
        device=device,
    )
