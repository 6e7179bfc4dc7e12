"""Paths that others wrote down: what is joined to a folder must stay inside it."""

from __future__ import annotations


def stays_inside(path: str) -> bool:
    """Whether a path, joined to a folder, names something below that folder; links are not looked at.

    It does where it is relative and plain: no empty part, no ``.`` and no ``..``, no NUL.
    """
    return "\0" not in path and not {"", ".", ".."} & set(path.split("/"))


def is_name(text: str) -> bool:
    """Whether a text names something directly inside a folder."""
    return "/" not in text and stays_inside(text)
