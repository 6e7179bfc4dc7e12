"""What compiling does for MiniLM: rows/s of each kind, how large it is, and how far its embeddings turn.

    python -m benchmarks.compiled_texts
    python -m benchmarks.compiled_texts --rows 500 --threads 1 --kinds int8

The texts are those of `benchmarks.embeddings` (W7). Each kind embeds all of them in turn, without Spark and without
de-duplication, in each round; printed are medians, and the median of the ratios to PyTorch's float32 in the same round.
Last, the first 100 texts are embedded one by one: how far are they from what they were in their batches?
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.embeddings import make
from spark_infer.config import ScoreOptions
from spark_infer.core.scoring import score_batches
from spark_infer.core.scoring_steps import Model
from spark_infer.core.stats import Stats
from spark_infer.models.backends import load
from spark_infer.models.compile.gate import compile_recipe
from spark_infer.models.files.store import ModelStore
from spark_infer.models.recipe import Recipe, make_recipe
from spark_infer.models.registry.resolve import resolve
from spark_infer.models.sample_rows import SAMPLE_ROWS, Sample
from spark_infer.runtime.process_state import this_process

KINDS = ("onnx", "int8", "bfloat16", "float16")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=2_000, help="texts")
    parser.add_argument("--rounds", type=int, default=3, help="how often each kind embeds them")
    parser.add_argument("--threads", type=int, default=2, help="threads of a model")
    parser.add_argument("--kinds", nargs="+", default=KINDS, choices=KINDS, help="what the model is compiled to")
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory(prefix="spark_infer-compiled-") as name:
        folder = Path(name)
        model, source = make(folder, given.rows)
        rows = pq.read_table(source).select(["text"]).combine_chunks().to_batches()[0]
        recipe, sides, facts = made(folder, model, rows, given.kinds, given.threads)
        seconds, answers = raced(recipe, sides, rows, given.rounds)
        alone = {name: one_by_one(recipe, side, rows.slice(0, 100)) for name, side in sides.items()}
    print(f"{given.rows:,} texts, {given.threads} threads, load average {os.getloadavg()[0]:.1f}\n")
    print("| kind | MB | made and compared in | rows/s | times as fast | least cosine similarity | alone |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    plain = answers["PyTorch, float32"]
    for kind, times in seconds.items():
        faster = statistics.median(a / b for a, b in zip(seconds["PyTorch, float32"], times, strict=True))
        found = answers[kind]
        print(
            f"| {kind} | {facts[kind][0] / 1e6:.0f} | {facts[kind][1]:.1f} s | "
            f"{given.rows / statistics.median(times):.0f} | {faster:.2f} | {cosines(found, plain).min():.6f} | "
            f"{cosines(alone[kind], found[: len(alone[kind])]).min():.6f} |"
        )


def cosines(one: npt.NDArray[np.float64], other: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Cosine similarities, row by row."""
    found: npt.NDArray[np.float64] = (
        (one * other).sum(axis=1) / np.linalg.norm(one, axis=1) / np.linalg.norm(other, axis=1)
    )
    return found


def made(
    folder: Path, saved: Path, rows: pa.RecordBatch, kinds: list[str], threads: int
) -> tuple[Recipe, dict[str, Model], dict[str, tuple[int, float]]]:
    """Return how the texts are scored, each kind of the model, and its bytes and the seconds that it took to make."""
    store = ModelStore(folder / "store")
    ref = resolve(str(saved), tracking_uri=None, registry_uri=None, store=store)
    files = store.path(ref.digest)
    plain = make_recipe(
        ref,
        rows.schema,
        ScoreOptions.model_validate({"inputs": ["text"], "result_type": "array<float>"}),
        folder=files,
        load_model=lambda spec: load(spec, files),
        result_schema=pa.schema([("prediction", pa.list_(pa.float32()))]),
        threads=threads,
        keep=(),
    )
    this_process().threads.set(threads)
    original = load(plain.load, files)
    sides: dict[str, Model] = {"PyTorch, float32": original}
    facts = {"PyTorch, float32": (ref.size_bytes, 0.0)}
    for kind in kinds:
        options = plain.options.model_copy(update={"compile": {"to": kind, "cosine": 0}})
        start = time.perf_counter()
        recipe = compile_recipe(
            replace(plain, options=ScoreOptions.model_validate(options.model_dump())),
            original,
            store,
            lambda: Sample(batches=[rows.slice(0, SAMPLE_ROWS)], places=["the texts"]),
        )
        artefact = recipe.load.artefact
        facts[kind] = (artefact.size_bytes if artefact else ref.size_bytes, time.perf_counter() - start)
        sides[kind] = load(recipe.load, store.path(recipe.load.files(ref.digest)))
    return plain, sides, facts


def raced(
    recipe: Recipe, sides: dict[str, Model], rows: pa.RecordBatch, rounds: int
) -> tuple[dict[str, list[float]], dict[str, npt.NDArray[np.float64]]]:
    """Have each side embed all texts in turn; returns its seconds for each round, and its embeddings."""
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    answers = {}
    for side in sides.values():
        embedded(recipe, side, rows.slice(0, 64))
    for _ in range(rounds):
        for name, side in sides.items():
            start = time.perf_counter()
            answers[name] = embedded(recipe, side, rows)
            seconds[name].append(time.perf_counter() - start)
    return seconds, answers


def embedded(recipe: Recipe, side: Model, rows: pa.RecordBatch) -> npt.NDArray[np.float64]:
    """Embed texts in batches by tokens, as a worker does."""
    scored = score_batches([rows], lambda: side, recipe.compile(), Stats())
    arrays = [batch.outputs.column(0).flatten().to_numpy() for batch in scored]
    return np.concatenate(arrays).astype(np.float64).reshape(rows.num_rows, -1)


def one_by_one(recipe: Recipe, side: Model, rows: pa.RecordBatch) -> npt.NDArray[np.float64]:
    """Embed each text as a batch of its own."""
    return np.concatenate([embedded(recipe, side, rows.slice(row, 1)) for row in range(rows.num_rows)])


if __name__ == "__main__":
    main()
