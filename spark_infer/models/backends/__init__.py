"""The ways to run a model: `choice` decides on the driver, `load` loads in the worker, the others run it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from spark_infer.core.exception_text import describe_exception, missing_module
from spark_infer.errors import ModelLoadError, SparkInferError
from spark_infer.models.accelerate.accelerated import accelerated
from spark_infer.models.backends import native
from spark_infer.models.backends.extra_env import WithVariables
from spark_infer.models.backends.spec import CALLABLE, COMPILED, COMPILED_TEXTS, COMPILED_TREES, LoadedModel, LoadSpec
from spark_infer.models.code import enter_code
from spark_infer.runtime.env_variables import variables_set


def load(spec: LoadSpec, folder: Path) -> LoadedModel:
    """Load a model from its folder.

    Raises:
        ModelLoadError: Its libraries are missing, or it does not load.
        SchemaMismatchError: It loads only with optional columns that the table lacks.
    """
    try:
        with variables_set(spec.extra_env):
            model = _load(spec, folder)
        return WithVariables(model, spec.extra_env) if spec.extra_env else model
    except SparkInferError as error:
        if spec.binding.absent and _loads_complete(spec, folder):
            raise spec.binding.cannot_do_without("The model") from error
        raise


def _loads_complete(spec: LoadSpec, folder: Path) -> bool:
    """Whether a model loads for a table that lacks none of its columns."""
    try:
        with variables_set(spec.extra_env):
            _load(replace(spec, binding=spec.binding.complete()), folder)
    except SparkInferError:
        return False
    return True


def _load(spec: LoadSpec, folder: Path) -> LoadedModel:
    if spec.artefact is None:
        enter_code(folder, spec.mlmodel)
    try:
        if spec.artefact is not None:
            from spark_infer.models.backends import compiled, compiled_texts, compiled_trees

            of_compiled: dict[str, Callable[[LoadSpec, Path], LoadedModel]] = {
                COMPILED: compiled.load,
                COMPILED_TEXTS: compiled_texts.load,
                COMPILED_TREES: compiled_trees.load,
            }
            return of_compiled[spec.backend](spec, folder)
        if spec.backend == CALLABLE:
            from spark_infer.models.backends import callable as plain_python

            return plain_python.load(spec, folder)
        if spec.backend != "pyfunc":
            return accelerated(native.backend(spec.backend).load(spec, folder), spec)
        from spark_infer.models.backends import pyfunc

        return pyfunc.load(spec, folder)
    except (SparkInferError, KeyboardInterrupt):
        raise
    except BaseException as error:  # the model's code may raise one of its own
        raise _refused(error, spec) from (error if spec.show_values else _without_message(error))


def _refused(error: BaseException, spec: LoadSpec) -> ModelLoadError:
    """Say why a model does not load; the message of its code may hold what `extra_env` holds."""
    module = missing_module(error)
    place, message = describe_exception(error, show_values=spec.show_values)
    next_step = (
        "install the model's requirements.txt in the Python of the workers."
        if spec.backend != CALLABLE
        else "make the class and call its `setup` in plain Python to see the cause; packages that they import must be "
        "installed on the driver and the workers."
    )
    return ModelLoadError(
        f"The model does not load with backend {spec.backend!r}: {type(error).__name__}.",
        details=[place, message if module is None or spec.show_values else f"No module named {module!r}"],
        next_step=next_step,
    )


def _without_message(error: BaseException) -> ModuleNotFoundError | None:
    """Return what a traceback may show of the cause: the module that is missing."""
    module = missing_module(error)
    return None if module is None else ModuleNotFoundError(f"No module named {module!r}", name=module)
