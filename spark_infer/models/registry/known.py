"""Which digest a registered version turned out to have, kept beside the store's entries.

MLflow keeps no digest of a model's files, so after the first download we write down what came: one small JSON
file for each version of each registry. Whoever asks must name everything the registry says about the version,
its creation time included; a registry that was made anew under the same address is then not mistaken
for the old one.
"""

from __future__ import annotations

import hashlib
import json
import logging
import uuid
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

logger = logging.getLogger(__name__)

Identity = Mapping[str, str | int | None]


def key(identity: Identity) -> str:
    """Return a name for a version that is fit for a file."""
    return hashlib.sha256(json.dumps(dict(identity), sort_keys=True).encode()).hexdigest()


def recall(root: Path, identity: Identity) -> str | None:
    """Return the digest that was written down for a version, or None."""
    try:
        record = json.loads(_file(root, identity).read_bytes())
        if record["version"] == dict(identity):
            return str(record["digest"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        pass  # not written yet, or damaged: the version is downloaded and written down again
    return None


def remember(root: Path, identity: Identity, digest: str) -> None:
    """Write down the digest of a version; the last one to write wins."""
    path = _file(root, identity)
    temporary = path.with_name(f"{path.name}.{uuid.uuid4().hex}.tmp")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        temporary.write_text(json.dumps({"version": dict(identity), "digest": digest}, indent=1), encoding="utf-8")
        temporary.replace(path)
    except OSError as error:  # costs a download next time, nothing else
        logger.warning("The digest of a model version could not be written down: %s", error.strerror)
        with suppress(OSError):
            temporary.unlink()


def _file(root: Path, identity: Identity) -> Path:
    return root / "models" / "versions" / f"{key(identity)}.json"
