"""Score a model's own example on a worker, and compare the answers with those that are known."""

from __future__ import annotations

import math
import os
import platform
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from numbers import Real
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import pyarrow as pa
from pyarrow import parquet as pq

from spark_infer.config import JobConfig, ScoreOptions
from spark_infer.core.convert import project
from spark_infer.core.difference import worst_difference
from spark_infer.core.exception_text import describe_exception
from spark_infer.core.outputs import to_batch
from spark_infer.engines.local.engine import LocalEngine
from spark_infer.errors import ConfigError, PlanError, PredictError, SourceError, SparkInferError, nearest
from spark_infer.job.golden_file import golden_answers, golden_rows
from spark_infer.job.preview import preview_job
from spark_infer.job.verification import TOLERANCE, Compared, HostCompared, Verification
from spark_infer.models.driver import load_here, open_store
from spark_infer.models.example import read_example
from spark_infer.models.expected_schema import expected_schema
from spark_infer.models.installed import versions_here
from spark_infer.models.pins import pinned
from spark_infer.models.recipe import Recipe, make_recipe
from spark_infer.models.ref import ModelRef
from spark_infer.models.requirements import requirements
from spark_infer.models.worker_answer import WorkerAnswer
from spark_infer.printable import counted

if TYPE_CHECKING:
    from spark_infer.spark import SparkSession

_EVERYWHERE = ("numpy", "pyarrow", "spark-infer")


class Workers(Protocol):
    """Who scores the rows.

    Attributes:
        have_hosts: Whether they run on hosts that the reader wants to tell apart.
    """

    have_hosts: bool

    def score(self, ref: ModelRef, rows: pa.Table, names: Sequence[str]) -> list[WorkerAnswer]:
        """Score the rows, once or several times.

        Args:
            ref: The pinned model.
            rows: The rows.
            names: The distributions whose versions are asked for.
        """

    def describe(self, answers: int) -> str:
        """Say who scored, in a few words."""


class ThisMachine:
    """A process of this machine; `Workers`."""

    have_hosts = False

    def score(self, ref: ModelRef, rows: pa.Table, names: Sequence[str]) -> list[WorkerAnswer]:
        """Score the rows as a job of engine `local` does."""
        with tempfile.TemporaryDirectory(prefix="spark_infer-verify-") as folder:
            pq.write_table(rows, Path(folder) / "rows.parquet")
            target = {"path": "nowhere", "keep": []}  # which nobody looks at
            stamps = dict.fromkeys(("model_name_column", "model_version_column", "scored_at_column"))
            config = JobConfig.model_validate(
                {"model": ref.uri, "source": folder, "target": {**target, **stamps}, "engine": "local"}
            )
            found = preview_job(LocalEngine(config.resources), config, rows=rows.num_rows, model=ref)
        return [WorkerAnswer(answers=_one_batch(found.rows), host=platform.node(), versions=versions_here(names))]

    def describe(self, answers: int) -> str:
        """Say who scored."""
        return "a process of this machine"


THIS_MACHINE = ThisMachine()


class SparkWorkers:
    """As many tasks of a Spark session as run at once; `Workers`.

    Args:
        session: Lends the session.
    """

    have_hosts = True

    def __init__(self, session: Callable[[], AbstractContextManager[SparkSession]]) -> None:
        self._session = session

    def score(self, ref: ModelRef, rows: pa.Table, names: Sequence[str]) -> list[WorkerAnswer]:
        """Score the rows in each task."""
        with self._session() as spark:
            from spark_infer.spark.verify_tasks import score_on_workers

            return score_on_workers(spark, ref, _one_batch(rows), names)

    def describe(self, answers: int) -> str:
        """Say how many tasks scored."""
        return f"{counted(answers, 'task')} of Spark"


