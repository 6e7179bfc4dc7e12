"""The form of what Delta's log holds: its entries and its schema are checked once, where they are read.

deltalake takes paths that lead out of the table, and passes over statistics that are not numbers.

Format: https://github.com/delta-io/delta/blob/master/PROTOCOL.md, "Actions" and "Schema Serialization Format"
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

_MOST_DEPTH = 150
"""How deep JSON may be nested, so that what looks at it level by level ends: 50 structs, or 150 arrays."""
_MOST_DIGITS = 38
_DECIMAL = re.compile(r"decimal\(\s*(\d{1,2})\s*,\s*(-?\d{1,2})\s*\)|decimal")


class EntryError(ValueError):
    """An entry of the log, or its schema, is not what Delta's protocol says."""


def parsed(text: str) -> Any:
    """Parse JSON that somebody else wrote.

    Raises:
        ValueError: It is not JSON, nested too deep, or has half a character, which no name can hold.
    """
    try:
        found = json.loads(text)
    except RecursionError as error:
        raise EntryError(f"it is nested more than {_MOST_DEPTH} levels deep") from error
    if text.count("{") + text.count("[") > _MOST_DEPTH:
        _check_depth(found, _MOST_DEPTH)
    if "\\u" in text:  # an escape may stand for half of a character
        json.dumps(found, ensure_ascii=False).encode()
    return found


def checked_entry(entry: Any) -> dict[str, Any]:
    """Return an entry of the log whose actions have the fields that are used here, with values of their types.

    Raises:
        EntryError: They have not.
    """
    if not isinstance(entry, dict):
        raise EntryError("an entry is not an object")
    for kind, action in entry.items():
        if action is None or kind not in _FIELDS:
            continue
        if not isinstance(action, dict):
            raise EntryError(f"{kind} is not an object")
        for name, fits, wanted in _FIELDS[kind]:
            if not fits(action.get(name)):
                raise EntryError(f"{name} of {kind} is not {wanted}")
    return entry


def checked_schema(text: str) -> dict[str, Any]:
    """Return the schema of a table, as the log has it.

    Raises:
        ValueError: It is not the JSON of a struct of columns.
    """
    schema = parsed(text)
    if not isinstance(schema, dict) or schema.get("type") != "struct":
        raise EntryError("its schema is not a struct")
    _check_type(schema)
    return schema


def plain_statistics(text: str | None) -> dict[str, Any]:
    """What the log says of a file's columns; nothing where it is not of the form that the protocol gives it."""
    try:
        found = parsed(text or "{}")
    except ValueError:
        return {}
    parts = ("minValues", "maxValues", "nullCount")
    fits = isinstance(found, dict) and all(isinstance(found.get(part) or {}, dict) for part in parts)
    return found if fits and _is_size(found.get("numRecords", 0)) else {}


def _check_depth(value: Any, most: int) -> None:
    if not isinstance(value, dict | list):
        return
    if not most:
        raise EntryError(f"it is nested more than {_MOST_DEPTH} levels deep")
    for each in value.values() if isinstance(value, dict) else value:
        _check_depth(each, most - 1)


def _check_type(kind: Any) -> None:
    match kind:
        case str():
            if kind.startswith("decimal"):
                found = _DECIMAL.fullmatch(kind)
                if found is None or int(found[1] or 0) > _MOST_DIGITS or abs(int(found[2] or 0)) > _MOST_DIGITS:
                    raise EntryError(f"its schema has a decimal that is not one of at most {_MOST_DIGITS} digits")
            elif re.search(r"\d{10}", kind):
                raise EntryError("its schema has a type of an impossible length")
        case {"type": "struct", "fields": list(fields)}:
            for field in fields:
                _check_field(field)
        case {"type": "array", "elementType": inner, "containsNull": bool()}:
            _check_type(inner)
        case {"type": "map", "keyType": key, "valueType": value, "valueContainsNull": bool()}:
            _check_type(key)
            _check_type(value)
        case {"type": "udt"}:
            _check_type(kind.get("sqlType", ""))
        case _:
            raise EntryError("its schema has a type that is not one of Delta's")


def _check_field(field: Any) -> None:
    match field:
        case {"name": str(), "type": kind, "nullable": bool()} if isinstance(field.get("metadata", {}), dict):
            _check_type(kind)
        case _:
            raise EntryError("its schema has a column without a name, a type, `nullable` or metadata of their types")


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_size(value: Any) -> bool:
    return type(value) is int and 0 <= value < 2**63


def _is_number(value: Any) -> bool:
    return type(value) is int and -(2**63) <= value < 2**63


def _is_list_of_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(each, str) for each in value)


def _is_map_of_texts(value: Any) -> bool:
    return isinstance(value, dict) and all(isinstance(each, str | None) for pair in value.items() for each in pair)


def _is_vector(value: Any) -> bool:
    match value:
        case {"storageType": str(), "pathOrInlineDv": str(), "sizeInBytes": int(size), "cardinality": int(rows)}:
            offset = value.get("offset") or 0
            return all(_is_size(each) and each < 2**31 for each in (size, offset)) and _is_size(rows)
        case _:
            return False


def _or_none(fits: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: value is None or fits(value)


_TEXT = (_is_text, "a text")
_SIZE = (_is_size, "a whole number that is not negative")
_NUMBER = (_is_number, "a whole number")
_VECTOR = ("deletionVector", _or_none(_is_vector), "a deletion vector")

_FIELDS: dict[str, tuple[tuple[str, Callable[[Any], bool], str], ...]] = {
    "add": (
        ("path", *_TEXT),
        ("size", *_SIZE),
        ("partitionValues", _or_none(_is_map_of_texts), "an object of texts"),
        ("stats", _or_none(_is_text), "a text"),
        _VECTOR,
    ),
    "remove": (("path", *_TEXT), _VECTOR),
    "metaData": (
        ("schemaString", *_TEXT),
        ("partitionColumns", _is_list_of_texts, "a list of texts"),
        ("configuration", _or_none(_is_map_of_texts), "an object of texts"),
        ("id", _or_none(_is_text), "a text"),
    ),
    "protocol": (
        ("minReaderVersion", _or_none(_is_size), "a whole number"),
        ("minWriterVersion", _or_none(_is_size), "a whole number"),
        ("readerFeatures", _or_none(_is_list_of_texts), "a list of texts"),
        ("writerFeatures", _or_none(_is_list_of_texts), "a list of texts"),
    ),
    "txn": (("appId", *_TEXT), ("version", *_NUMBER)),
    "sidecar": (("path", *_TEXT), ("sizeInBytes", *_SIZE)),
    "commitInfo": (),
}
"""The fields that are used here of each action: what their values must be."""
