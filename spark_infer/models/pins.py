"""The libraries that a model was logged with, against those that are installed here.

What was logged is its `requirements.txt`; the versions that MLflow wrote beside each flavor fill in what that leaves
out. The rules are those of MLflow's ``warn_dependency_requirement_mismatches`` (mlflow/utils/requirements_utils.py) and
of pip (https://pip.pypa.io/en/stable/reference/requirements-file-format/).
"""

from __future__ import annotations

import logging
import platform
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from packaging.markers import UndefinedComparison, UndefinedEnvironmentName
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from spark_infer.errors import ConfigError, nearest
from spark_infer.models.installed import installed_version
from spark_infer.models.ref import ModelRef
from spark_infer.models.requirements import Requirement as Framework
from spark_infer.models.requirements import requirements
from spark_infer.runtime.process_state import this_process

logger = logging.getLogger(__name__)

REQUIREMENTS = "requirements.txt"

_ENVIRONMENTS = ("virtualenv", "conda", "uv")
"""The environment managers of MLflow that make an environment (mlflow/utils/env_manager.py)."""

_MOST_NAMED = 5
_MOST_BYTES = 2**20
_MOST_FILES = 20

# Databricks writes these into the requirements of models that do not need them to predict; MLflow passes over them too.
_NOT_NEEDED = frozenset({"databricks-agents", "databricks-feature-lookup"})


def differences(ref: ModelRef, backend: str, folder: Path) -> tuple[str, ...]:
    """Say, in a sentence for plan and log, where this Python differs from what the model was logged with.

    Args:
        ref: The model.
        backend: What serves it.
        folder: The model's files.

    Returns:
        One sentence, or none where nothing differs. It names no address of a package, which may hold a password.
    """
    unmet = [*_other_python(ref), *_unmet(requirements(ref.mlmodel, backend), folder)]
    if not unmet:
        return ()
    return (
        "this Python differs from the one that the model was logged with, and predictions may differ too: "
        f"{_some(unmet)}. To install what the model names, where Spark's workers run: "
        f"{install_line(folder)}",
    )


def _some(unmet: Sequence[str]) -> str:
    more = f" and {len(unmet) - _MOST_NAMED} more" if len(unmet) > _MOST_NAMED else ""
    return f"{', '.join(unmet[:_MOST_NAMED])}{more}"


def warn_once(ref: ModelRef, backend: str, folder: Path) -> None:
    """Log the differences, once for a model and process."""
    warned = this_process().models_warned_of
    if ref.digest in warned:
        return
    warned.add(ref.digest)
    for difference in differences(ref, backend, folder):
        logger.warning("%s: %s", ref, difference)


def refuse_environments(env_manager: str | None, prebuilt_env_uri: str | None) -> None:
    """Refuse what asks for a Python environment of the model's own; ``local`` and None do not.

    Args:
        env_manager: As ``mlflow.pyfunc.spark_udf`` takes it.
        prebuilt_env_uri: The same.

    Raises:
        ConfigError: No such environment is made here. Where MLflow is installed, it is MLflow's exception too.
    """
    if env_manager not in (None, "local", *_ENVIRONMENTS):
        raise ConfigError(
            f"There is no env_manager {env_manager!r}{nearest(str(env_manager), ('local', *_ENVIRONMENTS))}.",
            next_step="leave it out, or pass 'local'.",
        )
    if env_manager in (None, "local") and prebuilt_env_uri is None:
        return
    asked = f"Environment manager {env_manager!r}" if prebuilt_env_uri is None else "prebuilt_env_uri"
    raise _refused()(
        f"{asked} is not supported: models run in the Python of Spark's workers, and no other environment is made.",
        next_step="leave it out, and install what the model names where Spark's workers run: pip install -r FILE; "
        "mlflow.pyfunc.get_model_dependencies(model_uri) returns it. The log names the libraries that differ.",
    )


def _refused() -> type[ConfigError]:
    try:
        from spark_infer.models.mlflow_error import RefusedEnvironmentError
    except ImportError:
        return ConfigError
    return RefusedEnvironmentError


def install_line(folder: Path) -> str:
    """Return the command that installs a model's pins."""
    return f"pip install -r {folder / REQUIREMENTS}"


