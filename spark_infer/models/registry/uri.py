"""What a model URI names, and how an address is written where people can read it.

Parsing needs no MLflow and opens nothing. The forms are MLflow's
(https://mlflow.org/docs/latest/ml/model-registry/), less the stages, which MLflow deprecates.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from spark_infer.config.secrets import without_secrets
from spark_infer.errors import ModelNotFoundError, ModelRefusedError

FORMS = (
    "models:/name@alias",
    "models:/name/3",
    "models:/name/latest",
    "models:/m-<id>",
    "runs:/<run id>/<path>",
    "a folder, or its address on an object store",
)

# Where MLflow keeps files. What a registry says about a version is written by whoever registered it.
_KEEPS_FILES = frozenset({"s3", "r2", "b2", "gs", "abfss", "wasbs", "dbfs", "hdfs", "viewfs", "models"})

REGISTRY_FOLDERS = "SPARK_INFER_REGISTRY_FOLDERS"
"""The variable with the folders of this machine, as in ``PATH``, that a registry over HTTP may name files in."""

_SCHEME = re.compile(r"^([A-Za-z][A-Za-z0-9+.\-]+):")
_MODEL_ID = re.compile(r"^m-[0-9A-Za-z-]+$")


@dataclass(frozen=True)
class VersionUri:
    """A version of a registered model; exactly one of version and alias is set, or neither for the latest."""

    name: str
    version: str | None = None
    alias: str | None = None


@dataclass(frozen=True)
class LoggedModelUri:
    """A model by the id that MLflow 3 gave it when it was logged."""

    model_id: str


@dataclass(frozen=True)
class RunUri:
    """A model among the files of a run; ``path`` is relative and may be empty."""

    run_id: str
    path: str


@dataclass(frozen=True)
class FolderUri:
    """A folder on this machine."""

    path: Path


@dataclass(frozen=True)
class RemoteUri:
    """A folder on an object store or behind a tracking server."""

    address: str


ModelUri = VersionUri | LoggedModelUri | RunUri | FolderUri | RemoteUri


def parse_uri(uri: str) -> ModelUri:
    """Say what a model URI names, without opening anything.

    Raises:
        ModelNotFoundError: The text is no model URI.

    >>> parse_uri("models:/churn@champion")
    VersionUri(name='churn', version=None, alias='champion')
    """
    found = _SCHEME.match(uri)
    scheme = found.group(1).lower() if found else ""
    if scheme == "models":
        return _parse_models(uri)
    if scheme == "runs":
        return _parse_runs(uri)
    if scheme in ("", "file"):
        return FolderUri(local_folder(uri))
    return RemoteUri(uri)


def local_folder(address: str) -> Path:
    """Turn a path or a ``file:`` address into an absolute path.

    Raises:
        ModelNotFoundError: The address names another machine, or nothing.
    """
    if not address.lower().startswith("file:"):
        text = address
    else:
        parts = urlsplit(address)
        if parts.netloc not in ("", "localhost"):
            raise ModelNotFoundError(
                f"{without_secrets(address)!r} names a folder on another machine.",
                next_step="Write file:/path with the path on this machine.",
            )
        text = unquote(parts.path)
    if not text.strip() or "\0" in text:
        raise ModelNotFoundError(f"{address!r} names no folder.", next_step=_allowed())
    # Not resolve(): a link that is swapped for the newest model should keep the name the user knows.
    return Path(text).expanduser().absolute()


def is_local(address: str) -> bool:
    """Say whether an address is a path on this machine."""
    found = _SCHEME.match(address)
    return found is None or found.group(1).lower() == "file"


def scheme_of(address: str) -> str:
    """Return the scheme in small letters, without a database driver; empty for a path."""
    found = _SCHEME.match(address)
    return found.group(1).lower().partition("+")[0] if found else ""


def check_location(location: str, servers: Iterable[str], *, by_user: bool, folders: Iterable[str] = ()) -> None:
    """Refuse an address of files that would send a request, and maybe credentials, where nobody meant to.

    A server over HTTP does not name files of this machine either, since whoever registers a model chooses the path.

    Args:
        location: Address of a model's files.
        servers: The tracking server and the registry; over HTTP, files may come from these hosts alone.
        by_user: Whether the user wrote the address, as opposed to a registry.
        folders: Where a server over HTTP may name files of this machine: folders that it shares with this machine.

    Raises:
        ModelRefusedError: The address is not one to follow.
    """
    if is_local(location):
        _check_folder(location, servers, folders)
        return
    scheme, host = scheme_of(location), urlsplit(location).netloc.rpartition("@")[2]
    if scheme in ("http", "https", "mlflow-artifacts"):
        hosts = {urlsplit(server).netloc.rpartition("@")[2] for server in servers}
        if (scheme == "mlflow-artifacts" and not host) or host in hosts - {""}:
            return
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


def _check_folder(location: str, servers: Iterable[str], folders: Iterable[str]) -> None:
    server = next((server for server in servers if scheme_of(server) in ("http", "https")), None)
    if server is None:
        return
    place = local_folder(location).resolve()
    if any(place.is_relative_to(Path(folder).resolve()) for folder in folders):
        return
    raise ModelRefusedError(
        f"{without_secrets(server)} says that the model's files are in the folder {location!r} of this machine; "
        "a server over HTTP may not name one.",
        next_step=f"if the server shares that folder with this machine, name it in the variable {REGISTRY_FOLDERS}; "
        "or name the model's folder in place of its URI.",
    )


def _parse_models(uri: str) -> VersionUri | LoggedModelUri:
    rest = uri.partition(":")[2]
    if rest.startswith("//"):
        raise _malformed(uri, "names a registry; give that as the registry URI")
    parts = rest.lstrip("/").split("/")
    if not rest.startswith("/") or not all(part.strip() for part in parts) or len(parts) > 2:
        raise _malformed(uri, "is not a model URI")
    if len(parts) == 2:
        name, version = parts
        if version.isascii() and version.isdigit():
            return VersionUri(name, version=str(int(version)))
        if version.lower() == "latest":
            return VersionUri(name)
        raise _malformed(uri, f"ends in {version!r}, which is no version number (stages are gone: use an alias)")
    name, at, alias = parts[0].rpartition("@")
    if at:
        if name and alias:
            return VersionUri(name, alias=alias)
        raise _malformed(uri, "lacks the name or the alias")
    if _MODEL_ID.match(parts[0]):
        return LoggedModelUri(parts[0])
    raise _malformed(uri, "names no version and no alias")


def _parse_runs(uri: str) -> RunUri:
    run_id, _, path = uri.partition(":")[2].lstrip("/").partition("/")
    segments = [segment for segment in path.split("/") if segment]
    if not run_id or ".." in segments or "\\" in path:
        raise _malformed(uri, "is not the address of a run's model")
    return RunUri(run_id, "/".join(segments))


def _malformed(uri: str, complaint: str) -> ModelNotFoundError:
    return ModelNotFoundError(f"{without_secrets(uri)!r} {complaint}.", next_step=_allowed())


def _allowed() -> str:
    return "Write one of: " + ", ".join(FORMS) + "."
