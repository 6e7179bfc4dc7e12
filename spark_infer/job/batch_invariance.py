"""How much do a job's predictions change with the batches that its rows are predicted in? Tried on this machine."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from spark_infer.config import JobConfig
from spark_infer.config.trigger import NO_STREAM
from spark_infer.core.difference import Difference, differences, worst_difference
from spark_infer.engines.local.engine import LocalEngine
from spark_infer.engines.prepared_job import MatchedJob
from spark_infer.errors import PlanError
from spark_infer.job.prepare import match_job
from spark_infer.job.tune.sample_table import some_rows
from spark_infer.models.driver import open_store
from spark_infer.models.recipe import Recipe
from spark_infer.models.worker import score_table_batches
from spark_infer.runtime.assignment import Assignment

ROWS = 1_000
_ALONE = 100
"""How many rows are predicted one at a time, which is slow."""
_SIZES = (7, 100)


@dataclass(frozen=True, kw_only=True)
class Change:
    """How much predictions change in other batches than the job's.

    Attributes:
        batches: Which ones, in words.
        rows: Rows that were compared.
        changed: Those of them with another prediction.
        worst: The largest difference.
    """

    batches: str
    rows: int
    changed: int
    worst: Difference

    def __str__(self) -> str:
        if not self.changed:
            return f"{self.batches}: no prediction of {self.rows:,} rows changes"
        return (
            f"{self.batches}: {self.changed:,} of {self.rows:,} rows change, by at most {self.worst.size:.2g} "
            f"in column {self.worst.output!r}"
        )


def batch_invariance_of(config: JobConfig, *, most_rows: int = ROWS) -> list[Change]:
    """Predict rows of a job's table in other batches and beside other rows, and compare with the job's own batches.

    Args:
        config: The job; its rows are read and scored here, on the CPU, whatever its engine, and nothing is written.
        most_rows: How many rows to take, from all over the table.

    Raises:
        PlanError: The job cannot run as it stands, has no rows, or only Spark can read its table or run its model.
        RunError: A row cannot be scored.
    """
    job = match_job(LocalEngine(_here(config).resources), _here(config))
    assert job.plane.scan is not None  # engine `local` has no other plane
    rows = some_rows(job.plane.scan, job.plane.tasks, most_rows).combine_chunks()
    if not rows.num_rows:
        raise PlanError(f"{job.snapshot.location.name} has no rows to predict.")
    return [*_changes(job, rows)]


def _changes(job: MatchedJob, rows: pa.Table) -> Iterator[Change]:
    recipe, count = job.recipe, rows.num_rows
    folder = open_store().path(recipe.load.files(recipe.ref.digest))  # of the compiled model, where there is one
    usual = job.batch_rows
    in_order = np.arange(count)
    wanted = _predictions(recipe, folder, rows, in_order, usual)
    shuffled = np.random.default_rng(0).permutation(count)
    ways: list[tuple[str, npt.NDArray[np.int64], int]] = [
        ("one row at a time", in_order[:_ALONE], 1),
        *((f"batches of {size}", in_order, size) for size in _SIZES if size < min(count, usual)),
        ("the rows in reverse", in_order[::-1], usual),
        ("the rows shuffled", shuffled, usual),
    ]
    for batches, order, size in ways:
        found = _predictions(recipe, folder, rows, order, size)
        compared = wanted.take(pa.array(order))
        changed = int(np.count_nonzero(differences(compared, found)))
        yield Change(batches=batches, rows=len(order), changed=changed, worst=worst_difference(compared, found))


def _predictions(
    recipe: Recipe, folder: Path, rows: pa.Table, order: npt.NDArray[np.int64], batch_size: int
) -> pa.RecordBatch:
    """Score rows in an order, and return their predictions in that order."""
    options = recipe.options.model_copy(update={"batch_size": batch_size, "deduplicate": "never"})
    batches = rows.take(pa.array(order)).to_batches()
    scored = score_table_batches(
        replace(recipe, options=options, keep=()), lambda: folder, batches, Assignment(cpus=recipe.load.threads)
    )
    return pa.concat_batches([*scored])


def _here(config: JobConfig) -> JobConfig:
    """The same job on this machine, of which nothing but the rows and the model is wanted."""
    document = config.model_dump() | {"incremental": None, "aggregate": None, **NO_STREAM}
    document |= {"engine": "local", "plane": "auto", "resources": {"cpus": config.resources.cpus}}
    document["target"] = {"path": "nowhere", "keep": []}  # which nobody looks at
    if config.quarantine is not None:
        document |= {"quarantine": None, "score": {**document["score"], "on_error": "null"}}
    return JobConfig.model_validate(document)
