"""The Python modules that models bring along, kept apart: two models may bring modules of the same name."""

from __future__ import annotations

import importlib
import pkgutil
import sys
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType

from spark_infer.errors import ModelRefusedError
from spark_infer.models.mlmodel import MLModel
from spark_infer.runtime.import_path import MODEL_FOLDERS

_SCORING = frozenset(
    {
        *("spark_infer", "cloudpickle", "joblib", "mlflow", "numpy", "packaging", "pandas", "pyarrow", "pydantic"),
        *("pydantic_core", "rich", "scipy", "sqlglot", "threadpoolctl", "typer", "yaml"),
        *("delta", "deltalake", "py4j", "pyroaring", "pyspark"),
        *("lightgbm", "onnx", "onnxruntime", "skl2onnx", "sklearn", "skops", "torch", "xgboost"),
        *("sitecustomize", "usercustomize"),  # Python imports them whenever it starts
    }
)
"""What scores, reads and writes: a model's own version would serve other models and the engine too, or in part."""

_parked: dict[str, dict[str, ModuleType]] = {}


def enter_code(folder: Path, mlmodel: MLModel) -> None:
    """Make a model's own modules importable, and put those of every other model aside.

    MLflow only adds the folder to ``sys.path``; a module that an earlier model brought under the same name would then
    be used for this one. A model that is entered again finds its modules as it left them, also those that it imports
    while it predicts. Costs nothing where the model before was the same.
    """
    own = set(map(str, code_folders(mlmodel, folder)))
    if own == MODEL_FOLDERS:
        return
    for other in MODEL_FOLDERS - own:
        sys.path[:] = [path for path in sys.path if path != other]
        names = [name for name, module in sys.modules.items() if _lies_in(module, other)]
        _parked[other] = {name: sys.modules.pop(name) for name in names}
    for path in own - MODEL_FOLDERS:
        if path not in sys.path:
            sys.path.insert(0, path)
        sys.modules.update(_parked.pop(path, {}))
    MODEL_FOLDERS.clear()
    MODEL_FOLDERS.update(own)
    importlib.invalidate_caches()


def code_folders(mlmodel: MLModel, folder: Path) -> set[Path]:
    """Return the folders of the modules that a model brings along."""
    named = (flavor.get("code") for flavor in mlmodel.flavors.values() if hasattr(flavor, "get"))
    return {folder / code for code in named if isinstance(code, str) and code}


def refuse_shadowing(mlmodel: MLModel, folder: Path) -> None:
    """Refuse a model whose modules would replace Python's own, or of a library that scores.

    A model's folder comes first on the path. Packages of the user, and forks of other libraries, are welcome there
    whether they are installed or not. A folder without an ``__init__`` takes no installed package's place.

    Args:
        mlmodel: The parsed ``MLmodel``.
        folder: The model's verified files; nothing of them is imported.

    Raises:
        ModelRefusedError: It brings such modules; names all of them.
    """
    places = [str(place) for place in code_folders(mlmodel, folder)]
    brought = {module.name for module in pkgutil.iter_modules(places)}
    hidden = sorted(brought & (_SCORING | sys.stdlib_module_names))
    if hidden:
        named = ", ".join(hidden)
        raise ModelRefusedError(
            f"The model's code_paths would replace modules of Python or of libraries that score: {named}.",
            next_step="log the model again with other names for its modules, or without them; a changed version of a "
            "library is installed in the Python of the driver and of the workers.",
        )


def _lies_in(module: ModuleType | None, folder: str) -> bool:
    # Some libraries register objects that answer every attribute; only a real path counts.
    file, search = getattr(module, "__file__", None), getattr(module, "__path__", None)
    places = [file, *search] if isinstance(search, Iterable) else [file]
    return any(isinstance(place, str) and (place.startswith(folder + "/") or place == folder) for place in places)
