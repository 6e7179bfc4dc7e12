"""What Delta's MERGE cannot do. A format without a file of this name has no merge."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

_UNCOMPARABLE = ((r"\bmap<", "map"), (r"(?:^|[:<,])variant(?:$|[,>])", "variant"))
"""A type stands after the colon of its field's name, which may itself be `variant`."""
_CHAR = re.compile(r"\bchar\(\d+\)")


def merge_problems(keys: Sequence[str], types: Mapping[str, str], fields: Sequence[Mapping[str, Any]]) -> list[str]:
    """List what keeps rows from being merged into a table.

    Args:
        keys: The columns to merge by.
        types: Column to type, of the rows.
        fields: The table's columns as its log has them; none where there is no log, or only Spark can read it.
    """
    problems = [
        f"the column {name} has a ` in its name, which Delta's MERGE does not take" for name in types if "`" in name
    ]
    for kind, what in _UNCOMPARABLE:
        held = [key for key in keys if re.search(kind, types.get(key, ""))]
        problems += [f"the key {key} is or holds a {what}, which cannot be compared" for key in held]
    stored = {
        each["name"]: str((each.get("metadata") or {}).get("__CHAR_VARCHAR_TYPE_STRING", ""))
        for each in fields
        if each["name"] in keys
    }
    problems += [
        f"the key {name} is or holds a CHAR in the table, which Delta's MERGE cannot compare: VARCHAR and STRING it can"
        for name, kind in stored.items()
        if _CHAR.search(kind)
    ]
    return problems
