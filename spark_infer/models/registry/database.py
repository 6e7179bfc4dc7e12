"""A look at a SQLite registry before MLflow opens it.

MLflow makes a database where there is none, fills an empty or foreign one with its tables and migrates an
older one; and it retries for minutes where the file is damaged. None of that is a scoring job's business.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

from spark_infer.config.secrets import without_secrets
from spark_infer.errors import RegistryUnavailableError
from spark_infer.models.registry.uri import scheme_of

_TABLES = {"alembic_version", "experiments", "registered_models"}


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
            next_step="Give the tracking URI that the model was logged to (tracking_uri, or MLFLOW_TRACKING_URI).",
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
