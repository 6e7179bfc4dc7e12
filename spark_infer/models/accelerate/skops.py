"""Read what skops saved, without importing all of scikit-learn for it.

When skops is imported it lists every estimator of scikit-learn, as types that it trusts by default, and imports every
module for that, PyTorch too where that is installed: two seconds and 290 MB of memory in each Python worker. Here the
list is empty, and those of its types that a file names are found by the same rule and trusted one by one.

The rule is that of ``all_estimators``:
https://scikit-learn.org/stable/modules/generated/sklearn.utils.discovery.all_estimators.html
"""

from __future__ import annotations

import importlib
import inspect
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from spark_infer.models.accelerate.accelerated import unchecked
from spark_infer.models.backends.pickled import named_types

CHECKED = ">=0.16,<0.17"
CHECKED_SKLEARN = ">=1.9,<1.10"

_LOCK = threading.Lock()
_NOT_LISTED = frozenset(("tests", "externals", "setup", "conftest", "experimental", "estimator_checks"))
"""Parts of a module's name whose classes scikit-learn does not list."""


def load_skops(path: Path, trusted: Sequence[str] | None, *, accelerate: bool) -> Any:
    """Load an object that skops saved.

    Args:
        path: The file.
        trusted: Types that skops may make besides those it trusts by default.
        accelerate: Whether skops may be imported without its list.

    Raises:
        skops.io.exceptions.UntrustedTypesFoundException: The file names another type.
    """
    if accelerate and unchecked("skops", CHECKED) is None and unchecked("scikit-learn", CHECKED_SKLEARN) is None:
        listed = [name for name in sorted(named_types(path)) if is_listed(name)]
        try:
            with _LOCK, _without_the_list():
                import skops.io

                return skops.io.load(path, trusted=[*(trusted or ()), *listed])
        except Exception as error:  # skops's own class is gone with its modules
            if type(error).__name__ != "UntrustedTypesFoundException":
                raise
    import skops.io  # with its whole list, which decides

    return skops.io.load(path, trusted=trusted)


@contextmanager
def _without_the_list() -> Iterator[None]:
    """Have skops import with an empty list; who imports it later gets one with the whole list."""
    import sklearn.utils

    if "skops.io" in sys.modules:  # with its list already
        yield
        return
    whole = sklearn.utils.all_estimators
    sklearn.utils.all_estimators = lambda type_filter=None: []
    try:
        yield
    finally:
        sklearn.utils.all_estimators = whole
        for name in [name for name in sys.modules if name.partition(".")[0] == "skops"]:
            del sys.modules[name]


def is_listed(name: str) -> bool:
    """Whether scikit-learn lists a type, given by its full name, among its estimators.

    It does where a public module has it, one without a part that begins with ``_``. Looked at are the module of the
    type and the packages around it, which have all but a few.
    """
    from sklearn.base import BaseEstimator

    module, _, class_name = name.rpartition(".")
    parts = module.split(".")
    if parts[0] != "sklearn" or class_name.startswith("_") or not _NOT_LISTED.isdisjoint(parts):
        return False
    private = next((at for at, part in enumerate(parts) if part.startswith("_")), len(parts))
    try:
        homes = [importlib.import_module(".".join(parts[:depth])) for depth in range(1, private + 1)]
    except ImportError:
        return False
    found = next((getattr(home, class_name) for home in homes if hasattr(home, class_name)), None)
    return (
        inspect.isclass(found)
        and issubclass(found, BaseEstimator)
        and found is not BaseEstimator
        and not inspect.isabstract(found)
        and f"{found.__module__}.{found.__name__}" == name
    )
