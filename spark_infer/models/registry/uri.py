"""What a model URI names, and how an address is written where people can read it.

Parsing needs no MLflow and opens nothing. The forms are MLflow's
(https://mlflow.org/docs/latest/ml/model-registry/), less the stages, which MLflow deprecates.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from spark_infer.config.secrets import without_secrets
from spark_infer.errors import ModelNotFoundError

FORMS = (
    "models:/name@alias",
    "models:/name/3",
    "models:/name/latest",
    "models:/m-<id>",
    "runs:/<run id>/<path>",
    "a folder, or its address on an object store",
)

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


def scheme_of(address: str) -> str:
    """Return the scheme in small letters, without a database driver; empty for a path."""
    found = _SCHEME.match(address)
    return found.group(1).lower().partition("+")[0] if found else ""


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
