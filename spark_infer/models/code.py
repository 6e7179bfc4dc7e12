"""The Python modules that models bring along: where they lie, and which are refused."""

from __future__ import annotations

import pkgutil
import sys
from pathlib import Path

from spark_infer.errors import ModelRefusedError
from spark_infer.models.mlmodel import MLModel
from spark_infer.runtime.process_state import this_process

_SCORING = frozenset(
    {
        *("spark_infer", "cloudpickle", "joblib", "mlflow", "numpy", "packaging", "pandas", "pyarrow", "pydantic"),
        *("pydantic_core", "rich", "scipy", "sqlglot", "threadpoolctl", "typer", "yaml"),
        *("delta", "deltalake", "py4j", "pyroaring", "pyspark"),
        *("lightgbm", "onnx", "onnxruntime", "skl2onnx", "sklearn", "skops", "torch", "xgboost"),
        *("safetensors", "sentence_transformers", "tokenizers", "transformers"),
        *("sitecustomize", "usercustomize"),  # Python imports them whenever it starts
    }
)
"""What scores, reads and writes: a model's own version would serve other models and the engine too, or in part."""


def enter_code(folder: Path, mlmodel: MLModel) -> None:
    """Make a model's own modules importable, and put those of every other model aside (`ModelModules`)."""
    this_process().modules.enter(set(map(str, code_folders(mlmodel, folder))))


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
