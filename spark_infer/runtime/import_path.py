"""From where this process and those that it starts import: their path, and the modules of models.

``python -m module`` puts the current folder first on the path. A file ``pyarrow.py`` that somebody left in a folder of
data would then run in each worker, so workers import from where this process does, and from nowhere else.
Source: https://docs.python.org/3/using/cmdline.html#cmdoption-P
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Collection, Iterable, Set
from types import ModuleType

SAFE_PATH = "PYTHONSAFEPATH"
"""The variable by which Python leaves the current folder alone; Python 3.11 and later read it."""
_RUN_MODULE = (
    "import sys; sys.path[:] = filter(None, sys.path); "
    "import runpy; runpy.run_module(sys.argv.pop(1), run_name='__main__', alter_sys=True)"
)
"""What ``python -P -m`` does; Python 3.10 has no option ``-P``."""


def module_command(module: str) -> list[str]:
    """Return the command that runs a module in a Python like this one, which `inherited_path` goes with."""
    # An empty entry is the current folder: this is a notebook or an interactive Python, whose user imports from there.
    run = ["-m"] if "" in sys.path else ["-c", _RUN_MODULE]
    return [sys.executable, *run, module]


def inherited_path(without: Collection[str]) -> str:
    """Return the `PYTHONPATH` of a process that imports from where this one does.

    Args:
        without: Folders that are left out: those of its model, whose modules would come before Python's own and all
            libraries while the process starts; it enters its model by itself.
    """
    return os.pathsep.join(path for path in sys.path if path and path not in without)


def imports_from_current_folder() -> bool:
    """Whether this process imports from the current folder: a script there, a notebook, or `PYTHONPATH=.`."""
    current = os.path.realpath(os.curdir)
    return any(os.path.realpath(path) == current for path in sys.path)


class ModelModules:
    """The Python modules that models bring along, kept apart: two models may bring modules of the same name.

    Attributes:
        folders: Where on the path of this process the modules of the model lie that was entered last.
    """

    def __init__(self) -> None:
        self.folders: frozenset[str] = frozenset()
        self._parked: dict[str, dict[str, ModuleType]] = {}

    def enter(self, folders: Set[str]) -> None:
        """Make the modules in some folders importable, and put those of every other model aside.

        MLflow only adds a model's folder to ``sys.path``; a module that an earlier model brought under the same name
        would then be used for this one. A model that is entered again finds its modules as it left them, also those
        that it imports while it predicts. Costs nothing where the model before was the same.
        """
        if folders == self.folders:
            return
        for other in self.folders - folders:
            sys.path[:] = [path for path in sys.path if path != other]
            names = [name for name, module in list(sys.modules.items()) if _lies_in(module, other)]
            self._parked[other] = {name: sys.modules.pop(name) for name in names}
        for path in folders - self.folders:
            if path not in sys.path:
                sys.path.insert(0, path)
            sys.modules.update(self._parked.pop(path, {}))
        self.folders = frozenset(folders)
        importlib.invalidate_caches()


def _lies_in(module: ModuleType | None, folder: str) -> bool:
    # Objects of some libraries answer every attribute, or import what is asked for: only what is there counts.
    attributes = getattr(module, "__dict__", {})
    file, search = attributes.get("__file__"), attributes.get("__path__")
    places = [file, *search] if isinstance(search, Iterable) else [file]
    return any(isinstance(place, str) and (place.startswith(folder + "/") or place == folder) for place in places)
