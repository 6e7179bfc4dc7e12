"""The Python modules that models bring along, kept apart: two models may bring modules of the same name."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from types import ModuleType

from spark_infer.models.mlmodel import MLModel

_entered: set[str] = set()


def enter_code(folder: Path, mlmodel: MLModel) -> None:
    """Make a model's own modules importable, and forget those of every other model.

    MLflow only adds the folder to ``sys.path``; a module that an earlier model brought under the same name would then
    be used for this one. Models that are loaded already keep the modules they imported.
    """
    own = {str(folder / code) for code in _code_folders(mlmodel)}
    for other in _entered - own:
        sys.path[:] = [path for path in sys.path if path != other]
        for name in [name for name, module in sys.modules.items() if _lies_in(module, other)]:
            del sys.modules[name]
    for path in own:
        if path not in sys.path:
            sys.path.insert(0, path)
    _entered.update(own)
    importlib.invalidate_caches()


def _code_folders(mlmodel: MLModel) -> set[str]:
    named = (flavor.get("code") for flavor in mlmodel.flavors.values() if hasattr(flavor, "get"))
    return {code for code in named if isinstance(code, str) and code}


def _lies_in(module: ModuleType | None, folder: str) -> bool:
    places = [getattr(module, "__file__", None) or "", *map(str, getattr(module, "__path__", ()) or ())]
    return any(place.startswith(folder + "/") or place == folder for place in places)
