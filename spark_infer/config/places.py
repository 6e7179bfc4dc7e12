"""Places of files that a user may name: none of them holds a secret."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from spark_infer.config.secrets import holds_credentials

_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")


def without_credentials(place: str) -> str:
    """Return a table's place as it is, or refuse the URI: reports, ledgers and Delta's history would keep its secret.

    Raises:
        ValueError: With the right way; the place is not quoted.
    """
    if holds_credentials(place):
        raise ValueError(
            "the URI holds credentials, which would stay in the table's history; take them out, and give them to the "
            "environment of the driver and the workers (AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, a profile or a "
            "role; GOOGLE_APPLICATION_CREDENTIALS; an Azure identity) and, where Spark reads or writes, to spark.conf "
            "with ${secret:NAME}"
        )
    return place


def refuse_unshareable(place: str) -> None:
    """Refuse what does not mean the same on every node, and a URI that holds a secret: it travels to every worker.

    Raises:
        ValueError: With the reason; the place is not quoted.
    """
    if place == "auto" or (place.strip("/") and place.startswith("/")):
        return
    if holds_credentials(place):
        raise ValueError(
            "the URI holds a secret, which would travel to every worker; give credentials to the environment or the "
            "configuration of the driver and the executors"
        )
    here = urlsplit(place)
    if not _URI.match(place) or (here.scheme == "file" and (here.netloc or not here.path.strip("/"))):
        raise ValueError("expected `auto`, a folder by its full path, or a URI such as `s3://bucket/folder`")
