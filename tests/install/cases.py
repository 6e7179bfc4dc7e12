"""What each extra promises: a job that needs it, and the answers that are to come."""

from __future__ import annotations

import io
import struct
import subprocess
import wave
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from tests.install.environment import ROOT, Environment

MODELS = (
    "sklearn",
    "xgboost",
    "lightgbm",
    "catboost",
    "onnx",
    "pytorch",
    "transformers",
    "sentence_transformers",
    "registered",
)
PLAIN = """
import numpy as np


def doubled(batch):
    return 2 * batch["x"]


def mean(batch):
    return np.array([np.mean(each) for each in batch["content"]])
"""
"""Plain Python models, which need no extra where workers import them."""
PICKLED = """
import spark_infer


def doubled(batch):
    return 2 * batch["x"]


target = {"path": "out", "output": "answer"}
spark_infer.score_table(
    source="in", target=target, model=doubled, engine="local", inputs=["x"], result_type="double"
)
"""
"""A program with a model of its own, which is pickled."""
REMOTE = """
import spark_infer
from plain import doubled
from pyspark.sql import SparkSession

spark = SparkSession.builder.remote("local[1]").getOrCreate()
rows = spark.read.parquet("in")
scored = spark_infer.score(rows, doubled, inputs=["x"], result_type="double", output="answer")
scored.write.parquet("out")
"""
GREY = [b"P5 2 2 255\n" + bytes([level] * 4) for level in (0, 51, 255)]
"""Images of one grey each."""


def sound(level: int) -> bytes:
    """Return a sound of eight equal samples."""
    stream = io.BytesIO()
    with wave.open(stream, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes(struct.pack("<8h", *[level] * 8))
    return stream.getvalue()


CONTENT = {"inputs": "content array<float>", "result_type": "double"}


@dataclass(frozen=True)
class Case:
    """What an extra promises.

    Attributes:
        extra: Its name.
        model: A model of `MODELS`, or a function of `PLAIN`.
        rows: Its rows, where it is such a function.
        answers: And what it answers.
        beside: Extras that are installed before; the job needs them too, and is refused without `extra` all the same.
        score: Options of the job's scoring.
        more: Other keys of the job.
        command: What runs it.
    """

    extra: str
    model: str = "doubled"
    rows: pa.Table = field(default_factory=lambda: pa.table({"x": np.arange(20.0)}))
    answers: Any = tuple(2 * np.arange(20.0))
    beside: str = ""
    score: dict[str, Any] = field(default_factory=dict)
    more: dict[str, Any] = field(default_factory=dict)
    command: tuple[str, ...] = ("spark-infer", "run", "job.yaml")


CASES = [
    Case("sklearn", "sklearn"),
    Case("xgboost", "xgboost"),
    Case("lightgbm", "lightgbm"),
    Case("catboost", "catboost"),
    Case("onnx", "onnx"),
    Case("torch", "pytorch"),
    Case("transformers", "transformers"),
    Case("sentence-transformers", "sentence_transformers"),
    Case("mlflow", "registered"),
    Case("compile", "sklearn", beside="sklearn", score={"compile": "onnx"}),
    Case("llvm", "lightgbm", beside="lightgbm", score={"compile": "llvm"}),
    Case("scan", "sklearn", beside="sklearn", score={"scan_pickle": True}),
    Case("python", command=("python", "pickled.py")),
    Case(
        "images",
        "mean",
        pa.table({"content": GREY}),
        (0, 0.2, 1),
        score={"decode": {"image": {"size": 2, "mode": "L", "layout": "flat"}}, **CONTENT},
    ),
    Case(
        "audio",
        "mean",
        pa.table({"content": [sound(level) for level in (0, 8192, -16384)]}),
        (0, 0.25, -0.5),
        score={"decode": {"audio": {"sampling_rate": 8000, "seconds": 0.001}}, **CONTENT},
    ),
    Case("local", more={"format": "delta"}),
    Case("spark", more={"engine": "spark"}),
    Case("delta", beside="spark", more={"engine": "spark", "format": "delta"}),
]


def make_models(complete: Environment, folder: Path, names: tuple[str, ...]) -> None:
    """Have MLflow save models in an environment that has all their libraries."""
    (folder / "path").mkdir()
    (folder / "path/tests").symlink_to(ROOT / "tests")
    script = ROOT / "tests/install/make_models.py"
    made = complete.run(folder, "python", script, folder, *names, PYTHONPATH=str(folder / "path"))
    assert made.returncode == 0, made.stderr


def write_job(case: Case, models: Path, folder: Path) -> Any:
    """Write the rows, the job file and the modules of a case; return the answers that are to come."""
    (folder / "plain.py").write_text(PLAIN)
    score = dict(case.score)
    (folder / "pickled.py").write_text(PICKLED)
    (folder / "remote.py").write_text(REMOTE)
    if case.model not in MODELS:
        rows, answers = case.rows, case.answers
        score = {"inputs": "x double", "result_type": "double", **score}
        model: Any = {"python": f"plain:{case.model}"}
    else:
        rows = pq.read_table(models / case.model / "rows.parquet")
        answers = pq.read_table(models / case.model / "answers.parquet")["answer"].to_pylist()
        model = str(models / case.model)
    if case.model == "registered":
        model = {"uri": "models:/doubles/1", "tracking_uri": f"sqlite:///{models}/mlflow.db"}
    (folder / "in").mkdir()
    pq.write_table(rows, folder / "in/rows.parquet")
    more = dict(case.more)
    target = {"path": str(folder / "out"), "format": more.pop("format", "parquet"), "output": "answer"}
    job = {"engine": "local", "model": model, "source": str(folder / "in"), "target": target, "score": score, **more}
    (folder / "job.yaml").write_text(yaml.safe_dump(job))
    return answers


def answers_of(clean: Environment, case: Case, folder: Path) -> list[Any]:
    """Run the job of a case and return what it answered."""
    done = run(clean, folder, *case.command)
    assert done.returncode == 0, done.stdout + done.stderr
    return list(pq.ParquetDataset(folder / "out").read()["answer"].to_pylist())


def run(clean: Environment, folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """Run a command in a folder whose modules can be imported."""
    return clean.run(folder, *command, PYTHONPATH=str(folder))


def compare(found: list[Any], wanted: Any) -> None:
    """Compare texts exactly, and numbers up to their last digits."""
    if isinstance(found[0], str):
        assert found == list(wanted)
    else:
        np.testing.assert_allclose(np.array(found), np.array(wanted), rtol=1e-6, atol=1e-6)
