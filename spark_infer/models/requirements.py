"""What a model needs installed: its frameworks, in versions that can read what was saved.

The versions are those that MLflow wrote beside each flavor in `MLmodel`; `pins.py` compares `requirements.txt`.
"""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata

from spark_infer.errors import EnvironmentProblem
from spark_infer.models.backends import native
from spark_infer.models.backends.spec import CALLABLE, COMPILED, COMPILED_TEXTS, COMPILED_TREES
from spark_infer.models.mlmodel import MLModel


@dataclass(frozen=True)
class Requirement:
    """One library that a model needs.

    Attributes:
        module: What is imported.
        distribution: What pip installs.
        version: The version that saved the model; None where nothing says.
    """

    module: str
    distribution: str
    version: str | None = None

    def __str__(self) -> str:
        # PyTorch adds what it was built for (2.15.0+cu132), which package indexes do not have as a version.
        return f"{self.distribution}=={self.version.partition('+')[0]}" if self.version else self.distribution


@dataclass(frozen=True)
class _Framework:
    module: str
    distribution: str
    key: str


_FRAMEWORKS: Mapping[str, _Framework] = {
    COMPILED: _Framework("onnxruntime", "onnxruntime", ""),
    COMPILED_TEXTS: _Framework("onnxruntime", "onnxruntime", ""),
    COMPILED_TREES: _Framework("lleaves", "lleaves", ""),
    "catboost": _Framework("catboost", "catboost", "catboost_version"),
    "lightgbm": _Framework("lightgbm", "lightgbm", "lgb_version"),
    "onnx": _Framework("onnxruntime", "onnxruntime", ""),
    "prophet": _Framework("prophet", "prophet", "prophet_version"),
    "pytorch": _Framework("torch", "torch", "pytorch_version"),
    "sentence_transformers": _Framework(
        "sentence_transformers", "sentence-transformers", "sentence_transformers_version"
    ),
    "sklearn": _Framework("sklearn", "scikit-learn", "sklearn_version"),
    "spacy": _Framework("spacy", "spacy", "spacy_version"),
    "spark": _Framework("pyspark", "pyspark", "pyspark_version"),
    "statsmodels": _Framework("statsmodels", "statsmodels", "statsmodels_version"),
    "transformers": _Framework("transformers", "transformers", "transformers_version"),
    "xgboost": _Framework("xgboost", "xgboost", "xgb_version"),
}

_BESIDE: Mapping[str, Requirement] = {
    COMPILED_TEXTS: Requirement("tokenizers", "tokenizers"),
    COMPILED_TREES: Requirement("llvmlite", "llvmlite"),
    "transformers": Requirement("torch", "torch"),
}
"""What a native backend needs beside its flavor's own library."""

_EXTRAS: Mapping[str, tuple[str, ...]] = {
    "catboost": ("catboost",),
    "compile": ("tokenizers", "onnxruntime"),
    "lightgbm": ("lightgbm", "scikit-learn", "skops", "cloudpickle"),
    "llvm": ("lleaves", "llvmlite"),
    "mlflow": ("mlflow", "pandas", "cloudpickle"),
    "onnx": ("onnxruntime",),
    "python": ("cloudpickle",),
    "sentence-transformers": ("sentence-transformers", "transformers", "torch"),
    "sklearn": ("scikit-learn", "skops", "cloudpickle", "pandas"),
    "torch": ("torch", "cloudpickle"),
    "transformers": ("transformers", "torch"),
    "xgboost": ("xgboost", "scikit-learn"),
}
"""Extra of this package to libraries that it brings: the one that it is for, and others that its models need."""
_PACKAGE = "spark-infer"

# These say themselves that they read files of earlier versions, and not of later ones:
# https://xgboost.readthedocs.io/en/stable/tutorials/saving_model.html and
# https://scikit-learn.org/stable/model_persistence.html
_READS_NO_LATER = ("xgboost", "scikit-learn")


def requirements(mlmodel: MLModel, backend: str) -> tuple[Requirement, ...]:
    """Return what the model needs where a backend loads it, its frameworks in the versions that saved it."""
    if backend == CALLABLE:
        is_pickled = mlmodel.code is not None and not mlmodel.code.target
        return (Requirement("cloudpickle", "cloudpickle"),) if is_pickled else ()
    flavors = [backend] if backend != "pyfunc" else sorted(set(mlmodel.flavors) & set(_FRAMEWORKS))
    found = [_framework(flavor, mlmodel.flavors.get(flavor, {})) for flavor in flavors if flavor in _FRAMEWORKS]
    if backend == "pyfunc":
        found += [Requirement("mlflow", "mlflow"), Requirement("pandas", "pandas")]
    elif backend in _BESIDE:
        found.append(_BESIDE[backend])
    for flavor in flavors:
        settings = mlmodel.flavors.get(flavor, {})
        if _is_estimator(flavor, settings):
            known = {each.module for each in found}
            extra = [Requirement("sklearn", "scikit-learn"), *_reader(flavor, settings)]
            found += [each for each in extra if each.module not in known]
    return tuple(found)


