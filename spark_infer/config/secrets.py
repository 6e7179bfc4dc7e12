"""What is secret by where it stands, and the one function that hides it wherever text leaves the program.

A value is secret where its name is that of a secret (``api_key``, ``fs.azure.account.key.…``), where it is the user
part or the query of an address, or where the job file says ``${secret:NAME}``. All else is shown as it is.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any, TypeVar
from urllib.parse import quote, quote_plus, unquote

from spark_infer.config.addresses import HIDDEN, holds_credentials, passwords_in, possessive, without_secrets
from spark_infer.config.secret_names import is_secret

__all__ = [
    "HIDDEN",
    "hide",
    "holds_credentials",
    "is_secret",
    "secret_texts",
    "without_partition_values",
    "without_secrets",
]

Shown = TypeVar("Shown")

_FOLDER = possessive(r"(?<![^/\n])[^/\n]++/")
_VALUE = re.compile(r"(?<=[^/=\s])=[^/]")

_LONG_ENOUGH = 8
_TOO_SHORT = 4


def hide(value: Shown, known: Mapping[str, str] | None = None) -> Shown:
    """Return text, or lists and mappings of it, without its secrets.

    Everything that the program prints or leaves behind and that may hold text of a user, a registry or a library
    passes through here.

    Args:
        value: What is going to be shown.
        known: Values that are known to be secret, and what to show in their place. One of less than four characters
            is replaced only where it is the whole text, one of less than eight only between other characters than
            letters and digits: they are parts of too many words.
    """
    hidden: Shown = _hide(value, known or {})
    return hidden


def _hide(value: Any, known: Mapping[str, str]) -> Any:
    if isinstance(value, str):
        return without_secrets(_without_known(value, known))
    if isinstance(value, Mapping):
        return {_hide(key, known): _hide(item, known) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_hide(item, known) for item in value)
    return value


def _without_known(text: str, known: Mapping[str, str]) -> str:
    if text in known:
        return known[text]
    found, shown = _forms(tuple(known.items()))
    return found.sub(lambda match: shown[match[0]], text) if shown else text


@lru_cache(maxsize=8)
def _forms(known: tuple[tuple[str, str], ...]) -> tuple[re.Pattern[str], Mapping[str, str]]:
    """All spellings of known secrets that differ from ordinary words, and what to show for each."""
    shown = {value: name for value, name in known if len(value) >= _TOO_SHORT}
    # An error often quotes a value, and quoting escapes it; an address spells it in percents.
    shown |= {form: name for value, name in shown.items() for form in _spellings(value)}
    forms = [
        re.escape(form) if len(form) >= _LONG_ENOUGH else rf"(?<!\w){re.escape(form)}(?!\w)"
        for form in sorted(shown, key=len, reverse=True)
    ]
    return re.compile("|".join(forms)), shown


def _spellings(value: str) -> tuple[str, ...]:
    return repr(value)[1:-1], json.dumps(value)[1:-1], quote(value), quote(value, safe=""), quote_plus(value)


def without_partition_values(path: str) -> str:
    """Take the values of partition columns, which are values of rows, out of every path in a text.

    >>> without_partition_values("/data/t/name=Alice/part-00000-4711.parquet")
    '/data/t/name=…/part-00000-4711.parquet'
    """
    return _FOLDER.sub(_without_value, path)


def _without_value(folder: re.Match[str]) -> str:
    found = _VALUE.search(folder[0])
    return folder[0] if found is None else f"{folder[0][: found.start()]}=…/"


def secret_texts(value: Any, *, is_secret_value: bool = False) -> Iterator[str]:
    """Yield the values that are secret by where they stand: below a name of a secret, and passwords in addresses."""
    if isinstance(value, Mapping):
        for name, item in value.items():
            yield from secret_texts(item, is_secret_value=is_secret_value or is_secret(str(name)))
    elif isinstance(value, list | tuple):
        for item in value:
            yield from secret_texts(item, is_secret_value=is_secret_value)
    elif is_secret_value and value not in (None, "", True, False):
        yield str(value)
    elif isinstance(value, str):
        for password in passwords_in(value):
            yield from {password, unquote(password)}
