"""An interpreter that is this one, without some of its modules."""

from __future__ import annotations

import sys
from pathlib import Path

HIDE = """
import sys
from importlib.machinery import PathFinder

class Without(PathFinder):
    @classmethod
    def find_spec(cls, fullname, path=None, target=None):
        return None if fullname.partition(".")[0] in {modules} else super().find_spec(fullname, path, target)

# An editable install brings a finder of its own.
others = (each for each in sys.meta_path if each is not PathFinder and "editable" not in each.__module__)
sys.meta_path[:] = [Without, *others]
"""


def python_without(folder: Path, *modules: str) -> str:
    """Write the interpreter into a folder and return its path."""
    (folder / "hide").mkdir()
    (folder / "hide" / "sitecustomize.py").write_text(HIDE.format(modules=modules))
    python = folder / "python"
    python.write_text(f'#!/bin/sh\nexport PYTHONPATH="{folder}/hide:$PYTHONPATH"\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)
    return str(python)
