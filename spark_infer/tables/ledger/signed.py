"""JSON that says what it should be, so that half of it or another never counts."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from spark_infer.errors import LedgerError


def signed(facts: Any) -> bytes:
    """Write values as JSON, with their digest."""
    return json.dumps({"facts": facts, "sha256": _digest(facts)}).encode()


def facts_in(text: bytes, where: str) -> Any:
    """Read what `signed` wrote.

    Raises:
        LedgerError: The text is not whole, or was changed.
    """
    try:
        found = json.loads(text)
        if set(found) == {"facts", "sha256"} and _digest(found["facts"]) == found["sha256"]:
            return found["facts"]
    except (ValueError, TypeError, RecursionError) as error:
        raise damaged(where) from error
    raise damaged(where)


def stamped(facts: dict[str, Any]) -> bytes:
    """Write a mapping as JSON for people to read too, with its digest as one key more."""
    plain = json.loads(json.dumps(facts))
    return json.dumps({**plain, "sha256": _digest(plain)}, indent=1).encode()


def stamped_in(text: bytes, where: str) -> dict[str, Any]:
    """Read what `stamped` wrote.

    Raises:
        LedgerError: The text is not whole, or was changed.
    """
    try:
        found = json.loads(text)
        if isinstance(found, dict) and found.pop("sha256", None) == _digest(found):
            return found
    except (ValueError, RecursionError) as error:
        raise damaged(where) from error
    raise damaged(where)


def damaged(where: str) -> LedgerError:
    """The error of an account that cannot be read: it never counts as an empty one."""
    return LedgerError(
        f"The ledger's file {where} is damaged.",
        details=["nothing was changed, because it is not known what was done"],
        next_step="put it back from a copy; or start a new run with --new-run, after a look at what the target holds.",
    )


def leads_outside(where: str) -> LedgerError:
    """The error of an account that names a file outside the folders of its run: no run writes that."""
    return LedgerError(
        f"The ledger's file {where} names a path that leads outside the folders of its run.",
        details=["spark_infer does not write such paths: somebody else wrote this file, and nothing of it was used"],
        next_step="see who may write to that folder; remove the run's folder, then begin again with --new-run, after a "
        "look at what the target holds.",
    )


def _digest(facts: Any) -> str:
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()
