"""The errors for a model that is not there: they name what is.

Looking for what is there is a courtesy; where it fails, the error goes without.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, TypeVar

from spark_infer.config.secrets import without_secrets
from spark_infer.errors import ModelNotFoundError, nearest
from spark_infer.models.registry.uri import RunUri, VersionUri

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

logger = logging.getLogger(__name__)

Answer = TypeVar("Answer")

_MOST_NAMES = 1000
_MOST_VERSIONS = 10


def version_not_found(
    client: MlflowClient, wanted: VersionUri, registry: str, versions: Callable[[], Iterable[ModelVersion]]
) -> ModelNotFoundError:
    """Say which part of ``models:/name@alias`` or ``models:/name/3`` the registry does not know.

    Args:
        client: Of the registry.
        wanted: What was asked for.
        registry: The registry's address.
        versions: Lists the versions of the model.
    """
    where = without_secrets(registry)
    model = _courtesy(lambda: client.get_registered_model(wanted.name))
    if model is None:
        names = _courtesy(lambda: [each.name for each in client.search_registered_models(max_results=_MOST_NAMES)])
        return ModelNotFoundError(
            f"There is no model {wanted.name!r}{nearest(wanted.name, names or [])} in the registry {where}.",
            details=[f"models there: {_some(sorted(names))}"] if names is not None else [],
            next_step="Check the name, and that this is the registry it was registered in.",
        )
    aliases = {str(alias): str(number) for alias, number in model.aliases.items()}
    numbers = sorted((int(each.version) for each in _courtesy(versions) or ()), reverse=True)
    known = [
        "aliases: " + (_some([f"{alias} (version {number})" for alias, number in sorted(aliases.items())])),
        "versions: " + _some(list(map(str, numbers))),
    ]
    if wanted.alias is not None:
        return ModelNotFoundError(
            f"Model {wanted.name!r} has no alias {wanted.alias!r}{nearest(wanted.alias, aliases)} in {where}.",
            details=known,
            next_step=f"Set the alias in MLflow, or name a version: models:/{wanted.name}/<number>.",
        )
    which = f"version {wanted.version}" if wanted.version else "version at all"
    return ModelNotFoundError(
        f"Model {wanted.name!r} has no {which} in {where}.",
        details=known,
        next_step=f"Name one of these: models:/{wanted.name}/<number>, or models:/{wanted.name}@<alias>.",
    )


def files_not_found(title: str, location: str, found: str) -> ModelNotFoundError:
    """Say that a model is known, but its files are not where they should be.

    Args:
        title: Name and version.
        location: Where they should be.
        found: What is there.
    """
    return ModelNotFoundError(
        f"The files of {title} are not at {without_secrets(location)}.",
        details=[found],
        next_step="Check that they were logged and not deleted, and that this machine sees that place.",
    )


def run_model_not_found(
    wanted: RunUri, names: Callable[[], Sequence[str]], title: str, location: str, found: str
) -> ModelNotFoundError:
    """Say what a run holds instead of the model; without an answer to that, as `files_not_found`.

    Args:
        wanted: What was asked for.
        names: Lists the models and files of the run.
        title: Name of the model.
        location: Where its files should be.
        found: What is there.
    """
    there = _courtesy(names)
    if there is None:
        return files_not_found(title, location, found)
    return ModelNotFoundError(
        f"Run {wanted.run_id} has no model {wanted.path!r}{nearest(wanted.path, there)}.",
        details=[f"in the run: {_some(there)}"],
        next_step=f"Write runs:/{wanted.run_id}/<path of the model in the run>.",
    )


def _some(names: Sequence[str]) -> str:
    shown = ", ".join(names[:_MOST_VERSIONS])
    return (shown + (", …" if len(names) > _MOST_VERSIONS else "")) or "none"


def _courtesy(look: Callable[[], Answer]) -> Answer | None:
    try:
        return look()
    except Exception as error:
        logger.debug("Could not look for what is there: %s", without_secrets(str(error)))
        return None
