"""The MLflow servers that a model URI is about, and MLflow's clients for them.

MLflow's global settings are read, never changed: addresses go into `MlflowClient` and the artifact repositories
by argument. `ModelsArtifactRepository` is not used except for Databricks, because it asks the global registry
whatever it is given (mlflow 3.17, store/artifact/models_artifact_repo.py).

A SQLite registry is looked at before MLflow opens it. MLflow makes a database where there is none, fills an empty or
foreign one with its tables and migrates an older one; and it retries for minutes where the file is damaged. None of
that is a scoring job's business. The same holds for a registry in a folder, MLflow 2's default, which it makes too.
"""

from __future__ import annotations

import inspect
import sqlite3
from collections.abc import Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Protocol
from urllib.parse import quote, urlsplit
from urllib.request import url2pathname

from spark_infer.config.secrets import without_secrets
from spark_infer.errors import EnvironmentProblem, RegistryUnavailableError, install_extra
from spark_infer.models.registry.uri import scheme_of

if TYPE_CHECKING:
    from mlflow import MlflowClient

_DATABRICKS = ("databricks", "databricks-uc", "uc")
_TABLES = {"alembic_version", "experiments", "registered_models"}
_NAME_IT = "Give the tracking URI that the model was logged to (tracking_uri, or MLFLOW_TRACKING_URI)."


class RemoteFile(Protocol):
    """What MLflow says about one file or folder of a listing."""

    @property
    def path(self) -> str:
        """Path from the folder that was opened."""

    @property
    def is_dir(self) -> bool:
        """Whether it is a folder."""

    @property
    def file_size(self) -> int | None:
        """Bytes, where the place says."""


class RemoteFolder(Protocol):
    """What we use of MLflow's artifact repositories."""

    def list_artifacts(self, path: str | None = None) -> Sequence[RemoteFile]:
        """List what is directly under a path."""

    def download_artifacts(self, artifact_path: str, dst_path: str) -> str:
        """Copy a file or a folder to a folder on this machine."""


@dataclass(frozen=True)
class Servers:
    """The addresses of a tracking server and a registry, which are often one."""

    tracking: str
    registry: str

    def client(self) -> MlflowClient:
        """Return MLflow's client.

        Raises:
            RegistryUnavailableError: A SQLite address is not MLflow's database, or a folder not MLflow's.
        """
        from mlflow import MlflowClient

        for address in {self.tracking, self.registry}:
            if is_sqlite(address):
                check_sqlite(address, _latest_revision())
            elif scheme_of(address) in ("", "file") and not on_databricks(address):
                check_folder(Path(url2pathname(urlsplit(address).path)).absolute())
        return MlflowClient(tracking_uri=self.tracking, registry_uri=self.registry)

    def open_folder(self, location: str) -> RemoteFolder:
        """Open the folder of a model's files that are not on this machine."""
        from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

        # `mlflow-artifacts:/…` means the server that the answer came from, where no tracking server was named.
        tracking = self.tracking if scheme_of(self.tracking) in ("http", "https") else self.registry
        if "tracking_uri" not in inspect.signature(get_artifact_repository).parameters:
            return _open_by_mlflow_2(location, tracking)
        folder: RemoteFolder = get_artifact_repository(location, tracking_uri=tracking, registry_uri=self.registry)
        return folder


def _open_by_mlflow_2(location: str, tracking: str) -> RemoteFolder:
    """Open a folder by an MLflow that takes no addresses: its own settings would decide what `mlflow-artifacts:` is."""
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository
    from mlflow.store.artifact.mlflow_artifacts_repo import MlflowArtifactsRepository

    if scheme_of(location) == "mlflow-artifacts":
        location = MlflowArtifactsRepository.resolve_uri(location, tracking)  # type: ignore[no-untyped-call,unused-ignore]
    folder: RemoteFolder = get_artifact_repository(location)  # type: ignore[no-untyped-call,unused-ignore]
    return folder


def on_databricks(address: str) -> bool:
    """Say whether an address is Databricks'."""
    return address.partition(":")[0] in _DATABRICKS


