"""A model that does not load on the driver, where nothing has run yet: why, and what to install."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from packaging.utils import canonicalize_name

from spark_infer.core.exception_text import missing_module
from spark_infer.errors import EnvironmentProblem, ModelLoadError, ModelRefusedError, PlanError
from spark_infer.models.backends.pickled import imported_by, is_there, named_types
from spark_infer.models.code import code_folders
from spark_infer.models.mlmodel import MLModel
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
    module = missing_module(error)
    if module is None:
        unlike = differences(ref, backend, folder)
        return ModelRefusedError(error.what, details=[*error.details, *unlike], next_step=error.next_step)
    if ref.mlmodel.code is not None:
        return EnvironmentProblem(
            f"The Python model {ref.name} cannot be loaded by this Python.",
            details=[f"{module} is not installed"],
            next_step=f"install the package that holds {module} on the driver and the workers; a module of your own "
            "may lie in a folder of PYTHONPATH, or travel with spark-submit --py-files.",
        )
    return _not_installed([module], folder)


def refuse_missing_modules(mlmodel: MLModel, folder: Path) -> None:
    """Refuse a model whose pickle names modules that are not there, for what does not load it here.

    The pickle is read only where something that the model's requirements name is not installed.

    Args:
        mlmodel: The parsed ``MLmodel``.
        folder: The model's files.

    Raises:
        EnvironmentProblem: Modules are missing; all of them.
    """
    if not missing_pins(folder):
        return
    code = code_folders(mlmodel, folder)
    missing = sorted(module for module in _named_modules(mlmodel, folder) if not is_there(module, code))
    if missing:
        raise _not_installed(missing, folder)


def _named_modules(mlmodel: MLModel, folder: Path) -> set[str]:
    """The top-level modules that the pickled parts of a model are made of, as far as they can be read."""
    sklearn, pyfunc = mlmodel.flavors.get("sklearn", {}), mlmodel.pyfunc or {}
    named: set[str] = set()
    for settings, key in ((sklearn, "pickled_model"), (pyfunc, "python_model")):
        path = folder / str(settings.get(key, ""))
        if not settings.get(key) or not path.is_file():
            continue
        if settings.get("serialization_format") == "skops":
            named |= {name.partition(".")[0] for name in named_types(path)}
            continue
        try:
            named |= {module.partition(".")[0] for module, _ in imported_by(path.read_bytes())}
        except (OSError, ValueError):  # not a pickle, which is said where it is loaded
            continue
    return named - {"", "__main__"}


def _not_installed(modules: Sequence[str], folder: Path) -> EnvironmentProblem:
    pins = missing_pins(folder)
    names = {canonicalize_name(pin.name) for pin in pins}
    wanted = " ".join(f"'{pin.name}{pin.specifier}'" for pin in pins)
    by_pip = all(canonicalize_name(distribution_of(module)) in names for module in modules)
    module = modules[0]
    return EnvironmentProblem(
        "The model cannot be loaded by this Python.",
        details=[
            *(f"{each} is not installed" for each in modules),
            *([f"of its requirements.txt is not installed: {wanted}"] if pins and not by_pip else []),
        ],
        next_step=f"there: pip install {wanted}"
        if by_pip
        else f"install the package that holds {module}; or, where it is a module of your own, log the model again with "
        f"code_paths=['{module}.py' or its folder].",
    )
