"""One predict on the driver before any task: does the model take and return what its signature says?

Spark free. The rows are the model's own input example where it was logged with one; then any failure is an error.
Otherwise they are made up, and a model may rightly refuse those: then it is a warning that it raised, and an error
only that it answered with something else than its signature promises.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow as pa

from spark_infer.core.exception_text import describe_exception
from spark_infer.core.outputs import Predictions, to_batch
from spark_infer.core.row_order import NEXT_STEP, RowOrder, find_row_order, named
from spark_infer.core.scoring_steps import Model
from spark_infer.errors import ModelRefusedError, PredictionShapeError, SparkInferError
from spark_infer.models.backends import load
from spark_infer.models.example import made_up, made_up_unlike, read_example
from spark_infer.models.recipe import Recipe
from spark_infer.runtime.output_capture import captured_output


@dataclass(frozen=True, kw_only=True)
class Rehearsal:
    """What trying a model on the driver showed.

    Attributes:
        row_order: Whether it answers rows in their order, for the plan; empty where that is not in question.
        warning: For the plan; None where the answer is as promised.
        difference: How a faster way was seen to answer otherwise than the model; None where it was not.
        any_size: Whether it predicted batches of another size than those of the job.
    """

    row_order: str = ""
    warning: str | None = None
    difference: str | None = None
    any_size: bool = False


NOT_LOADED = Rehearsal(
    warning="the model was not loaded: that it loads, predicts its example and answers rows in their order is not "
    "checked, nor is a compiled one; a run checks it before any task starts, and may choose other batches"
)
"""For a plan that runs none of the model's code."""


@captured_output()
def rehearse(recipe: Recipe, model: Model, folder: Path) -> Rehearsal:
    """Predict a few rows and compare the answer with what the recipe promises.

    Args:
        recipe: How the table will be scored.
        model: The model, loaded here.
        folder: The model's verified files on this node.

    Raises:
        SchemaMismatchError: The model predicts only with optional columns that the table lacks.
        ModelRefusedError: The model does not predict its own input example, or answers in another form than its
            signature says, or in another order than its rows have.
    """
    binding = recipe.load.binding
    example = read_example(folder, recipe.ref.mlmodel, binding)
    rows = made_up(binding) if example is None else example
    which = "rows of zeros and empty texts" if example is None else "its own input example"
    try:
        answer = model.predict(rows)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # the model's code may raise one of its own
        if binding.absent and _predicts_complete(recipe, folder):
            raise binding.cannot_do_without(f"Model {recipe.label}") from error
        if isinstance(error, PredictionShapeError):
            raise _broken_promise(error, recipe, which) from error
        told = _described(error, show_values=recipe.show_values)
        if example is None:
            return Rehearsal(warning=f"the model was tried with {which} and raised {told[0]}; real rows may differ")
        raise ModelRefusedError(
            f"Model {recipe.label} does not predict {which}: its signature does not say what it takes, or the example "
            "is none.",
            details=told,
            next_step="call mlflow.pyfunc.load_model(uri).predict(example) to see the cause, and log the model again "
            "with a signature and an example that fit it.",
        ) from (error if recipe.show_values else None)
    _compare(answer, recipe, rows.num_rows, which)
    seen = Rehearsal(difference=getattr(model, "difference", None), any_size=rows.num_rows != recipe.options.batch_size)
    if not recipe.options.checks_row_order or getattr(model, "by_row", False):
        return seen
    found = row_order(recipe, model, made_up_unlike(binding) if example is None else example)
    _require_order(found, recipe.label)
    return replace(seen, row_order=str(found))


def example_rows(recipe: Recipe, folder: Path) -> pa.RecordBatch:
    """Return the model's input example, or made-up rows that differ."""
    binding = recipe.load.binding
    example = read_example(folder, recipe.ref.mlmodel, binding)
    return made_up_unlike(binding) if example is None else example


@captured_output()
def row_order(recipe: Recipe, model: Model, rows: pa.RecordBatch) -> RowOrder:
    """Find out whether a model answers these inputs in their order."""
    return find_row_order(lambda batch: to_batch(model.predict(batch), recipe.raw_outputs, batch.num_rows), rows)


def _require_order(found: RowOrder, label: str) -> None:
    if found.moved:
        raise ModelRefusedError(
            f"Model {label} answers its rows in another order: the values of {named(found.moved)} belong to other "
            "rows of the batch.",
            details=[
                f"it was tried with {found.rows} rows: in a batch they get the answers that other rows get when they "
                "are predicted alone",
                "predictions belong to rows by position, as in MLflow's pyfunc",
            ],
            next_step=NEXT_STEP,
        )


def _predicts_complete(recipe: Recipe, folder: Path) -> bool:
    """Whether the model predicts rows that have all its columns; loads it once more, for that."""
    spec = replace(recipe.load, binding=recipe.load.binding.complete())
    example = read_example(folder, recipe.ref.mlmodel, spec.binding)
    try:
        load(spec, folder).predict(made_up(spec.binding) if example is None else example)
    except (Exception, SystemExit):
        return False
    return True


def _compare(answer: Predictions, recipe: Recipe, rows: int, which: str) -> None:
    try:
        to_batch(answer, recipe.raw_outputs, rows)
    except PredictionShapeError as error:
        raise _broken_promise(error, recipe, which) from error


def _broken_promise(error: PredictionShapeError, recipe: Recipe, which: str) -> ModelRefusedError:
    or_else = (
        "log the model again with the outputs that its pyfunc returns (and with an input_example, where made-up rows "
        "mislead it)."
        if recipe.ref.mlmodel.code is None
        else "let the function return an array, a list or a frame of that many rows."
    )
    return ModelRefusedError(
        f"Model {recipe.label} does not return what was promised for it; it was tried with {which}.",
        details=[error.what, *error.details],
        next_step=f"say what it returns with result_type, one value for each row; or {or_else}",
    )


def _described(error: BaseException, *, show_values: bool) -> tuple[str, ...]:
    if isinstance(error, SparkInferError):
        return (error.what, *error.details)
    return describe_exception(error, show_values=show_values)
