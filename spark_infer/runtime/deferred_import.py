"""Modules that a library imports and hardly ever uses: imported when they are used first."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from types import ModuleType
from typing import Any


@contextmanager
def deferred(*names: str) -> Iterator[None]:
    """Give what the block imports functions that import these modules when one of them is called first.

    Only ``from NAME import function`` is served so; who imports a module after the block gets the module itself. One
    that is imported already is used as it is.

    Args:
        names: Modules of which functions alone are imported.
    """
    stand_ins = {name: _stand_in(name) for name in names if name not in sys.modules}
    sys.modules.update(stand_ins)
    try:
        yield
    finally:
        for name, stand_in in stand_ins.items():
            if sys.modules.get(name) is stand_in:
                del sys.modules[name]


def _stand_in(name: str) -> ModuleType:
    module = ModuleType(name)
    module.__getattr__ = partial(_function, name)  # type: ignore[method-assign]  # as PEP 562 has it
    return module


def _function(module: str, name: str) -> Callable[..., Any]:
    if name.startswith("__"):
        raise AttributeError(name)
    return partial(_call, module, name)


def _call(module: str, name: str, *args: Any, **how: Any) -> Any:
    return getattr(importlib.import_module(module), name)(*args, **how)
