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
from urllib.parse import parse_qsl, unquote

Shown = TypeVar("Shown")

HIDDEN = "***"

_PARTS = re.compile(
    r"secret|passw|passphrase|credential|api_?key|access_?key|account_?key|private_?key|connection_?string|auth_?token"
)
"""What makes a name that of a secret wherever it stands, also in a longer word (`dbpassword`, `apikey`)."""

_WORDS = re.compile(r"pwd|auth|authorization|bearer|creds|sas|sig|signature|pat|keys?|tokens?")
"""Whole words that do so."""

_OF_DATA = {
    "key": r"sort|order|group|join|merge|partition|primary|foreign|column|feature|label|cache|public",
    "token": r"eos|bos|pad|unk|mask|sep|cls|start|special|count|limit|budget|type",
    "tokens": r"max|min|num|new|n|input|output|prompt|completion|stop|suppress|special|count|limit|budget|per",
}
"""With one of these in the name, the word is one of data: ``sort_key``, ``max_tokens``, ``eos_token_id``."""
_OF_DATA["keys"] = _OF_DATA["key"]

_PLAIN_USERS = ("abfs", "abfss", "wasb", "wasbs", "hdfs", "viewfs")
"""Schemes in which a name alone before the ``@`` is a container's or a user's, and no secret."""

# Every repetition has a bound: a text from outside may be long, and made to take a search ages.
_SCHEME = r"\b([A-Za-z][A-Za-z0-9+.\-]{0,30})://"
_USERINFO = re.compile(_SCHEME + r"([^/\s?#]{0,4096})@")
# Passwords may hold a slash that nobody escaped; digits up to a slash are the port of a host.
_LONG_USERINFO = re.compile(_SCHEME + r"([^\s/@:\[]{1,255}:(?!\d{1,5}(?:/|\s|$))[^\s'\"]{0,4096})@")
# SQLAlchemy and object stores know no port there: it is a password whatever it begins with.
_PORTLESS_USERINFO = re.compile(
    r"\b((?:(?:postgresql|mysql|mssql|oracle)[A-Za-z0-9+]{0,20}|s3[an]?|gs|gcs|abfss?|wasbs?))://"
    r"([^\s/@:]{1,255}:\S{0,4096})@"
)
_BARE_USERINFO = re.compile(
    r"(?<![^\s'\"(,])((?!https?:|models:|runs:)[A-Za-z][\w.+-]{0,255}:[^\s/@'\"][^\s@'\"]{0,4096})@(?=[A-Za-z0-9])"
)
_ORACLE_USERINFO = re.compile(r"(\bjdbc:oracle:\w{1,20}:)([^\s@:]{1,255}/[^\s@]{1,4096})@")
_QUERY = re.compile(r"(\b[A-Za-z][A-Za-z0-9+.\-]{0,30}:/[^\s?#'\"<>]{0,4096})\?[^\s'\"<>)]*")
# Error texts of HTTP libraries name the path apart from its host: "... with url: /api/…?token=…".
_BARE_QUERY = re.compile(r"(\burl: /[^\s?#]{0,4096})\?[^\s'\"<>)]*")
# Connection strings and options of a JVM; a condition such as `token = 5` is neither.
_PAIR = re.compile(
    r"((?:[;&?]|-D)([\w.-]{1,255})=|\b([\w.-]{1,255})=(?=[^;\s'\"]{0,4096};))(\{[^}\n]{0,4096}\}|[^;&\s'\"]+)"
)
_PARTITION_VALUE = re.compile(r"(?<=[^/=\s])=[^/\n]+(?=/)")

_LONG_ENOUGH = 8
_TOO_SHORT = 4


def is_secret(name: str) -> bool:
    """Whether a name is that of a secret; ``_``, ``-``, ``.``, digits and capitals separate its words.

    The rule hides a harmless ``key`` sooner than it shows a secret.

    >>> [name for name in ("api-key", "hfToken", "sort_key", "max_tokens", "author") if is_secret(name)]
    ['api-key', 'hfToken']
    """
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name)
    words = [word.lower() for word in re.split(r"[\W\d_]+", spaced) if word]
    if _PARTS.search("_".join(words)):
        return True
    return any(_WORDS.fullmatch(word) and not _is_of_data(word, words) for word in words)


def _is_of_data(word: str, words: list[str]) -> bool:
    return word in _OF_DATA and any(re.fullmatch(_OF_DATA[word], each) for each in words)


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
    """All spellings of known secrets that can be told from other words, and what to show for each."""
    shown = {value: name for value, name in known if len(value) >= _TOO_SHORT}
    # An error often quotes a value, and quoting escapes it.
    shown |= {form: name for value, name in shown.items() for form in (repr(value)[1:-1], json.dumps(value)[1:-1])}
    forms = [
        re.escape(form) if len(form) >= _LONG_ENOUGH else rf"(?<!\w){re.escape(form)}(?!\w)"
        for form in sorted(shown, key=len, reverse=True)
    ]
    return re.compile("|".join(forms)), shown


def without_secrets(text: str) -> str:
    """Take user names, passwords and query strings out of every address in a text, and secrets out of ``name=value``.

    A query goes whole: signatures of object stores and passwords of databases both live there.

    >>> without_secrets("https://me:pw@host/a?sig=1 failed")
    'https://host/a failed'
    """
    text = _without_users(text)
    if "?" in text:
        text = _BARE_QUERY.sub(r"\1", _QUERY.sub(r"\1", text))
    return _PAIR.sub(_without_value, text) if "=" in text else text


def without_partition_values(path: str) -> str:
    """Take the values of partition columns, which are values of rows, out of every path in a text.

    >>> without_partition_values("/data/t/name=Alice/part-00000-4711.parquet")
    '/data/t/name=…/part-00000-4711.parquet'
    """
    return _PARTITION_VALUE.sub("=…", path)


def holds_credentials(uri: str) -> bool:
    """Whether a URI has a user part with a secret, or a secret among the parameters of its query."""
    if "://" not in uri:
        return False
    query = uri.partition("?")[2].partition("#")[0]
    return _without_users(uri) != uri or any(is_secret(name) for name, _ in parse_qsl(query, keep_blank_values=True))


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
        for user in (match[2] for pattern in (_PORTLESS_USERINFO, _LONG_USERINFO) for match in pattern.finditer(value)):
            password = user.partition(":")[2]
            yield from {password, unquote(password)}


def _without_users(text: str) -> str:
    if "@" not in text:
        return text
    for pattern in (_PORTLESS_USERINFO, _LONG_USERINFO, _USERINFO):
        text = pattern.sub(_without_user, text)
    return _BARE_USERINFO.sub("", _ORACLE_USERINFO.sub(r"\1", text))


def _without_user(found: re.Match[str]) -> str:
    scheme, user = found.groups()
    keeps = scheme.lower() in _PLAIN_USERS and ":" not in user
    return found.group() if keeps else f"{scheme}://"


def _without_value(found: re.Match[str]) -> str:
    start, first, second, _ = found.groups()
    return f"{start}{HIDDEN}" if is_secret(first or second) else found.group()
