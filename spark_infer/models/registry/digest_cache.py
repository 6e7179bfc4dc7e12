"""Which digest a registered version turned out to have, kept beside the store's entries.

MLflow keeps no digest of a model's files, so after the first download we write down what came: one small JSON
file for each version of each registry. Whoever asks must name everything the registry says about the version,
its creation time included; a registry that was made again under the same address is then not mistaken
for the old one.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Mapping
from pathlib import Path

from spark_infer.models.files.notes import read_note, write_note

logger = logging.getLogger(__name__)

_KIND = "versions"

Identity = Mapping[str, str | int | None]


def key(identity: Identity) -> str:
    """Return a name for a version that is fit for a file."""
    return hashlib.sha256(json.dumps(dict(identity), sort_keys=True).encode()).hexdigest()


def recall(root: Path, identity: Identity) -> str | None:
    """Return the digest that was written down for a version, or None."""
    try:
        record = json.loads(read_note(root, _KIND, _name(identity)) or b"null")
        if record["version"] == dict(identity):
            return str(record["digest"])
    except (ValueError, KeyError, TypeError, RecursionError):
        pass  # not written yet, or damaged: the version is downloaded and written down again
    return None


def remember(root: Path, identity: Identity, digest: str) -> None:
    """Write down the digest of a version; the last one to write wins."""
    record = json.dumps({"version": dict(identity), "digest": digest}, indent=1)
    try:
        write_note(root, _KIND, _name(identity), record.encode())
    except OSError as error:  # costs a download next time, nothing else
        logger.warning("The digest of a model version could not be written down: %s", error.strerror)


def _name(identity: Identity) -> str:
    return f"{key(identity)}.json"
