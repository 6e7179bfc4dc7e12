"""Does a model answer its rows in their order? Tried on this machine, without Spark and without a job."""

from __future__ import annotations

from spark_infer.config import JobConfig, ScoreOptions
from spark_infer.core.convert import project
from spark_infer.core.row_order import ROWS, RowOrder
from spark_infer.engines.local.engine import LocalEngine
from spark_infer.errors import PlanError
from spark_infer.job.prepare import match_job
from spark_infer.job.tune.sample_table import some_rows
from spark_infer.models.driver import load_here, open_store
from spark_infer.models.expected_schema import expected_schema
from spark_infer.models.recipe import make_recipe
from spark_infer.models.registry.resolve import resolve
from spark_infer.models.rehearsal import example_rows, row_order


def row_order_of(model: str, source: str | None = None, *, tracking_uri: str | None = None) -> RowOrder:
    """Predict some rows in several orders.

    Args:
        model: URI of the model.
        source: Folder of a table that workers can read themselves, from all over which rows are taken; None for the
            model's input example, or made-up rows where it has none.
        tracking_uri: MLflow server or store.

    Raises:
        PlanError: The model cannot be found or served, or the table does not fit it, has no rows, or only Spark can
            read it.
    """
    if source is not None:
        return _with_rows_of(source, model, tracking_uri)
    store = open_store()
    ref = resolve(model, tracking_uri=tracking_uri, registry_uri=None, store=store)
    folder, options = store.path(ref.digest), ScoreOptions()
    recipe = make_recipe(
        ref,
        expected_schema(ref.mlmodel.signature),
        options,
        folder=folder,
        load_model=lambda spec: load_here(spec, ref, store, options.cache_bytes),
        keep=(),
    )
    loaded = load_here(recipe.load, ref, store, options.cache_bytes)
    return row_order(recipe, loaded, example_rows(recipe, folder))


def _with_rows_of(source: str, model: str, tracking_uri: str | None) -> RowOrder:
    config = JobConfig.model_validate(
        {
            "model": {"uri": model, "tracking_uri": tracking_uri},
            "source": {"path": source},
            "target": {"path": "nowhere", "keep": []},  # which nobody looks at
            "score": {"row_order": "trust"},
            "engine": "local",
        }
    )
    job = match_job(LocalEngine(config.resources), config)
    assert job.plane.scan is not None  # engine `local` has no other plane
    rows = some_rows(job.plane.scan, job.plane.tasks, ROWS)
    if not rows.num_rows:
        raise PlanError(f"{job.snapshot.location.name} has no rows to try the model with.")
    (batch,) = rows.combine_chunks().to_batches()
    loaded = load_here(job.recipe.load, job.recipe.ref, open_store(), config.score.cache_bytes)
    return row_order(job.recipe, loaded, project(batch, job.recipe.load.binding))