def verify_model(
    uri: str,
    *,
    golden: Path | None = None,
    tolerance: float = TOLERANCE,
    tracking_uri: str | None = None,
    registry_uri: str | None = None,
    workers: Workers = THIS_MACHINE,
) -> Verification:
    """Score a model's example, or a golden file, on workers, and compare.

    Args:
        uri: The model.
        golden: A Parquet, CSV or JSON file of rows; where it has outputs of the model too, those are
            expected, and alone compared.
        tolerance: Largest difference of a floating number, relative above 1.
        tracking_uri: MLflow server or store.
        registry_uri: MLflow registry, where it is another one.
        workers: Who scores; by default a process of this machine.

    Raises:
        PlanError: There is no such model, or nothing to score it with, or a golden file that does not fit it.
        RunError: A worker failed, or the model for the rows.
    """
    from spark_infer.models.registry.resolve import resolve

    _require_tolerance(tolerance)
    store = open_store()
    ref = resolve(uri, tracking_uri=tracking_uri, registry_uri=registry_uri, store=store)
    if ref.mlmodel.signature is None:
        raise PlanError(
            f"Model {ref} has no signature, and so nothing says which columns it takes and returns.",
            next_step="give it one with mlflow.models.set_signature(uri, infer_signature(inputs, outputs)).",
        )
    rows = _example(ref, store.path(ref.digest)) if golden is None else golden_rows(golden, ref)
    native = _recipe(ref, rows, ScoreOptions())
    given = [] if golden is None else _answers(native, rows, golden)
    if golden is not None and given:
        known, expected = _one_batch(golden_answers(rows, given, golden)), f"the columns of {golden.name}"
    else:
        known, expected = _by_pyfunc(ref, rows), "mlflow.pyfunc's predict on this machine"
    answers = workers.score(ref, rows, _names(native))
    compared = [_compared(known, each.answers, tolerance) for each in answers]
    return Verification(
        model=str(ref),
        backend=native.choice.backend,
        rows=rows.num_rows,
        source="its input example" if golden is None else golden.name,
        expected=expected,
        workers=workers.describe(len(answers)),
        tolerance=tolerance,
        not_compared=tuple(name for name in native.outputs.names if name not in known.schema.names),
        outputs=tuple(max(several, key=lambda each: each.difference) for several in zip(*compared, strict=True)),
        versions=_compared_versions(native, [each.versions for each in answers], store.path(ref.digest)),
        hosts=_by_host(answers, compared) if workers.have_hosts else {},
    )


def _by_host(answers: Sequence[WorkerAnswer], compared: Sequence[Sequence[Compared]]) -> dict[str, HostCompared]:
    here = versions_here([name for name in answers[0].versions if name != "python"])
    found: dict[str, HostCompared] = {}
    for each, outputs in zip(answers, compared, strict=True):
        other = {f"{name} {version}" for name, version in each.versions.items() if version != here[name]}
        before = found.get(each.host, HostCompared())
        found[each.host] = HostCompared(
            tasks=before.tasks + 1,
            difference=max(before.difference, *(output.difference for output in outputs)),
            equal=before.equal and all(output.equal for output in outputs),
            other_versions=tuple(sorted(other.union(before.other_versions))),
        )
    return dict(sorted(found.items()))


def _require_tolerance(tolerance: Any) -> None:
    if isinstance(tolerance, bool) or not isinstance(tolerance, Real) or not 0 <= float(tolerance) < math.inf:
        raise ConfigError(
            f"The tolerance is a finite number from 0, and {repr(tolerance)[:60]} was given.",
            next_step="say 1e-6 for floating numbers that agree in six digits, or leave it out.",
        )


def _answers(recipe: Recipe, rows: pa.Table, golden: Path) -> list[pa.Field]:
    """The outputs whose right answers a golden file has; it has no column that is neither input nor output."""
    columns = recipe.load.binding.columns
    inputs = [*(each.target for each in columns), *recipe.load.binding.sources]
    known = [*recipe.outputs.names, *inputs]
    for name in rows.column_names:
        if name not in known:
            near = nearest(name, [other for other in dict.fromkeys(known) if other not in rows.column_names])
            raise SourceError(
                f"Column {name!r} of the golden file {golden} is neither an input nor an output of the model{near}.",
                details=[f"its outputs are {', '.join(map(repr, recipe.outputs.names))}"],
                next_step="rename the column, or take it out.",
            )
    own = set(expected_schema(recipe.ref.mlmodel.signature).names)
    return [each for each in recipe.outputs if each.name in rows.column_names and each.name not in own]