def servers_for(uri: str, tracking_uri: str | None, registry_uri: str | None) -> Servers:
    """Return the servers to ask about a model URI.

    Args:
        uri: For the error.
        tracking_uri: What the user named; else MLflow's own setting.
        registry_uri: The same for the registry, which is where the tracking server is unless another one is named.

    Raises:
        EnvironmentProblem: MLflow is not installed.
    """
    try:
        import mlflow.tracking  # seconds the first time, and not the server's: so before any limit runs
    except ImportError as error:
        raise EnvironmentProblem(
            f"{without_secrets(uri)!r} needs MLflow, which is not installed here.",
            next_step=f"{install_extra('mlflow')}, or name a folder with the model's files.",
        ) from error
    if tracking_uri:
        servers = Servers(tracking_uri, registry_uri or _beside(tracking_uri, "databricks", "databricks-uc"))
    elif registry_uri and not mlflow.is_tracking_uri_set():  # type: ignore[no-untyped-call]  # MLflow's lack
        # MLflow's fallback is a new database in the working directory.
        servers = Servers(_beside(registry_uri, "databricks-uc", "databricks"), registry_uri)
    else:
        servers = Servers(mlflow.get_tracking_uri(), registry_uri or mlflow.get_registry_uri())
    if any(is_sqlite(address) for address in (servers.tracking, servers.registry)):
        with suppress(ImportError):  # the question says what is missing
            import mlflow.store.model_registry.sqlalchemy_store
            import mlflow.store.tracking.sqlalchemy_store  # as above: seconds, and not the database's
    return servers


def _beside(address: str, scheme: str, other: str) -> str:
    """Databricks keeps models in Unity Catalog and runs in the workspace; everyone else has one address."""
    return other + address[len(scheme) :] if address.partition(":")[0] == scheme else address


@cache
def _latest_revision() -> str:
    """The revision of a database that this MLflow knows; reading all of its migrations takes some time."""
    from mlflow.store.db.utils import _get_latest_schema_revision

    revision: str = _get_latest_schema_revision()  # type: ignore[no-untyped-call]  # MLflow's lack
    return revision


def is_sqlite(address: str) -> bool:
    """Say whether an address of a tracking server or registry is a SQLite database."""
    return scheme_of(address) == "sqlite"


def sqlite_file(address: str) -> Path:
    """Return the file of a ``sqlite:///`` address, absolute.

    Raises:
        RegistryUnavailableError: The address names no file, as one of a database in memory does.
    """
    text = address.partition(":///")[2].partition("?")[0]
    if not text or text == ":memory:":
        raise RegistryUnavailableError(
            f"{without_secrets(address)!r} names no database file.", next_step="Write sqlite:////absolute/path.db."
        )
    return Path(text).absolute()


def check_folder(folder: Path) -> None:
    """Refuse a folder that MLflow would create or fill.

    Raises:
        RegistryUnavailableError: There is no such folder, or MLflow has written no experiment and no trash into it.
    """
    if not (folder / ".trash").is_dir() and not any(folder.glob("*/meta.yaml")):
        raise RegistryUnavailableError(f"There is no MLflow store in the folder {folder}.", next_step=_NAME_IT)


def check_sqlite(address: str, revision: str) -> None:
    """Refuse a SQLite address that MLflow would create, fill or migrate.

    Args:
        address: ``sqlite:///…``
        revision: The schema that the installed MLflow works with.

    Raises:
        RegistryUnavailableError: There is no such file, or it is no MLflow database of that schema.
    """
    path = sqlite_file(address)
    if not path.is_file():
        raise RegistryUnavailableError(
            f"There is no MLflow database {path}.",
            next_step=_NAME_IT,
        )
    try:
        with closing(sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True, timeout=5)) as connection:
            tables = {name for (name,) in connection.execute("select name from sqlite_master where type = 'table'")}
            ours = tables >= _TABLES
            found = connection.execute("select version_num from alembic_version").fetchone() if ours else None
    except sqlite3.Error as error:
        raise RegistryUnavailableError(
            f"The MLflow database {path} cannot be read: {error}.",
            next_step="Check that it is the right file, whole, and that this user may read it.",
        ) from error
    if not found:
        raise RegistryUnavailableError(
            f"{path} is a SQLite database, but not one of MLflow's.",
            next_step="Give the tracking URI that the model was logged to.",
        )
    if found[0] != revision:
        raise RegistryUnavailableError(
            f"The MLflow database {path} has schema {found[0]}; the MLflow installed here works with {revision}.",
            next_step=f"Install the MLflow that wrote it, or back it up and run `mlflow db upgrade sqlite:///{path}`.",
        )