def pinned(folder: Path) -> dict[str, str]:
    """Return the libraries that a model's requirements name, and what versions: ``2.1.0``, ``>=1.4``."""
    return {
        canonicalize_name(pin.name): str(pin.specifier).removeprefix("==")
        for pin, _ in _pins(folder)
        if _is_wanted(pin)
    }


def missing_pins(folder: Path) -> list[Requirement]:
    """Return what a model's requirements name and is not installed here."""
    return [
        pin
        for pin, only_constrains in _pins(folder)
        if not only_constrains and _is_wanted(pin) and installed_version(pin.name) is None
    ]


def _other_python(ref: ModelRef) -> Iterator[str]:
    logged = str((ref.mlmodel.pyfunc or {}).get("python_version", ""))
    here = platform.python_version()
    if logged and logged.split(".")[:2] != here.split(".")[:2]:
        yield f"Python {logged} (here {here})"


def _unmet(frameworks: Sequence[Framework], folder: Path) -> list[str]:
    pins = list(_pins(folder))
    named = {canonicalize_name(each.name) for each, _ in pins}
    saved_by = [each for each in frameworks if canonicalize_name(each.distribution) not in named]
    pins += [(pin, True) for each in saved_by if (pin := _pin_of(each)) is not None]
    found = (_unmet_pin(pin, only_constrains=only_constrains) for pin, only_constrains in pins)
    return list(dict.fromkeys(filter(None, found)))


def _pin_of(framework: Framework) -> Requirement | None:
    try:
        # `2.1.0+cpu` is a build of 2.1.0: its format and its answers are the same.
        return Requirement(f"{framework.distribution}=={Version(framework.version or '').public}")
    except (InvalidVersion, InvalidRequirement):
        return None


def _unmet_pin(pin: Requirement, *, only_constrains: bool) -> str | None:
    name = canonicalize_name(pin.name)
    if not _is_wanted(pin):
        return None
    here = installed_version(name)
    if here is None:
        return None if only_constrains else f"{_shown(pin)} (not installed)"
    if name == "mlflow" and here.is_devrelease:
        return None
    return None if pin.specifier.contains(here, prereleases=True) else f"{_shown(pin)} (here {here})"


def _is_wanted(pin: Requirement) -> bool:
    try:
        return canonicalize_name(pin.name) not in _NOT_NEEDED and (pin.marker is None or pin.marker.evaluate())
    except (UndefinedComparison, UndefinedEnvironmentName):  # pip cannot install such a line
        return False


def _shown(pin: Requirement) -> str:
    return f"{pin.name}{pin.specifier}"


def _pins(folder: Path) -> Iterator[tuple[Requirement, bool]]:
    """Yield what the requirements file of a model names, and whether that is only a constraint.

    What is no name with versions (a path, the address of a file, an option) says nothing that could be compared.
    """
    for line, constrains in _lines(folder / REQUIREMENTS, folder.resolve()):
        try:
            yield Requirement(line), constrains
        except InvalidRequirement:
            continue


def _lines(path: Path, root: Path) -> Iterator[tuple[str, bool]]:
    """Yield the lines of a requirements file and of those that it includes from the model's folder."""
    waiting, seen = [(path, False)], set[Path]()
    while waiting and len(seen) < _MOST_FILES:
        file, constrains = waiting.pop(0)
        if file in seen or not _is_inside(file, root):
            continue
        seen.add(file)
        for line in _read(file):
            included = re.match(r"(-r|-c|--requirement|--constraint)[\s=]*(.+)", line)
            if included is None:
                yield re.split(r"\s--", line, maxsplit=1)[0], constrains
            else:
                waiting.append((file.parent / included[2].strip(), constrains or "c" in included[1].strip("-")[:1]))


def _is_inside(file: Path, root: Path) -> bool:
    try:
        return file.resolve().is_relative_to(root)
    except (OSError, ValueError, RuntimeError):  # too long, with a NUL, a loop of links
        return False


def _read(file: Path) -> Iterator[str]:
    try:
        if file.stat().st_size > _MOST_BYTES:
            return
        text = file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError):
        return
    for line in re.sub(r"\\\r?\n", " ", text).splitlines():
        if plain := re.sub(r"(^|\s)#.*", "", line).strip():
            yield plain