def worker_modules(mlmodel: MLModel, backend: str | None = None) -> list[str]:
    """Return what a worker imports for a model, which takes seconds.

    Args:
        mlmodel: The parsed ``MLmodel``.
        backend: What serves it; before that is decided, its flavor's native backend is expected.
    """
    served = [backend] if backend is not None else sorted(set(mlmodel.flavors) & set(native.flavors()))
    needed = [each.module for name in served for each in requirements(mlmodel, name)]
    places = {name: native.__name__ if name in native.flavors() else "spark_infer.models.backends" for name in served}
    return [*needed, *(f"{place}.{name}" for name, place in places.items())]


def _framework(flavor: str, settings: Mapping[str, object]) -> Requirement:
    framework = _FRAMEWORKS[flavor]
    version = settings.get(framework.key)
    return Requirement(framework.module, framework.distribution, None if version is None else str(version))


def _is_estimator(flavor: str, settings: Mapping[str, object]) -> bool:
    return flavor == "sklearn" or ".sklearn." in str(settings.get("model_class", ""))


def _reader(flavor: str, settings: Mapping[str, object]) -> list[Requirement]:
    """What reads the file that an estimator was saved into; XGBoost's own is JSON."""
    saved_as = str(settings.get("serialization_format", ""))
    return [Requirement(saved_as, saved_as)] if saved_as in ("skops", "cloudpickle") else []


def distribution_of(module: str) -> str:
    """Return what pip installs for a module; its own name where nothing else is known."""
    return next((each.distribution for each in _FRAMEWORKS.values() if each.module == module), module)


def refuse_unmet(needed: Sequence[Requirement], *, missing: bool = True) -> None:
    """Refuse a model that the libraries of this Python cannot load.

    Args:
        needed: What the model needs.
        missing: Whether a library that is not installed here is a problem too.

    Raises:
        EnvironmentProblem: A library is missing, or older than the one that wrote a file it cannot read; all of them.
    """
    refuse(
        needed,
        absent=[each for each in needed if missing and not _is_here(each.module)],
        installed=installed(needed),
        where="this Python",
    )


def refuse(
    needed: Sequence[Requirement], *, absent: Sequence[Requirement], installed: Mapping[str, str], where: str
) -> None:
    """Refuse what is absent or too old somewhere.

    Args:
        needed: What the model needs.
        absent: Those that cannot be imported there.
        installed: Distribution to version, as found there.
        where: How to name the place.

    Raises:
        EnvironmentProblem: With every problem, and the pip line that mends them.
    """
    old = [
        each
        for each in needed
        if each not in absent and each.distribution in _READS_NO_LATER and _is_newer(each, installed)
    ]
    if not absent and not old:
        return
    problems = [f"{each.distribution} is not installed" for each in absent]
    problems += [
        f"{each.distribution} is {installed[each.distribution]}, the model was saved by {each.version}: it reads no "
        "model of a later version"
        for each in old
    ]
    raise EnvironmentProblem(
        f"The model cannot be loaded by {where}.", details=problems, next_step=f"there: {_install(absent, old)}"
    )


def _install(absent: Sequence[Requirement], old: Sequence[Requirement]) -> str:
    """Return the pip command that brings extras of this package, and versions where a model names them."""
    extras: list[str] = []
    for each in absent:
        if not _is_brought(each, extras):
            extras += [extra for extra, libraries in _EXTRAS.items() if libraries[0] == each.distribution]
    wanted = [str(each) for each in [*absent, *old] if each.version or not _is_brought(each, extras)]
    if extras:
        own = next((each for each in wanted if each.startswith(f"{_PACKAGE}==")), _PACKAGE)
        with_extras = own.replace(_PACKAGE, f"{_PACKAGE}[{','.join(extras)}]", 1)
        wanted = [with_extras, *(each for each in wanted if each != own)]
    return "pip install " + " ".join(f"'{each}'" for each in wanted)


def _is_brought(library: Requirement, extras: Sequence[str]) -> bool:
    return any(library.distribution in _EXTRAS[extra] for extra in extras)


def installed(needed: Sequence[Requirement]) -> dict[str, str]:
    """Return the versions installed here; what is not, or tells none, is left out."""
    found = {}
    for each in needed:
        try:
            found[each.distribution] = metadata.version(each.distribution)
        except metadata.PackageNotFoundError:
            continue
    return found


def _is_here(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except (ImportError, ValueError):
        return False


def _is_newer(needed: Requirement, installed: Mapping[str, str]) -> bool:
    """Whether the model comes from a later major or minor version; patches keep their formats."""
    here = installed.get(needed.distribution)
    if needed.version is None or here is None:
        return False
    return _minor(needed.version) > _minor(here)


def _minor(version: str) -> tuple[int, ...]:
    found = re.match(r"(\d+)(?:\.(\d+))?", version)
    return tuple(int(number or 0) for number in found.groups()) if found else ()
