"""Paths that others wrote down: do they stay inside a folder, and what of them may an error show."""

from __future__ import annotations

import logging

from spark_infer.config.secrets import without_partition_values

logger = logging.getLogger(__name__)


def shown_path(path: str) -> str:
    """A path, or a text with one, as an error may show it; whoever raises it calls `logged_path`.

    The file's own name stays; `find TABLE -name NAME` finds it where the log is out of reach.

    >>> shown_path("/data/t/name=Alice/part-00000-4711.parquet")
    '/data/t/name=…/part-00000-4711.parquet (the log has the whole path)'
    """
    hidden = without_partition_values(path)
    return path if hidden == path else f"{hidden} (the log has the whole path)"


def logged_path(path: str) -> str:
    """The same, with the whole path written to the log, at level INFO: only its owner reads that."""
    shown = shown_path(path)
    if shown != path:
        logger.info("An error names this path without its values: %s", path)
    return shown


def stays_inside(path: str) -> bool:
    """Whether a path, joined to a folder, names something below that folder; links are not looked at.

    It does where it is relative and plain: no empty part, no ``.`` and no ``..``, no NUL.
    """
    return "\0" not in path and not {"", ".", ".."} & set(path.split("/"))


def is_name(text: str) -> bool:
    """Whether a text names something directly inside a folder."""
    return "/" not in text and stays_inside(text)
