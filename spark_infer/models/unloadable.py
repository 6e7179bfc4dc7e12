"""A model that does not load on the driver, where nothing has run yet: why, and what to install."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from packaging.utils import canonicalize_name

from spark_infer.errors import EnvironmentProblem, ModelLoadError, ModelRefusedError, PlanError
from spark_infer.models.pins import differences, missing_pins
from spark_infer.models.ref import ModelRef
from spark_infer.models.requirements import distribution_of


def refused_load(error: ModelLoadError, ref: ModelRef, backend: str, folder: Path) -> PlanError:
    """Return the error of a model that this process could not load.

    Args:
        error: What loading it raised.
        ref: The model.
        backend: What should have served it.
        folder: Its files.

    Returns:
        An `EnvironmentProblem` where a module is missing, whichever it is; else a `ModelRefusedError`.
    """
    module = next(_missing_modules(error), None)
    if module is None:
        unlike = differences(ref, backend, folder)
        return ModelRefusedError(error.what, details=[*error.details, *unlike], next_step=error.next_step)
    pins = missing_pins(folder)
    names = {canonicalize_name(pin.name) for pin in pins}
    wanted = " ".join(f"'{pin.name}{pin.specifier}'" for pin in pins)
    by_pip = canonicalize_name(distribution_of(module)) in names
    return EnvironmentProblem(
        "The model cannot be loaded by this Python.",
        details=[
            f"{module} is not installed",
            *([f"of its requirements.txt is not installed: {wanted}"] if pins and not by_pip else []),
        ],
        next_step=f"there: pip install {wanted}"
        if by_pip
        else f"install the package that holds {module}; or, where it is a module of your own, log the model again with "
        f"code_paths=['{module}.py' or its folder].",
    )


def _missing_modules(error: BaseException) -> Iterator[str]:
    """Yield the modules that were not found, the first part of their names, the cause of all first."""
    chain = [error]
    while (cause := chain[-1].__cause__) is not None and cause not in chain:
        chain.append(cause)
    for each in reversed(chain):
        if isinstance(each, ModuleNotFoundError) and each.name:
            yield each.name.partition(".")[0]
