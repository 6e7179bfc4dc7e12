"""From a model URI to a `ModelRef`: the only place that talks to MLflow's tracking server and registry.

A name and alias are resolved once, here, on the driver; from then on there is an exact version with a digest.
MLflow's global settings are read, never changed: addresses go into `MlflowClient` and the artifact repositories
by argument. `ModelsArtifactRepository` is passed by except for Databricks, because it asks the global registry
whatever it is given (mlflow 3.17, store/artifact/models_artifact_repo.py).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, partial
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, TypeVar

from spark_infer.config.secrets import without_secrets
from spark_infer.errors import EnvironmentProblem, ModelNotFoundError, install_extra
from spark_infer.models.files.store import ModelStore
from spark_infer.models.mlmodel import read_mlmodel
from spark_infer.models.ref import ModelRef
from spark_infer.models.registry.database import check_sqlite, is_sqlite, sqlite_file
from spark_infer.models.registry.digest_cache import Identity
from spark_infer.models.registry.fetch import DOWNLOAD_SECONDS, Located, RemoteFolder, asked, fetch
from spark_infer.models.registry.not_found import absent_in_run, absent_version, newest_version
from spark_infer.models.registry.uri import (
    REGISTRY_FOLDERS,
    FolderUri,
    LoggedModelUri,
    ModelUri,
    RemoteUri,
    RunUri,
    VersionUri,
    check_location,
    parse_uri,
    scheme_of,
)

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import LoggedModel

Answer = TypeVar("Answer")

_ABSENT = ("RESOURCE_DOES_NOT_EXIST", "NOT_FOUND", "INVALID_PARAMETER_VALUE")
_DATABRICKS = ("databricks", "databricks-uc", "uc")


@dataclass(frozen=True)
class _Servers:
    tracking: str
    registry: str


def resolve(
    uri: str | os.PathLike[str],
    *,
    tracking_uri: str | None = None,
    registry_uri: str | None = None,
    store: ModelStore,
    download_seconds: float = DOWNLOAD_SECONDS,
) -> ModelRef:
    """Resolve a model URI to one exact model, with its files in the store.

    Args:
        uri: ``models:/name@alias``, ``models:/name/3``, ``models:/name/latest`` (the highest number now),
            ``models:/m-<id>``, ``runs:/<run id>/<path>``, a folder, or the address of one on an object store.
        tracking_uri: MLflow's tracking server or database; else MLflow's own setting.
        registry_uri: Where the registry is another one; without it the one of ``tracking_uri``, and without both
            MLflow's own setting.
        store: Where the files are kept.
        download_seconds: How long it may take to bring the files.

    Returns:
        The exact model. A folder needs no MLflow installed.

    Raises:
        ModelNotFoundError: No such model, version, alias, run or folder; says what there is.
        RegistryUnavailableError: No answer within some 15 seconds, an answer that is none, or no permission.
        ModelRefusedError: The files are not a model that can be served.
        EnvironmentProblem: MLflow, or the client of the object store, is not installed.
        DeadlineError: The files did not come in time.
    """
    uri = os.fspath(uri)
    wanted = parse_uri(uri)
    if isinstance(wanted, FolderUri):
        read_mlmodel(wanted.path)
        name = wanted.path.name if wanted.path.name not in ("", "..") else wanted.path.resolve().name
        return _pin(uri, Located(name=name, location=str(wanted.path)), store.admit(wanted.path), store)
    servers = _servers(uri, tracking_uri, registry_uri)
    located = _locate(wanted, servers)
    try:
        digest = fetch(located, partial(_repository, servers=servers), store, seconds=download_seconds)
    except ModelNotFoundError as error:
        if isinstance(wanted, RunUri):
            raise absent_in_run(wanted, error, lambda: _names_in_run(wanted, servers)) from error
        raise
    return _pin(uri, located, digest, store)


def require_listed(uri: str, *, tracking_uri: str | None = None, registry_uri: str | None = None) -> None:
    """Check that a model URI means something now; downloads nothing, and looks at no file but a folder's ``MLmodel``.

    Where Databricks would be asked nothing is checked, since its credentials may be those of a session to come.

    Args:
        uri: As for `resolve`, and so are the other two.
        tracking_uri: MLflow's tracking server or database.
        registry_uri: The registry, where it is another one.

    Raises:
        PlanError: As `resolve`.
    """
    wanted = parse_uri(uri)
    if isinstance(wanted, FolderUri):
        read_mlmodel(wanted.path)
        return
    servers = _servers(uri, tracking_uri, registry_uri)
    if not any(address.partition(":")[0] in _DATABRICKS for address in (servers.tracking, servers.registry)):
        _locate(wanted, servers)


def _pin(uri: str, located: Located, digest: str, store: ModelStore) -> ModelRef:
    mlmodel = read_mlmodel(store.path(digest))
    return ModelRef(
        uri=without_secrets(uri),
        name=located.name,
        version=located.version or digest[:12],
        source=without_secrets(located.location),
        flavors=tuple(mlmodel.flavors),
        digest=digest,
        size_bytes=store.size_bytes(digest),
        mlmodel=mlmodel,
    )


def _servers(uri: str, tracking_uri: str | None, registry_uri: str | None) -> _Servers:
    try:
        import mlflow.tracking  # seconds the first time, and not the server's: so before any limit runs
    except ImportError as error:
        raise EnvironmentProblem(
            f"{without_secrets(uri)!r} needs MLflow, which is not installed here.",
            next_step=f"{install_extra('mlflow')}, or name a folder with the model's files.",
        ) from error
    if tracking_uri:
        return _Servers(tracking_uri, registry_uri or _beside(tracking_uri, "databricks", "databricks-uc"))
    if registry_uri and not mlflow.is_tracking_uri_set():  # type: ignore[no-untyped-call]  # MLflow's lack
        # MLflow's fallback is a new database in the working directory.
        return _Servers(_beside(registry_uri, "databricks-uc", "databricks"), registry_uri)
    return _Servers(mlflow.get_tracking_uri(), registry_uri or mlflow.get_registry_uri())


def _beside(address: str, scheme: str, other: str) -> str:
    """Databricks keeps models in Unity Catalog and runs in the workspace; everyone else has one address."""
    return other + address[len(scheme) :] if address.partition(":")[0] == scheme else address


def _client(servers: _Servers) -> MlflowClient:
    from mlflow import MlflowClient

    for address in {servers.tracking, servers.registry}:
        if is_sqlite(address):
            check_sqlite(address, _latest_revision())
    return MlflowClient(tracking_uri=servers.tracking, registry_uri=servers.registry)


@cache
def _latest_revision() -> str:
    """The revision of a database that this MLflow knows; reading all of its migrations takes some time."""
    from mlflow.store.db.utils import _get_latest_schema_revision

    revision: str = _get_latest_schema_revision()  # type: ignore[no-untyped-call]  # MLflow's lack
    return revision


def _repository(location: str, servers: _Servers) -> RemoteFolder:
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

    # `mlflow-artifacts:/…` means the server that the answer came from, where no tracking server was named.
    tracking = servers.tracking if scheme_of(servers.tracking) in ("http", "https") else servers.registry
    repository: RemoteFolder = get_artifact_repository(location, tracking_uri=tracking, registry_uri=servers.registry)
    return repository


def _locate(wanted: ModelUri, servers: _Servers) -> Located:
    located = _located(wanted, servers)
    check_location(
        located.location,
        (servers.tracking, servers.registry),
        by_user=isinstance(wanted, RemoteUri),
        folders=[folder for folder in os.environ.get(REGISTRY_FOLDERS, "").split(os.pathsep) if folder],
    )
    return located


def _located(wanted: ModelUri, servers: _Servers) -> Located:
    if isinstance(wanted, VersionUri):
        return asked(servers.registry, lambda: _locate_version(_client(servers), wanted, servers.registry))
    if isinstance(wanted, LoggedModelUri):
        return asked(servers.tracking, lambda: _locate_logged(_client(servers), wanted, servers.tracking))
    if isinstance(wanted, RunUri):
        return asked(servers.tracking, lambda: _locate_in_run(_client(servers), wanted, servers.tracking))
    assert isinstance(wanted, RemoteUri)
    return Located(name=PurePosixPath(without_secrets(wanted.address)).name, location=wanted.address)


def _locate_version(client: MlflowClient, wanted: VersionUri, registry: str) -> Located:
    name = wanted.name
    if wanted.alias is not None:
        entry = _or_none(partial(client.get_model_version_by_alias, name, wanted.alias))
    elif wanted.version is not None:
        entry = _or_none(partial(client.get_model_version, name, wanted.version))
    else:
        entry = newest_version(client, name)
    if entry is None:
        raise absent_version(client, wanted, registry)
    number = str(entry.version)
    if entry.status != "READY":
        raise _unready(f"Version {number} of model {name!r}", entry.status)
    if registry.partition(":")[0] in _DATABRICKS:
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
        return str(client.get_logged_model(inner.model_id).artifact_location)
    if isinstance(inner, VersionUri) and inner.version:
        return str(client.get_model_version_download_uri(inner.name, inner.version))
    return location


def _locate_logged(client: MlflowClient, wanted: LoggedModelUri, tracking: str) -> Located:
    model = _or_none(lambda: client.get_logged_model(wanted.model_id))
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


def _locate_in_run(client: MlflowClient, wanted: RunUri, tracking: str) -> Located:
    run = _or_none(lambda: client.get_run(wanted.run_id))
    if run is None:
        raise ModelNotFoundError(
            f"There is no run {wanted.run_id!r} in {without_secrets(tracking)}.",
            next_step="Check the run id and the tracking URI.",
        )
    # Since MLflow 3 a run's models lie apart from its other files; like MLflow, look there first.
    first, _, rest = wanted.path.partition("/")
    location = _joined(run.info.artifact_uri, wanted.path)
    for model in _logged_models(client, wanted.run_id, run.info.experiment_id):
        if model.name == first:
            location = _joined(model.artifact_location, rest)
            break
    return Located(name=PurePosixPath(wanted.path).name or "model", location=location)


def _logged_models(client: MlflowClient, run_id: str, experiment_id: str) -> Iterator[LoggedModel]:
    token: str | None = None
    while True:
        page = _or_none(partial(client.search_logged_models, [experiment_id], page_token=token))
        yield from (model for model in page or () if model.source_run_id == run_id)
        token = page.token if page else None
        if not token:
            return


def _names_in_run(wanted: RunUri, servers: _Servers) -> list[str]:
    def look() -> list[str]:
        client = _client(servers)
        run = client.get_run(wanted.run_id)
        models = {str(model.name) for model in _logged_models(client, wanted.run_id, run.info.experiment_id)}
        return sorted(models | {file.path for file in client.list_artifacts(wanted.run_id)})

    return asked(servers.tracking, look)


def _or_none(call: Callable[[], Answer]) -> Answer | None:
    from mlflow.exceptions import MlflowException

    try:
        return call()
    except MlflowException as error:
        if error.error_code in _ABSENT:
            return None
        raise


def _joined(location: str, path: str) -> str:
    return f"{location.rstrip('/')}/{path}" if path else location


def _told_apart(address: str) -> str:
    """Write an address so that the same words mean the same place from every working directory."""
    return str(sqlite_file(address)) if is_sqlite(address) else without_secrets(address)


def _unready(what: str, status: object) -> ModelNotFoundError:
    return ModelNotFoundError(f"{what} is not ready: {status}.", next_step="Wait for it, or name another.")
