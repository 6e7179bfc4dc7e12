"""Which version of a library is installed, whatever distribution brings it."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from importlib import metadata

from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

# Distributions that bring the modules of another one, which then counts as installed.
_OTHER_NAMES = {
    "mlflow": ("mlflow-skinny",),
    "onnxruntime": ("onnxruntime-gpu",),
    "opencv-python": ("opencv-python-headless", "opencv-contrib-python"),
    "psycopg2": ("psycopg2-binary",),
    "tensorflow": ("tensorflow-cpu", "intel-tensorflow"),
    "xgboost": ("xgboost-cpu",),
}


def installed_version(name: str) -> Version | None:
    """Return the version of a distribution, or of one that brings its modules; None where there is none here."""
    for each in (name, *_OTHER_NAMES.get(canonicalize_name(name), ())):
        try:
            return Version(metadata.version(each))
        except (metadata.PackageNotFoundError, InvalidVersion):
            continue
    return None


def versions_here(names: Sequence[str]) -> dict[str, str]:
    """Return the version of Python in this process, and those of some distributions, for people to read."""
    return {
        "python": platform.python_version(),
        **{name: str(installed_version(name) or "not installed") for name in names},
    }
