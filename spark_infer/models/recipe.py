"""The recipe of a scoring: everything a worker must know, decided once on the driver, as plain values."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from spark_infer.config import ScoreOptions
from spark_infer.core.bad_rows import BadRowLimits, with_errors
from spark_infer.core.contract import bind
from spark_infer.core.deduplication import RUN_BATCHES
from spark_infer.core.expect import check_expected
from spark_infer.core.prediction_columns import choose_outputs
from spark_infer.core.row_order import Echoes
from spark_infer.core.scoring_steps import ScoringSteps
from spark_infer.core.signature import spelled
from spark_infer.core.stats import STATS_TYPE
from spark_infer.core.steps import Step, compile_postprocess, compile_preprocess
from spark_infer.errors import (
    SchemaMismatchError,
    SparkInferError,
    StepError,
    StepFailedError,
    Together,
    nearest,
)
from spark_infer.models.backends.choose_backend import Choice, choose
from spark_infer.models.backends.native import declared_outputs, params_of
from spark_infer.models.backends.spec import Described, LoadSpec
from spark_infer.models.configuration import applied, ignored
from spark_infer.models.decode.decoding import columns_read, compile_decode, decoded_schema
from spark_infer.models.params import resolve_params
from spark_infer.models.raw_outputs import raw_outputs_of
from spark_infer.models.ref import ModelRef
from spark_infer.models.trust.policy import require_trusted

if TYPE_CHECKING:
    from spark_infer.models.compile.parity import Parity
    from spark_infer.models.hosting import Hosting

Output = str | Mapping[str, str] | None


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How to score, pickled to every worker.

    Attributes:
        ref: The model, pinned.
        load: How to load it.
        prepared: Columns that preprocess returns; None without it.
        choice: Which backend serves it and why.
        options: What the user asked for.
        output: How the outputs are named.
        keep: Columns of the table that pass through, in order.
        aside: Columns that are kept of quarantined rows.
        hidden: Columns that come along with a batch and are not the table's.
        raw_outputs: Columns the model returns.
        outputs: Columns that are added to the table.
        error_column: The last of the outputs, which says why a row has no prediction; "" for none.
        any_size: Whether the model was seen to predict batches of another size than those of the job.
        show_values: Whether messages of foreign exceptions may be shown.
        parity: How the compiled model was compared with the original; None where the original serves.
        hosting: How workers find the model host that holds the model; None where each loads a copy.
    """

    ref: ModelRef
    load: LoadSpec
    prepared: pa.Schema | None
    choice: Choice
    options: ScoreOptions
    output: Output
    keep: tuple[str, ...]
    raw_outputs: pa.Schema
    outputs: pa.Schema
    error_column: str = ""
    aside: tuple[str, ...] = ()
    hidden: tuple[str, ...] = ()
    any_size: bool = False
    show_values: bool = False
    parity: Parity | None = None
    hosting: Hosting | None = None

    @property
    def label(self) -> str:
        """Name and version of the model, for people."""
        return str(self.ref)

    def warnings(self) -> tuple[str, ...]:
        """What the user should know of model and table, a sentence each."""
        config = ignored(self.ref.mlmodel, self.options.pyfunc_config)
        return (*self.load.binding.absent_warnings(), *config)

    def read_columns(self, schema: pa.Schema) -> tuple[str, ...]:
        """Columns of the table that must be read: those kept and those the model needs."""
        if self.options.preprocess is not None:
            return tuple(dict.fromkeys(schema.names))
        decode = self.options.decode
        decoded = () if decode is None else columns_read(schema, decode)
        inputs = [name for name in self.load.binding.sources if decode is None or name != decode.how.name]
        return tuple(dict.fromkeys([*self.keep, *inputs, *decoded, *self.aside]))

    @property
    def most_rows(self) -> int | None:
        """How many rows of a model batch there is room for in ``max_batch_bytes`` once they are decoded."""
        decode = self.options.decode
        if decode is None:
            return None
        held = 1 if self.options.deduplicate == "never" else RUN_BATCHES
        return max(1, self.options.max_batch_bytes // (held * decode.how.row_bytes))

    def scored_schema(self, table: pa.Schema, *, stats_column: str | None = None) -> pa.Schema:
        """Return the columns of scored rows: those kept, as the table has them, then the predictions.

        Args:
            table: All columns of the table.
            stats_column: Name of a further column that carries what scoring cost.
        """
        columns = {field.name: field for field in table}
        added = [pa.field(field.name, field.type) for field in self.outputs]
        added += [] if stats_column is None else [pa.field(stats_column, STATS_TYPE)]
        return pa.schema([*(columns[name] for name in self.keep), *added])

    def compile(self) -> ScoringSteps:
        """Import the functions and put the steps together; on the worker, once for each task.

        Raises:
            StepError: A function cannot be imported.
        """
        return ScoringSteps(
            label=self.label,
            binding=self.load.binding,
            raw_outputs=self.raw_outputs,
            outputs=pa.schema([each for each in self.outputs if each.name != self.error_column]),
            prepared=self.prepared,
            preprocess=_before(self.options, show_values=self.show_values, without=self.hidden),
            postprocess=_finish(self.options, self.output, show_values=self.show_values),
            batch_size=self.options.asked_batch_rows,
            max_batch_bytes=self.options.max_batch_bytes,
            most_rows=self.most_rows,
            deduplicate=self.options.deduplicate,
            show_values=self.show_values,
            echoes=Echoes(self.load.binding, self.raw_outputs) if self.options.checks_row_order else None,
            bad_rows=None if self.options.on_error == "fail" else BadRowLimits.of(self.options),
            any_size=self.any_size or self.options.asked_batch_rows is None,
            expected=self.options.expect,
        )


def make_recipe(
    ref: ModelRef,
    schema: pa.Schema,
    options: ScoreOptions,
    *,
    folder: Path,
    load_model: Callable[[LoadSpec], Described],
    keep: str | Sequence[str] = "all",
    output: Output = None,
    result_schema: pa.Schema | None = None,
    undeclared: pa.Schema | None = None,
    threads: int = 1,
    show_values: bool = False,
) -> Recipe:
    """Decide how a table of ``schema`` is scored, or say everything that is wrong with it.

    Args:
        ref: The pinned model.
        schema: Columns of the table.
        options: How rows are scored.
        folder: The model's verified files on this node.
        load_model: Loads the model here; called only when its outputs cannot be known without.
        keep: Columns that pass through.
        output: Names of the outputs (see `choose_outputs`).
        result_schema: `options.result_type`, parsed.
        undeclared: What a model returns of which nothing else says it; None refuses such a model.
        threads: Threads the model may use on a worker.
        show_values: Whether messages of foreign exceptions may be shown.

    Raises:
        PlanError: The table, the model and the options do not fit together.
    """
    require_trusted(ref, options, folder)
    choice = choose(ref.mlmodel, options, folder)
    together = Together()
    with together.check():
        kept = _kept(schema, keep)
    with together.check():
        decoded = schema if options.decode is None else decoded_schema(schema, options.decode)
        prepared = _prepared_schema(decoded, options.preprocess, show_values=show_values)
        load = replace(_load_spec(ref, choice, prepared, options, threads), show_values=show_values)
        if load.by_signature or not together:  # no model is loaded where all is refused already
            declared = declared_outputs(choice.backend, ref.mlmodel, options.params)
            raw = raw_outputs_of(load, declared, result_schema, undeclared, load_model)
            predictions = _final_outputs(raw, options, output, show_values=show_values)
    together.refuse()
    check_expected(predictions, options.expect)
    outputs = with_errors(predictions, options.reasons_column)
    _refuse_collisions(kept, outputs)
    return Recipe(
        ref=ref,
        load=load,
        prepared=None if options.preprocess is None and options.decode is None else prepared,
        choice=choice,
        options=options,
        output=output,
        keep=kept,
        raw_outputs=raw,
        outputs=outputs,
        error_column=options.reasons_column,
        show_values=show_values,
    )


def _load_spec(ref: ModelRef, choice: Choice, table: pa.Schema, options: ScoreOptions, threads: int) -> LoadSpec:
    signature = ref.mlmodel.signature
    together = Together()
    with together.check():
        # Those of a plain Python model are in its signature.
        inputs = options.inputs if ref.mlmodel.code is None else None
        binding = bind(table, signature, inputs=inputs, allow_casts=options.allow_casts, model=str(ref))
    with together.check():
        params = resolve_params(signature, options.params, of_backend=params_of(choice.backend))
    together.refuse()
    return LoadSpec(
        backend=choice.backend,
        mlmodel=ref.mlmodel,
        methods=options.predict_method or (ref.mlmodel.predict_fn,),
        by_signature=options.predict_method is None and bool(signature and signature.outputs),
        binding=binding,
        params=params,
        config=applied(ref.mlmodel, options.pyfunc_config),
        extra_env=options.extra_env,
        threads=threads,
        accelerate=options.accelerate == "auto",
    )


def _before(options: ScoreOptions, *, show_values: bool, without: Sequence[str]) -> Step | None:
    """What is done to a batch before the model: it is decoded, then the user's function sees it."""
    preprocess = compile_preprocess(options.preprocess, show_values=show_values, without=without)
    if options.decode is None:
        return preprocess
    decode = compile_decode(options.decode)
    return decode if preprocess is None else lambda batch: preprocess(decode(batch))


def _finish(options: ScoreOptions, output: Output, *, show_values: bool) -> Step:
    postprocess = compile_postprocess(options.postprocess, show_values=show_values)
    return lambda batch: choose_outputs(postprocess(batch), output)


def _kept(schema: pa.Schema, keep: str | Sequence[str]) -> tuple[str, ...]:
    kept = tuple(schema.names) if keep == "all" else tuple(keep)
    problems = [
        f"column {name!r} is kept but missing{nearest(name, schema.names)}" for name in kept if name not in schema.names
    ]
    problems += [
        f"column {name!r} is kept and stands twice: ambiguous" for name in sorted(set(kept)) if kept.count(name) > 1
    ]
    if problems:
        raise SchemaMismatchError(
            "The columns to keep do not fit the table.",
            problems=problems,
            next_step="correct the names in `keep`, or leave it out to keep all columns.",
        )
    return kept


def _prepared_schema(schema: pa.Schema, spec: str | None, *, show_values: bool) -> pa.Schema:
    step = compile_preprocess(spec, show_values=show_values)
    if step is None:
        return schema
    try:
        prepared = step(pa.RecordBatch.from_pylist([], schema=schema)).schema
    except StepFailedError as error:
        raise StepError(
            f"The preprocess function {spec!r} does not take an empty batch, by which its columns are found out.",
            details=[error.what, *error.details],
            next_step="make the function return an empty batch with its columns for an empty batch.",
        ) from error
    untyped = [field.name for field in prepared if pa.types.is_null(field.type)]
    if untyped:
        raise StepError(
            f"The preprocess function {spec!r} returns the columns {untyped} without a type for an empty batch.",
            next_step="say the type: pa.array(values, pa.float64()).",
        )
    return prepared


def _final_outputs(raw: pa.Schema, options: ScoreOptions, output: Output, *, show_values: bool) -> pa.Schema:
    finish = _finish(options, output, show_values=show_values)
    try:
        return finish(pa.RecordBatch.from_pylist([], schema=raw)).schema
    except StepFailedError as error:
        raise StepError(error.what, details=error.details, next_step=error.next_step) from error
    except SparkInferError:
        raise
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, pa.ArrowTypeError) as error:
        shown = ", ".join(f"{field.name} {spelled(field.type)}" for field in raw)
        raise StepError(f"A postprocess step does not fit the model's outputs ({shown}).") from error


def _refuse_collisions(kept: Sequence[str], outputs: pa.Schema) -> None:
    folded = {name.casefold() for name in kept}
    problems = [
        f"output {name!r} has the name of a column that is kept" for name in outputs.names if name.casefold() in folded
    ]
    if problems:
        raise SchemaMismatchError(
            "The prediction columns clash with the table's.",
            problems=problems,
            next_step="rename the outputs with output={'prediction': 'score'}, or leave the columns out of keep.",
        )
