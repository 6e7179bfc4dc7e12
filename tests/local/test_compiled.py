"""Jobs of texts that ask for a compiled model: it scores in every process, or is refused before a row is written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from spark_infer import ScoringJob
from spark_infer.errors import ModelRefusedError
from spark_infer.job.batch_invariance import batch_invariance_of
from tests.local.jobs import job, read
from tests.small_transformers import embedder, save_embedder, texts

pytestmark = pytest.mark.filterwarnings("ignore")


def test_a_table_of_texts_is_embedded_by_the_compiled_model(tmp_path: Path) -> None:
    model = str(save_embedder(tmp_path / "saved"))
    source = tmp_path / "in"
    source.mkdir()
    for part in range(2):
        ids = np.arange(part * 30, part * 30 + 30)
        pq.write_table(pa.table({"id": ids, "text": texts(60)[ids[0] : ids[0] + 30]}), source / f"{part}.parquet")

    def asked(name: str, **score: Any) -> ScoringJob:
        target = {"path": str(tmp_path / name), "format": "parquet"}
        return job(model, {"path": str(source)}, target, score={"inputs": ["text"], **score})

    with pytest.raises(ModelRefusedError, match=r"has a cosine similarity of 0\.99\d+ with the original's in row"):
        asked("refused", compile={"to": "int8", "cosine": 1}).run()
    assert not (tmp_path / "refused").exists()
    wanted = embedder(tmp_path / "parts").encode(texts(60))
    for hosting in ("worker", "executor"):
        report = asked(hosting, compile="int8", hosting=hosting).run()
        said = "to int8, from sentence_transformers: 60 rows compared, least cosine similarity 0.99"
        assert report.compiled.startswith(said)
        assert report.rows_scored == 60
        assert report.loads == (1 if hosting == "executor" else report.workers)
        found = np.array([row["prediction"] for row in read(tmp_path / hosting)])
        cosines = (found * wanted).sum(axis=1) / np.linalg.norm(found, axis=1) / np.linalg.norm(wanted, axis=1)
        assert 0.99 < cosines.min() < 1
    without_room = asked("planned", compile="int8", cache_bytes=0)  # for both models at once
    plan = without_room.plan()
    assert plan.compiled.startswith(said)
    assert "backend compiled_texts (sentence_transformers compiled to int8, as asked for)" in str(plan)
    alone = batch_invariance_of(without_room.config, most_rows=20)[0]
    assert (alone.batches, alone.rows, alone.changed) == ("one row at a time", 20, 20)
