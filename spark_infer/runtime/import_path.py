"""From where the processes that this one starts may import.

``python -m module`` puts the current folder first on the path. A file ``pyarrow.py`` that somebody left in a folder of
data would then run in each worker, so workers import from where this process does, and from nowhere else.
Source: https://docs.python.org/3/using/cmdline.html#cmdoption-P
"""

from __future__ import annotations

import os
import sys

SAFE_PATH = "PYTHONSAFEPATH"
"""The variable by which Python leaves the current folder alone; Python 3.11 and later read it."""

MODEL_FOLDERS: set[str] = set()
"""Where on the path of this process the modules lie that its model brings along (`models.code`)."""


def module_command(module: str) -> list[str]:
    """Return the command that runs a module in a Python like this one, which `inherited_path` goes with."""
    # An empty entry is the current folder: this is a notebook or an interactive Python, whose user imports from there.
    safe = [] if "" in sys.path else ["-P"]
    return [sys.executable, *safe, "-m", module]


def inherited_path() -> str:
    """Return the `PYTHONPATH` of a process that imports from where this one does, save for the modules of its model.

    These would come before Python's own and all libraries while the process starts; it enters its model by itself.
    """
    return os.pathsep.join(path for path in sys.path if path and path not in MODEL_FOLDERS)


def imports_from_current_folder() -> bool:
    """Whether this process imports from the current folder: a script there, a notebook, or `PYTHONPATH=.`."""
    current = os.path.realpath(os.curdir)
    return any(os.path.realpath(path) == current for path in sys.path)