def _example(ref: ModelRef, folder: Path) -> pa.Table:
    recipe = _recipe(ref, expected_schema(ref.mlmodel.signature).empty_table(), ScoreOptions())
    batch = read_example(folder, ref.mlmodel, recipe.load.binding)
    if batch is None:
        raise PlanError(
            f"Model {ref} was logged without an input example that has the form of its inputs.",
            next_step="name rows to score with --golden FILE, or log the model again with an input_example.",
        )
    return pa.Table.from_batches([batch])


def _recipe(ref: ModelRef, rows: pa.Table, options: ScoreOptions) -> Recipe:
    store = open_store()
    return make_recipe(
        ref,
        rows.schema,
        options,
        folder=store.path(ref.digest),
        load_model=lambda spec: load_here(spec, ref, store, options.cache_bytes),
        keep=(),
    )


def _by_pyfunc(ref: ModelRef, rows: pa.Table) -> pa.RecordBatch:
    if ref.mlmodel.code is not None:
        raise PlanError(
            f"{ref} is plain Python, which has no pyfunc to compare with.",
            next_step="name a --golden FILE that has the outputs that are expected too.",
        )
    options = ScoreOptions(backend="pyfunc")
    recipe = _recipe(ref, rows, options)
    model = load_here(recipe.load, ref, open_store(), options.cache_bytes)
    inputs = project(_one_batch(rows), recipe.load.binding)
    try:
        predictions = model.predict(inputs)
    except SparkInferError:
        raise
    except (Exception, SystemExit) as error:
        show_values = os.environ.get("SPARK_INFER_SHOW_VALUES") == "1"
        raise PredictError(
            f"Model {ref} raised in mlflow.pyfunc's predict on this machine, for the {inputs.num_rows} rows to verify.",
            details=describe_exception(error, show_values=show_values),
            next_step="call it on these rows in plain Python to see the cause; then mend the model, or name other rows "
            "with --golden FILE.",
        ) from None
    return to_batch(predictions, recipe.raw_outputs, inputs.num_rows)


def _compared(known: pa.RecordBatch, found: pa.RecordBatch, tolerance: float) -> list[Compared]:
    return [_difference(known.select([name]), found.select([name]), tolerance) for name in known.schema.names]


def _difference(known: pa.RecordBatch, found: pa.RecordBatch, tolerance: float) -> Compared:
    (name,) = known.schema.names
    if pa.types.is_struct(known.schema.types[0]) or pa.types.is_map(known.schema.types[0]):
        other = [a != b for a, b in zip(known.column(0).to_pylist(), found.column(0).to_pylist(), strict=True)]
        row = int(np.argmax(other))
        return Compared(output=name, difference=math.inf if any(other) else 0.0, row=row, equal=not any(other))
    worst = worst_difference(known, found)
    return Compared(output=name, difference=worst.size, row=worst.row, equal=worst.size <= tolerance)


def _one_batch(rows: pa.Table) -> pa.RecordBatch:
    (batch,) = rows.combine_chunks().to_batches()
    return batch


def _names(recipe: Recipe) -> tuple[str, ...]:
    needed = (each.distribution for each in requirements(recipe.ref.mlmodel, recipe.load.backend))
    return tuple(dict.fromkeys([*_EVERYWHERE, *needed]))


def _compared_versions(recipe: Recipe, there: Sequence[Mapping[str, str]], folder: Path) -> dict[str, dict[str, str]]:
    logged = pinned(folder)
    saved = {each.distribution: each.version for each in requirements(recipe.ref.mlmodel, recipe.load.backend)}
    logged |= {name: version for name, version in saved.items() if version is not None and name not in logged}
    logged["python"] = str((recipe.ref.mlmodel.pyfunc or {}).get("python_version", ""))
    return {
        name: {
            "driver": version,
            "workers": ", ".join(sorted({each.get(name, "") for each in there})),
            "model": logged.get(name, ""),
        }
        for name, version in versions_here(_names(recipe)).items()
    }
