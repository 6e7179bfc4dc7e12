"""Ray Data: a class in two actors of one CPU, each with a copy of the model."""

from __future__ import annotations

import logging
import sys

import pyarrow as pa
import ray
import ray.data

ROWS = 512
"""Of a batch; `encode` sorts them by their length."""
BLOCKS = 8
"""Of the table, so that both actors have work."""


class Embedder:
    """The model in an actor."""

    def __init__(self, model: str) -> None:
        import torch
        from sentence_transformers import SentenceTransformer

        torch.set_num_threads(1)
        self._model = SentenceTransformer(model, device="cpu", local_files_only=True)

    def __call__(self, rows: pa.Table) -> pa.Table:
        """Embed one batch."""
        found = self._model.encode(rows["text"].to_pylist(), show_progress_bar=False)
        return pa.table({"id": rows["id"], "prediction": list(found)})


def main(model: str, source: str, target: str) -> None:
    """Embed a table of texts."""
    # Actors hold a CPU each for as long as they live; reads and writes need others.
    ray.init(num_cpus=4, include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    # The newer reader starts an actor for the footers of every job, which takes seconds.
    context.use_datasource_v2 = False
    rows = ray.data.read_parquet(source, override_num_blocks=BLOCKS)
    actors = ray.data.ActorPoolStrategy(size=2)
    rows.map_batches(
        Embedder,
        fn_constructor_args=(model,),
        compute=actors,
        num_cpus=1,
        batch_format="pyarrow",
        batch_size=ROWS,
    ).write_parquet(target)
    ray.shutdown()


if __name__ == "__main__":
    main(*sys.argv[1:])
