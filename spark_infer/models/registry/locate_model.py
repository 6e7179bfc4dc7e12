"""What the registry says about a model URI: which exact version it is, and where its files are."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import urlsplit

from spark_infer.config.secrets import without_secrets
from spark_infer.errors import EnvironmentProblem, ModelNotFoundError, ModelRefusedError
from spark_infer.models.registry.mlflow_calls import asked
from spark_infer.models.registry.not_found import files_not_found, run_model_not_found, version_not_found
from spark_infer.models.registry.servers import Servers, is_sqlite, on_databricks, sqlite_file
from spark_infer.models.registry.uri import (
    FolderUri,
    LoggedModelUri,
    ModelUri,
    RemoteUri,
    RunUri,
    VersionUri,
    parse_uri,
    scheme_of,
)

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import LoggedModel
    from mlflow.entities.model_registry import ModelVersion

Answer = TypeVar("Answer")
Identity = Mapping[str, str | int | None]

_ABSENT = ("RESOURCE_DOES_NOT_EXIST", "NOT_FOUND", "INVALID_PARAMETER_VALUE")
_NO_SUCH_CALL = "ENDPOINT_NOT_FOUND"
_MOST_VERSIONS = 1000

# Where MLflow keeps files. What a registry says about a version is written by whoever registered it.
_KEEPS_FILES = frozenset({"s3", "r2", "b2", "gs", "abfss", "wasbs", "dbfs", "hdfs", "viewfs", "models"})

REGISTRY_FOLDERS = "SPARK_INFER_REGISTRY_FOLDERS"
"""The variable with the folders of this machine, as in ``PATH``, that a registry over HTTP may name files in."""


@dataclass(frozen=True, kw_only=True)
class Located:
    """Where a model's files are, and what they are called there.

    Attributes:
        name: For people.
        version: The registry's number, or None for a model in no registry.
        location: Path or address of the folder.
        folder: The same where it is on this machine.
        identity: All that the registry says about the version; None where the files may change.
        absent: Makes the error for files that are not there, of what is there.
    """

    name: str
    version: str | None = None
    location: str
    folder: Path | None = None
    identity: Identity | None = None
    absent: Callable[[str, str, str], ModelNotFoundError] = files_not_found

    def not_found(self, found: str) -> ModelNotFoundError:
        """Return the error for files that are not there; ``found`` says what is."""
        return self.absent(self.title, self.location, found)

    @property
    def title(self) -> str:
        """Name and version in one."""
        return f"{self.name!r} version {self.version}" if self.version else f"{self.name!r}"


def locate(wanted: ModelUri, servers: Servers) -> Located:
    """Ask which exact model a URI names now, and where its files are; no file is looked at.

    Raises:
        ModelNotFoundError: No such model, version, alias or run; says what there is.
        RegistryUnavailableError: No answer, an answer that is none, or no permission.
        ModelRefusedError: The files are said to be where nobody meant to look.
    """
    if isinstance(wanted, RemoteUri):
        located = Located(name=PurePosixPath(without_secrets(wanted.address)).name, location=wanted.address)
    else:
        server = servers.registry if isinstance(wanted, VersionUri) else servers.tracking
        located = asked(server, partial(_look_up, wanted, servers))
    folder = check_location(
        located.location,
        (servers.tracking, servers.registry),
        by_user=isinstance(wanted, RemoteUri),
        folders=[folder for folder in os.environ.get(REGISTRY_FOLDERS, "").split(os.pathsep) if folder],
    )
    return replace(located, folder=folder)


def check_location(location: str, servers: Iterable[str], *, by_user: bool, folders: Iterable[str] = ()) -> Path | None:
    """Return the folder of files on this machine, None for those elsewhere.

    An address that would send a request, and maybe credentials, where nobody meant to is refused.
    A server over HTTP does not name files of this machine either, since whoever registers a model chooses the path.

    Args:
        location: Address of a model's files.
        servers: The tracking server and the registry; over HTTP, files may come from these hosts alone.
        by_user: Whether the user wrote the address, as opposed to a registry.
        folders: Where a server over HTTP may name files of this machine: folders that it shares with this machine.

    Raises:
        ModelRefusedError: The address is not one to follow.
    """
    place = parse_uri(location)
    if isinstance(place, FolderUri):
        _check_folder(place.path, servers, folders)
        return place.path
    scheme, host = scheme_of(location), urlsplit(location).netloc.rpartition("@")[2]
    if scheme in ("http", "https", "mlflow-artifacts"):
        hosts = {urlsplit(server).netloc.rpartition("@")[2] for server in servers}
        if (scheme == "mlflow-artifacts" and not host) or host in hosts - {""}:
            return None
        raise ModelRefusedError(
            f"The model's files are said to be at {without_secrets(location)}, which is not the MLflow server in use.",
            next_step="Make that server the tracking URI if you trust it, or download the model and name its folder.",
        )
    if not by_user and scheme not in _KEEPS_FILES:
        raise ModelRefusedError(
            f"The registry says that the model's files are at {without_secrets(location)}; "
            f"{scheme}: addresses are not followed.",
            next_step="Download the model yourself if you trust it, and name its folder.",
        )
    return None


def _check_folder(folder: Path, servers: Iterable[str], folders: Iterable[str]) -> None:
    server = next((server for server in servers if scheme_of(server) in ("http", "https")), None)
    if server is None:
        return
    place = folder.resolve()
    if any(place.is_relative_to(Path(shared).resolve()) for shared in folders):
        return
    raise ModelRefusedError(
        f"{without_secrets(server)} says that the model's files are in the folder {str(folder)!r} of this machine; "
        "a server over HTTP may not name one.",
        next_step=f"if the server shares that folder with this machine, name it in the variable {REGISTRY_FOLDERS}; "
        "or name the model's folder in place of its URI.",
    )


def _look_up(wanted: ModelUri, servers: Servers) -> Located:
    client = servers.client()
    if isinstance(wanted, VersionUri):
        return _version(client, wanted, servers.registry)
    if isinstance(wanted, LoggedModelUri):
        return _logged_model(client, wanted, servers.tracking)
    assert isinstance(wanted, RunUri)
    return _model_in_run(client, wanted, servers)


def _version(client: MlflowClient, wanted: VersionUri, registry: str) -> Located:
    name = wanted.name
    if wanted.alias is not None:
        entry = _or_none(partial(client.get_model_version_by_alias, name, wanted.alias))
    elif wanted.version is not None:
        entry = _or_none(partial(client.get_model_version, name, wanted.version))
    else:
        entry = max(_versions(client, name), key=lambda each: int(each.version), default=None)
    if entry is None:
        raise version_not_found(client, wanted, registry, partial(_versions, client, name))
    number = str(entry.version)
    if entry.status != "READY":
        raise _unready(f"Version {number} of model {name!r}", entry.status)
    if on_databricks(registry):
        location = f"models:/{name}/{number}"
    else:
        location = _underlying(client, client.get_model_version_download_uri(name, number))
    identity: Identity = {
        "registry": _told_apart(registry),
        "name": name,
        "version": number,
        "source": without_secrets(str(entry.source)),
        "location": without_secrets(location),
        "run_id": entry.run_id,
        "created": entry.creation_timestamp,
    }
    return Located(name=name, version=number, location=location, identity=identity)


def _underlying(client: MlflowClient, location: str) -> str:
    if scheme_of(location) != "models":
        return location
    inner = parse_uri(location)
    if isinstance(inner, LoggedModelUri):
        return str(_get_logged_model(client, inner.model_id).artifact_location)
    if isinstance(inner, VersionUri) and inner.version:
        return str(client.get_model_version_download_uri(inner.name, inner.version))
    return location


def _logged_model(client: MlflowClient, wanted: LoggedModelUri, tracking: str) -> Located:
    model = _or_none(lambda: _get_logged_model(client, wanted.model_id))
    if model is None:
        raise ModelNotFoundError(
            f"There is no model {wanted.model_id!r} in {without_secrets(tracking)}.",
            next_step="Check the id and the tracking URI; a registered model is named models:/name@alias.",
        )
    if model.status != "READY":
        raise _unready(f"Model {wanted.model_id!r}", model.status)
    identity: Identity = {
        "tracking": _told_apart(tracking),
        "model_id": model.model_id,
        "location": without_secrets(model.artifact_location),
        "created": model.creation_timestamp,
    }
    return Located(name=str(model.name), location=model.artifact_location, identity=identity)


def _get_logged_model(client: MlflowClient, model_id: str) -> LoggedModel:
    if not hasattr(client, "get_logged_model"):
        raise EnvironmentProblem(
            f"The model is {model_id!r}, a logged model of MLflow 3, and an older MLflow is installed.",
            next_step="install mlflow>=3, or name the model's folder.",
        )
    return client.get_logged_model(model_id)


def _model_in_run(client: MlflowClient, wanted: RunUri, servers: Servers) -> Located:
    run = _or_none(lambda: client.get_run(wanted.run_id))
    if run is None:
        raise ModelNotFoundError(
            f"There is no run {wanted.run_id!r} in {without_secrets(servers.tracking)}.",
            next_step="Check the run id and the tracking URI.",
        )
    # Since MLflow 3 a run's models lie apart from its other files; like MLflow, look there first.
    first, _, rest = wanted.path.partition("/")
    location = _joined(run.info.artifact_uri, wanted.path)
    for model in _logged_models(client, wanted.run_id, run.info.experiment_id):
        if model.name == first:
            location = _joined(model.artifact_location, rest)
            break
    names = partial(asked, servers.tracking, partial(_names_in_run, wanted, servers))
    return Located(
        name=PurePosixPath(wanted.path).name or "model",
        location=location,
        absent=partial(run_model_not_found, wanted, names),
    )


def _logged_models(client: MlflowClient, run_id: str, experiment_id: str) -> Iterator[LoggedModel]:
    token: str | None = None
    while hasattr(client, "search_logged_models"):  # MLflow 2 has none, here or on the server
        search = partial(client.search_logged_models, [experiment_id], page_token=token)
        page = _or_none(search, absent=(*_ABSENT, _NO_SUCH_CALL))
        yield from (model for model in page or () if model.source_run_id == run_id)
        token = page.token if page else None
        if not token:
            return


def _names_in_run(wanted: RunUri, servers: Servers) -> list[str]:
    client = servers.client()
    run = client.get_run(wanted.run_id)
    models = {str(model.name) for model in _logged_models(client, wanted.run_id, run.info.experiment_id)}
    return sorted(models | {file.path for file in client.list_artifacts(wanted.run_id)})


def _versions(client: MlflowClient, name: str) -> Sequence[ModelVersion]:
    quote = '"' if "'" in name else "'"
    found: Sequence[ModelVersion] = client.search_model_versions(
        f"name = {quote}{name}{quote}", max_results=_MOST_VERSIONS, order_by=["version_number DESC"]
    )
    return found


def _or_none(call: Callable[[], Answer], *, absent: Sequence[str] = _ABSENT) -> Answer | None:
    try:
        return call()
    except Exception as error:
        if getattr(error, "error_code", None) in absent:  # MLflow's
            return None
        raise


def _joined(location: str, path: str) -> str:
    return f"{location.rstrip('/')}/{path}" if path else location


def _told_apart(address: str) -> str:
    """Write an address so that the same words mean the same place from every working directory."""
    return str(sqlite_file(address)) if is_sqlite(address) else without_secrets(address)


def _unready(what: str, status: object) -> ModelNotFoundError:
    return ModelNotFoundError(f"{what} is not ready: {status}.", next_step="Wait for it, or name another.")
