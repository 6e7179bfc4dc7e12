"""Daft's own function for embeddings, whose provider is sentence-transformers."""

from __future__ import annotations

import sys

import daft
from daft.functions import embed_text


def main(model: str, source: str, target: str) -> None:
    """Embed a table of texts."""
    daft.set_runner_native(num_threads=2)
    rows = daft.read_parquet(f"{source}/*.parquet")
    embedded = embed_text(daft.col("text"), provider="transformers", model=model)
    rows.select(daft.col("id"), embedded.alias("prediction")).write_parquet(target)


if __name__ == "__main__":
    main(*sys.argv[1:])
