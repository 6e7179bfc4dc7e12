"""When compiling pays: predict seconds of models in their own library and compiled, on the same batches.

    python -m benchmarks.compiled
    python -m benchmarks.compiled --rows 20000 --rounds 3 --threads 2

Each model is trained on made-up rows of twenty doubles, saved with MLflow, and loaded by its native backend and as its
compiled artefact, as in a worker: no Spark, batches of 10,000 rows. Rounds alternate; the fastest of each side counts.
"""

from __future__ import annotations

import argparse
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa

from spark_infer.config import DEFAULT_BATCH_SIZE, ScoreOptions
from spark_infer.core.scoring_steps import Model
from spark_infer.models.backends import load
from spark_infer.models.compile.gate import compile_recipe
from spark_infer.models.files.store import ModelStore
from spark_infer.models.recipe import make_recipe
from spark_infer.models.registry.resolve import resolve
from spark_infer.models.sample_rows import SAMPLE_ROWS, Sample
from spark_infer.runtime.process_state import this_process

TRAINING_ROWS = 20_000


def models() -> Iterator[tuple[str, str, Callable[[], Any]]]:
    """Yield the name of each model, its MLflow flavor and how it is made."""
    import lightgbm
    import xgboost
    from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    yield "logistic regression, scaled", "sklearn", lambda: make_pipeline(StandardScaler(), LogisticRegression())
    yield "random forest, 200 trees", "sklearn", lambda: RandomForestClassifier(200, min_samples_leaf=5, n_jobs=2)
    yield "histogram boosting, 100 trees", "sklearn", lambda: HistGradientBoostingClassifier(early_stopping=False)
    yield "LightGBM, 500 trees", "lightgbm", lambda: lightgbm.LGBMClassifier(n_estimators=500, verbosity=-1)
    yield "XGBoost, 300 trees", "xgboost", lambda: xgboost.XGBClassifier(n_estimators=300)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=100_000, help="rows to predict")
    parser.add_argument("--rounds", type=int, default=5, help="how often each side predicts them")
    parser.add_argument("--threads", type=int, default=1, help="threads of a model, as spark.task.cpus")
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    rows, labels = made_rows(max(given.rows, TRAINING_ROWS))
    print("| model | `compile` | own library | compiled | times as fast | worst difference | made in |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for name, flavor, make in models():
        fitted = make().fit(rows[:TRAINING_ROWS], labels[:TRAINING_ROWS])
        for to in ("onnx", "llvm") if flavor == "lightgbm" else ("onnx",):
            print(f"| {name} | `{to}` | {measured(fitted, flavor, to, rows, given)} |")


def measured(fitted: Any, flavor: str, to: str, rows: pd.DataFrame, given: argparse.Namespace) -> str:
    """Return the cells of one model: seconds in its own library and compiled, their ratio, and what compiling took."""
    asked = batches(rows[: given.rows])
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        own, compiled, worst = both(fitted, flavor, to, rows[:100], asked, Path(folder), given.threads)
        made = time.perf_counter() - start
        of_own, of_compiled = (min(times) for times in raced((own, compiled), asked, given.rounds))
    return f"{of_own:.3f} s | {of_compiled:.3f} s | {of_own / of_compiled:.2f} | {worst:.1g} | {made:.1f} s"


def made_rows(count: int) -> tuple[pd.DataFrame, Any]:
    from sklearn.datasets import make_classification

    values, labels = make_classification(count, 20, n_informative=10, random_state=0)
    return pd.DataFrame(values, columns=[f"x{index}" for index in range(20)]), labels


def batches(rows: pd.DataFrame) -> list[pa.RecordBatch]:
    whole = pa.RecordBatch.from_pandas(rows, preserve_index=False)
    return [whole.slice(start, DEFAULT_BATCH_SIZE) for start in range(0, len(rows), DEFAULT_BATCH_SIZE)]


def both(
    fitted: Any, flavor: str, to: str, example: pd.DataFrame, rows: list[pa.RecordBatch], folder: Path, threads: int
) -> tuple[Model, Model, float]:
    """Return the model in its own library, compiled, and the worst difference the parity gate saw."""
    import mlflow

    how: dict[str, Any] = {} if flavor == "xgboost" else {"serialization_format": "cloudpickle"}
    signature = mlflow.models.infer_signature(example, fitted.predict(example))
    flavor_module = getattr(mlflow, flavor)
    flavor_module.save_model(fitted, folder / "model", signature=signature, pip_requirements=[flavor], **how)
    store = ModelStore(folder / "store")
    ref = resolve(str(folder / "model"), tracking_uri=None, registry_uri=None, store=store)
    files = store.path(ref.digest)
    recipe = make_recipe(
        ref,
        rows[0].schema,
        ScoreOptions.model_validate({"compile": to, "predict_method": "predict_proba"}),
        folder=files,
        load_model=lambda spec: load(spec, files),
        threads=threads,
        keep=(),
    )
    own = load(recipe.load, files)
    sample = Sample(batches=[rows[0].slice(0, SAMPLE_ROWS)], places=["the first batch"])
    served = compile_recipe(recipe, own, store, lambda: sample)
    assert served.parity is not None
    this_process().threads.set(threads)
    return own, load(served.load, store.path(served.load.files(ref.digest))), served.parity.found.numbers.size


def raced(sides: tuple[Model, ...], rows: list[pa.RecordBatch], rounds: int) -> list[list[float]]:
    """Have each side predict all rows in turn; returns its seconds for each round."""
    seconds: list[list[float]] = [[] for _ in sides]
    for _ in range(rounds + 1):
        for times, side in zip(seconds, sides, strict=True):
            start = time.perf_counter()
            for batch in rows:
                side.predict(batch)
            times.append(time.perf_counter() - start)
    return [times[1:] for times in seconds]  # the first round warms up


if __name__ == "__main__":
    main()
