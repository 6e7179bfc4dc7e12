"""Places of files that a user may name for every node at once."""

from __future__ import annotations

import re
from urllib.parse import parse_qsl, urlsplit

_SECRET = re.compile(r"secret|password|token|key|sas|sig\b|credential", re.IGNORECASE)
_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")


def refuse_unshareable(place: str) -> None:
    """Refuse what does not mean the same on every node, and a URI that holds a secret: it travels to every worker.

    Raises:
        ValueError: With the reason; the place is not quoted.
    """
    if place == "auto" or (place.strip("/") and place.startswith("/")):
        return
    here = urlsplit(place)
    if not _URI.match(place) or (here.scheme == "file" and (here.netloc or not here.path.strip("/"))):
        raise ValueError("expected `auto`, a folder by its full path, or a URI such as `s3://bucket/folder`")
    parts = urlsplit(place)
    if parts.password is not None or any(_SECRET.search(name) for name, _ in parse_qsl(parts.query)):
        raise ValueError(
            "the URI holds a secret, which would travel to every worker; give credentials to the environment or the "
            "configuration of the driver and the executors"
        )
