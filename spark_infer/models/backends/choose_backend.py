"""Which backend serves a model, decided on the driver, with the reason."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from spark_infer.config import ScoreOptions
from spark_infer.errors import ConfigError, ModelRefusedError, nearest
from spark_infer.models.backends import native
from spark_infer.models.backends.spec import CALLABLE
from spark_infer.models.code import refuse_shadowing
from spark_infer.models.mlmodel import MLModel

SPARK = "spark"
"""Spark ML: MLflow's name of the flavor, and ours of the backend, which is in `spark_infer.spark.sparkml`."""


@dataclass(frozen=True, kw_only=True)
class Choice:
    """Which backend serves a model, and why; ``reason`` is a sentence for the plan."""

    backend: str
    reason: str


def choose(mlmodel: MLModel, options: ScoreOptions, folder: Path) -> Choice:
    """Choose the backend for a model: the native one of its flavor where it gives the same answers, else pyfunc.

    Args:
        mlmodel: The parsed ``MLmodel``.
        options: What the user asked for.
        folder: The model's verified files on this node.

    Raises:
        ConfigError: The backend asked for does not exist.
        ModelRefusedError: No backend can serve it, or not the one asked for; or its modules hide other libraries.
    """
    known = ("auto", "pyfunc", SPARK, *native.flavors())
    if options.backend not in known:
        raise ConfigError(
            f"There is no backend {options.backend!r}{nearest(options.backend, known)}.",
            next_step=f"the backends are {', '.join(known)}.",
        )
    if mlmodel.code is not None:
        return _callable(options)
    refuse_shadowing(mlmodel, folder)
    if runs_in_spark(mlmodel):
        return _spark(options)
    if options.backend not in ("auto", "pyfunc"):
        return _asked_for(mlmodel, options, folder)
    flavor = _flavor_of_pyfunc(mlmodel)
    if options.backend == "pyfunc":
        why_not = "asked for"
    elif flavor is None:
        why_not = f"no native backend for {_named_flavors(mlmodel)}"
    else:
        why_not = _unfit(mlmodel, options, folder, flavor) or ""
        if not why_not:
            return Choice(backend=flavor, reason=f"native backend of the {flavor} flavor")
    return _pyfunc(mlmodel, options, why_not)


def runs_in_spark(mlmodel: MLModel) -> bool:
    """Whether a model is a Spark ML pipeline, which only Spark itself can run."""
    if (mlmodel.pyfunc or {}).get("loader_module") != "mlflow.spark" or SPARK not in mlmodel.flavors:
        return False
    # Those of `pyspark.ml.connect` are Python through and through.
    return not str(mlmodel.flavors[SPARK].get("model_class", "")).startswith("pyspark.ml.connect.")


def _spark(options: ScoreOptions) -> Choice:
    if options.backend not in ("auto", SPARK):
        raise ModelRefusedError(
            f"backend {options.backend!r} cannot serve a Spark ML pipeline: it would start a Spark of its own in every "
            "Python worker.",
            next_step="leave backend out: Spark runs the pipeline itself.",
        )
    if options.pyfunc_config or options.extra_env:
        raise ModelRefusedError(
            "A Spark ML pipeline takes no model_config and no extra_env: Spark runs it itself, in its own processes.",
            next_step="leave them out.",
        )
    return Choice(backend=SPARK, reason="asked for" if options.backend == SPARK else "Spark ML is Spark's own")


def _callable(options: ScoreOptions) -> Choice:
    lacks = {"backend": options.backend != "auto", "model_config": options.pyfunc_config}
    lacks |= {"predict_method": options.predict_method, "compile": options.compile}
    if given := [name for name, value in lacks.items() if value]:
        raise ModelRefusedError(
            f"{' and '.join(given)}: these are options of MLflow's models, and this is a plain Python model.",
            next_step="leave them out; a class takes `arguments`, a function keyword-only parameters by `params`.",
        )
    return Choice(backend=CALLABLE, reason="a plain Python function or class")


def _asked_for(mlmodel: MLModel, options: ScoreOptions, folder: Path) -> Choice:
    flavor = options.backend
    why_not = f"it has no {flavor} flavor"
    if flavor in mlmodel.flavors and flavor != SPARK:
        why_not = _unfit(mlmodel, options, folder, flavor) or ""
    if why_not:
        raise ModelRefusedError(
            f"backend {flavor!r} cannot serve this model: {why_not}.", next_step="use backend='auto' or 'pyfunc'."
        )
    return Choice(backend=flavor, reason="asked for")


def _flavor_of_pyfunc(mlmodel: MLModel) -> str | None:
    """The flavor whose answers are the model's own: that of its pyfunc, where it has one."""
    loader = str((mlmodel.pyfunc or {}).get("loader_module", ""))
    candidates = [loader.removeprefix("mlflow.")] if mlmodel.pyfunc is not None else sorted(mlmodel.flavors)
    return next((name for name in candidates if name in native.flavors() and name in mlmodel.flavors), None)


def _unfit(mlmodel: MLModel, options: ScoreOptions, folder: Path, flavor: str) -> str | None:
    foreign = set(options.params) - {param.name for param in native.params_of(flavor)}
    if foreign and not native.takes_params(flavor):
        return "inference parameters go through pyfunc"
    if options.pyfunc_config and not native.takes_params(flavor):
        return "a model_config goes through pyfunc"
    return native.backend(flavor).unfit(mlmodel, options, folder)


def _pyfunc(mlmodel: MLModel, options: ScoreOptions, reason: str) -> Choice:
    if mlmodel.pyfunc is None:
        raise ModelRefusedError(
            f"No backend can serve this model: its flavors are {sorted(mlmodel.flavors)}, without python_function.",
            details=[reason],
            next_step="log it again with an MLflow flavor that has a pyfunc.",
        )
    if options.predict_method not in (None, (mlmodel.predict_fn,)):
        raise ModelRefusedError(
            f"predict_method={list(options.predict_method or ())} needs a native backend; pyfunc has "
            f"{mlmodel.predict_fn!r} alone ({reason}).",
            next_step="leave predict_method out; the native backends sklearn, xgboost and lightgbm know methods.",
        )
    return Choice(backend="pyfunc", reason=reason)


def _named_flavors(mlmodel: MLModel) -> str:
    own = sorted(set(mlmodel.flavors) - {"python_function"})
    return f"flavor {', '.join(own)}" if own else "a custom pyfunc"
