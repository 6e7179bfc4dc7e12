"""What columns a model returns: by its signature, by `result_type`, or by the loaded model."""

from __future__ import annotations

from collections.abc import Callable

import pyarrow as pa

from spark_infer.core.declared_types import leaves_open
from spark_infer.core.prediction_columns import ONLY_OUTPUT
from spark_infer.core.signature import ANY, is_list, spelled
from spark_infer.errors import PlanError
from spark_infer.models.backends.spec import CALLABLE, Described, LoadSpec


def raw_outputs_of(
    load: LoadSpec,
    declared: pa.Schema | None,
    result_schema: pa.Schema | None,
    undeclared: pa.Schema | None,
    load_model: Callable[[LoadSpec], Described],
) -> pa.Schema:
    """Say what columns a model returns, before the postprocess steps.

    Args:
        load: How the model is loaded.
        declared: The outputs of its signature; None where it declares none.
        result_schema: `options.result_type`, parsed.
        undeclared: What a model returns of which nothing else says it; None refuses such a model.
        load_model: Loads the model here; called only when its outputs cannot be known without.

    Raises:
        PlanError: Nothing says it, or `result_type` is not what the model returns.
    """
    if load.by_signature:
        outputs = declared
    elif result_schema is not None and load.backend in ("pyfunc", CALLABLE):
        return result_schema
    else:
        outputs = load_model(load).outputs()
    if result_schema is None:
        if outputs is None and declared is None and undeclared is not None:
            return undeclared
        if outputs is None:
            why = "its signature declares no outputs" if declared is None else "its signature is not that of the method"
            raise PlanError(
                f"Nothing says what the model returns: {why}.",
                next_step="say it with result_type, for example 'double' or 'label string, score double'.",
            )
        _refuse_open(outputs)
        return outputs
    if outputs is None or _is_one_record(outputs) or (len(outputs) == 1 and len(result_schema) == 1):
        return result_schema
    missing = [name for name in result_schema.names if name not in outputs.names]
    if missing == [ONLY_OUTPUT] and len(result_schema) == 1:
        if is_list(result_schema.types[0]):
            return result_schema  # of all outputs, where they are of one type
        raise PlanError(
            f"result_type is one type, {spelled(result_schema.types[0])}, and the model returns {outputs.names}.",
            next_step="name those you want: result_type='name type, …'.",
        )
    if missing:
        raise PlanError(
            f"result_type names {missing}, which the model does not return.",
            details=[f"it returns {outputs.names}"],
            next_step="choose among its outputs: result_type='name type, …'.",
        )
    return result_schema


def _is_one_record(outputs: pa.Schema) -> bool:
    """Whether the only output may be several: MLflow declares a frame or dicts of a type hint as one without a name."""
    if outputs.names != [ONLY_OUTPUT]:
        return False
    (kind,) = outputs.types
    return bool(kind == ANY or pa.types.is_map(kind) or pa.types.is_struct(kind))


def _refuse_open(outputs: pa.Schema) -> None:
    open_ones = [field.name for field in outputs if leaves_open(field.type)]
    if open_ones:
        raise PlanError(
            f"The model's signature leaves open what {open_ones} holds: its type is any.",
            next_step="say it with result_type, for example 'label string, score double'.",
        )
