"""The configuration that a pyfunc model loads with: MLflow's ``model_config``.

The rules are those of ``mlflow.pyfunc.load_model``: a value replaces one that the model was logged with, and
other keys are left out (``_get_overridden_pyfunc_model_config`` in mlflow/utils/model_utils.py).
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from spark_infer.errors import ConfigError
from spark_infer.models.mlmodel import MLModel


def read_configuration(given: Mapping[str, Any] | str | os.PathLike[str] | None) -> Mapping[str, Any] | None:
    """Return a configuration as a mapping; a path is that of a YAML file, which is read here and nowhere else.

    Raises:
        ConfigError: The file cannot be read, or holds no mapping.
    """
    if given is None or isinstance(given, Mapping):
        return given
    if not isinstance(given, str | os.PathLike):
        raise ConfigError(
            f"model_config is {type(given).__name__}, and should be a mapping or the path of a YAML file.",
            next_step="pass model_config={'key': value}.",
        )
    path = Path(given)
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        not_text = "it is not UTF-8" if isinstance(error, UnicodeDecodeError) else "no file can have this name"
        raise ConfigError(
            f"The model_config file {str(path)!r} cannot be read: {getattr(error, 'strerror', None) or not_text}.",
            next_step=f"the path is relative to {Path.cwd()}." if not path.is_absolute() else "",
        ) from error
    found = _parsed(text, path)
    if found is not None and not isinstance(found, Mapping):
        raise ConfigError(f"The model_config file {path} holds no mapping of keys to values.")
    return found or {}


def _parsed(text: str, path: Path) -> Any:
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        raise ConfigError(
            f"The model_config file {path} is not YAML" + ("." if mark is None else f" (line {mark.line + 1}).")
        ) from None
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError, RecursionError):
        # What PyYAML raises for a value that is not of its form: `2024-99-99`, `!!int abc`, `!!bool abc`.
        raise ConfigError(
            f"The model_config file {path} holds a value that is not of its type, such as a date that does not exist.",
            next_step="correct its dates and the values with a tag (!!int), or write them as text, in quotes.",
        ) from None


def applied(mlmodel: MLModel, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return what of a configuration the model takes."""
    known = _logged(mlmodel)
    return {key: value for key, value in given.items() if key in known}


def ignored(mlmodel: MLModel, given: Mapping[str, Any]) -> tuple[str, ...]:
    """Say, in a sentence for plan and log, which keys of a configuration the model does not take; no values."""
    known = _logged(mlmodel)
    others = [key for key in given if key not in known]
    if not others:
        return ()
    takes = f"it takes {', '.join(known)}" if known else "it was logged without one"
    return (f"model_config: the model does not take {', '.join(others)}, which changes nothing ({takes})",)


def _logged(mlmodel: MLModel) -> Mapping[str, Any]:
    logged = (mlmodel.pyfunc or {}).get("config")
    return logged if isinstance(logged, Mapping) else {}
