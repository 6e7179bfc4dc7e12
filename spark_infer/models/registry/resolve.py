"""From a model URI to a `ModelRef`: parse the URI, ask the registry, fetch the files, pin what came.

A name and alias are resolved once, here, on the driver; from then on there is an exact version with a digest.
"""

from __future__ import annotations

import os

from spark_infer.config import ScoreOptions
from spark_infer.config.secrets import without_secrets
from spark_infer.models.callables.callable_model import as_callable_model
from spark_infer.models.callables.pin import pin_callable, require_target
from spark_infer.models.files.store import ModelStore
from spark_infer.models.mlmodel import read_mlmodel
from spark_infer.models.ref import ModelRef
from spark_infer.models.registry.fetch import DOWNLOAD_SECONDS, fetch
from spark_infer.models.registry.locate_model import Located, locate
from spark_infer.models.registry.servers import on_databricks, servers_for
from spark_infer.models.registry.uri import FolderUri, parse_uri


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
            ``models:/m-<id>``, ``runs:/<run id>/<path>``, a folder, the address of one on an object store, or
            ``python:package.module:name``.
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
    plain_python = as_callable_model(uri)
    if plain_python is not None:
        return pin_callable(plain_python, ScoreOptions(), store)
    wanted = parse_uri(uri)
    if isinstance(wanted, FolderUri):
        read_mlmodel(wanted.path)
        name = wanted.path.name if wanted.path.name not in ("", "..") else wanted.path.resolve().name
        return _pin(uri, Located(name=name, location=str(wanted.path)), store.admit(wanted.path), store)
    servers = servers_for(uri, tracking_uri, registry_uri)
    located = locate(wanted, servers)
    return _pin(uri, located, fetch(located, servers.open_folder, store, seconds=download_seconds), store)


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
    plain_python = as_callable_model(uri)
    if plain_python is not None:
        require_target(str(plain_python.predictor))
        return
    wanted = parse_uri(uri)
    if isinstance(wanted, FolderUri):
        read_mlmodel(wanted.path)
        return
    servers = servers_for(uri, tracking_uri, registry_uri)
    if not (on_databricks(servers.tracking) or on_databricks(servers.registry)):
        locate(wanted, servers)


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
