"""distribatch: two processes, equal texts sent once, and batches of the size of sentence-transformers."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import distribatch
import pyarrow as pa
import pyarrow.parquet as pq

MICRO_BATCH = 32


def main(model: str, source: str, target: str) -> None:
    """Embed a table of texts."""
    os.environ["OMP_NUM_THREADS"] = "1"  # of each process, which inherits it
    rows = pq.read_table(source).to_pandas()
    job = distribatch.EmbedJob(
        model=distribatch.models.path(model), text="{text}", engine_options={"micro_batch_size": MICRO_BATCH}
    )
    found = job.run(rows, backend="multiprocessing", workers=2, output_col="prediction", dedupe=True)
    embeddings = pa.array(found["prediction"].tolist(), pa.list_(pa.float32()))
    Path(target).mkdir()
    pq.write_table(pa.table({"id": found["id"], "prediction": embeddings}), f"{target}/part.parquet")


if __name__ == "__main__":
    main(*sys.argv[1:])
