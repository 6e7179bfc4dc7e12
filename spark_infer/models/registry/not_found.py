"""The errors for a model that is not there: they name what is.

Looking for what is there is a courtesy; where it fails, the error goes without.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
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


def absent_version(client: MlflowClient, wanted: VersionUri, registry: str) -> ModelNotFoundError:
    """Say which part of ``models:/name@alias`` or ``models:/name/3`` the registry does not know."""
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
    numbers = _numbers(client, wanted.name)
    known = [
        "aliases: " + (_some([f"{alias} (version {number})" for alias, number in sorted(aliases.items())])),
        "versions: " + _some(numbers),
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


def absent_in_run(wanted: RunUri, error: ModelNotFoundError, look: Callable[[], Sequence[str]]) -> ModelNotFoundError:
    """Say what a run holds instead of the model at this path; a run that is not there stays that."""
    names = _courtesy(look)
    if names is None:
        return error
    return ModelNotFoundError(
        f"Run {wanted.run_id} has no model {wanted.path!r}{nearest(wanted.path, names)}.",
        details=[f"in the run: {_some(names)}"],
        next_step=f"Write runs:/{wanted.run_id}/<path of the model in the run>.",
    )


def absent_files(title: str, location: str, found: str) -> ModelNotFoundError:
    """Say that a model is known, but its files are not where they should be."""
    return ModelNotFoundError(
        f"The files of {title} are not at {without_secrets(location)}.",
        details=[found],
        next_step="Check that they were logged and not deleted, and that this machine sees that place.",
    )


def newest_version(client: MlflowClient, name: str) -> ModelVersion | None:
    """Return the version of the highest number, or None where there is none."""
    return max(_versions(client, name), key=lambda each: int(each.version), default=None)


def _versions(client: MlflowClient, name: str) -> Sequence[ModelVersion]:
    quote = '"' if "'" in name else "'"
    found: Sequence[ModelVersion] = client.search_model_versions(
        f"name = {quote}{name}{quote}", max_results=_MOST_NAMES, order_by=["version_number DESC"]
    )
    return found


def _numbers(client: MlflowClient, name: str) -> list[str]:
    versions = _courtesy(lambda: _versions(client, name)) or []
    return [str(number) for number in sorted((int(each.version) for each in versions), reverse=True)]


def _some(names: Sequence[str]) -> str:
    shown = ", ".join(names[:_MOST_VERSIONS])
    return (shown + (", …" if len(names) > _MOST_VERSIONS else "")) or "none"


def _courtesy(look: Callable[[], Answer]) -> Answer | None:
    try:
        return look()
    except Exception as error:
        logger.debug("Could not look for what is there: %s", without_secrets(str(error)))
        return None
