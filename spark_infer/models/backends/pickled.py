"""What loading a model would import, read from a pickle's instructions or skops's schema without following them."""

from __future__ import annotations

import _compat_pickle
import importlib.util
import json
import os
import pickletools
import zipfile
from collections.abc import Iterable, Sequence
from importlib.machinery import PathFinder
from pathlib import Path

from spark_infer.errors import ModelLoadError, ModelRefusedError

_STRINGS = frozenset({"STRING", "BINSTRING", "SHORT_BINSTRING", "UNICODE", "SHORT_BINUNICODE", "BINUNICODE"})
_MEMO = frozenset({"PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE"})


def may_unpickle() -> bool:
    """Whether MLflow's own switch lets models run code from their files while they load."""
    return os.environ.get("MLFLOW_ALLOW_PICKLE_DESERIALIZATION", "true").lower() not in ("false", "0")


def require_unpickling(*, otherwise: str = "") -> None:
    """Refuse to load a model that runs code from its files, where MLflow's switch forbids that.

    Args:
        otherwise: What else the user can do.

    Raises:
        ModelLoadError: It is forbidden.
    """
    if not may_unpickle():
        raise ModelLoadError(
            "Loading this model runs code from its files, and MLFLOW_ALLOW_PICKLE_DESERIALIZATION forbids that.",
            next_step=f"allow it for models you trust{otherwise}.",
        )


def imported_by(pickled: bytes) -> list[tuple[str, str]]:
    """Return the module and the name of everything that a pickle takes from modules, each once.

    Names that the pickle puts together only while it runs are not among them.
    """
    found: dict[tuple[str, str], None] = {}
    texts: list[str] = []
    for opcode, argument, _ in pickletools.genops(pickled):
        if opcode.name in _STRINGS:
            texts.append(str(argument))
        elif opcode.name == "GLOBAL":
            module, _, name = str(argument).partition(" ")
            # Old protocols name things as Python 2 did.
            renamed = _compat_pickle.IMPORT_MAPPING.get(module, module), name
            found[_compat_pickle.NAME_MAPPING.get((module, name), renamed)] = None
        elif opcode.name == "STACK_GLOBAL" and len(texts) > 1:
            found[(texts[-2], texts[-1])] = None
        elif opcode.name not in _MEMO:
            texts.clear()
    return list(found)


def named_types(path: Path) -> set[str]:
    """Return the types that a file of skops names."""
    try:
        with zipfile.ZipFile(path) as parts:
            schema = json.loads(parts.read("schema.json"))
    except (KeyError, ValueError, zipfile.BadZipFile):
        return set()  # skops itself says what is wrong
    names: set[str] = set()
    left = [schema]
    while left:
        part = left.pop()
        if isinstance(part, dict):
            if isinstance(part.get("__module__"), str) and isinstance(part.get("__class__"), str):
                names.add(f"{part['__module__']}.{part['__class__']}")
            left.extend(part.values())
        elif isinstance(part, list):
            left.extend(part)
    return names


def check_importable(needed: Iterable[tuple[str, str]], code: Sequence[Path]) -> None:
    """Check that the modules a pickle takes its classes from are there, importing none of them.

    Args:
        needed: Module and name of each class or function.
        code: Folders of the modules that the model brings along.

    Raises:
        ModelRefusedError: A module is missing, or a class was pickled by name out of a notebook or script.
    """
    for module, name in needed:
        if module == "__main__":
            raise ModelRefusedError(
                f"The model needs its class {name!r}, which was defined in a notebook or script (__main__) and pickled "
                "by name.",
                next_step="put the class into a module and log the model again with code_paths=['that_module.py'].",
            )
        package = module.partition(".")[0]
        if not is_there(package, code):
            raise ModelRefusedError(
                f"The model needs {name!r} from module {module!r}, and there is no module {package!r} here.",
                details=["a pickled model holds the name of its class, not its code"],
                next_step=f"log the model again with code_paths=['{package}.py' or its folder], or install the package "
                "that holds it here and on the workers.",
            )


def is_there(package: str, code: Iterable[Path]) -> bool:
    """Whether a top-level module can be imported, or is one that a model brings along; imports nothing."""
    # Only the first part of a name: to look further would import the package.
    if PathFinder.find_spec(package, [str(folder) for folder in code]) is not None:
        return True
    try:
        return importlib.util.find_spec(package) is not None
    except ValueError:
        return True
