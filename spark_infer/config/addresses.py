"""Take what is secret out of the addresses and connection strings in a text.

A text from outside may be long, and made to take a search ages: each pattern here goes over it once. None backtracks,
and none begins inside a run of characters that it has looked at from the beginning.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from itertools import zip_longest
from urllib.parse import parse_qsl

from spark_infer.config.secret_names import is_secret

HIDDEN = "***"


def possessive(pattern: str) -> re.Pattern[str]:
    """Compile a pattern whose repetitions without an end are possessive: ``*+`` and ``++``.

    Python 3.10 has none. No character that such a repetition takes can stand behind it, so the answer is the same, and
    what looks for an earlier end goes over the repetition once more, in vain.
    """
    return re.compile(re.sub(r"(?<=[*+}])\+", "", pattern) if sys.version_info < (3, 11) else pattern)


_PLAIN_USERS = ("abfs", "abfss", "wasb", "wasbs", "hdfs", "viewfs")
"""Schemes in which a name alone before the ``@`` is a container's or a user's, and no secret."""

_PORTLESS = possessive(r"(?:postgresql|mysql|mssql|oracle)[a-z0-9+]*+|s3[an]?|gs|gcs|abfss?|wasbs?")
"""Schemes of SQLAlchemy and object stores, where digits after the colon begin a password and are no port."""

_SCHEME = possessive(r"(?<![A-Za-z0-9+.\-])([A-Za-z0-9+.\-]++)://")
_USER = possessive(r"[^\s/@:\[?#'\"<>]*+:")
_PORT = possessive(r"\d{1,5}+(?:[/\s'\"?#,;)\]>]|[.:!](?:\s|$)|$)")
_WORD = possessive(r"\S*+")
_QUOTED = possessive(r"[^\s'\"<>]*+")
_AUTHORITY = possessive(r"[^\s/?#'\"<>]*+")
_MOST_WITH_BLANKS = 256

_UP_TO_AT = possessive(r"(?<![^\s'\"@])[^\s'\"@]++@")
_LABELLED = possessive(r"(?<![^(,])([A-Za-z][\w.+\-]*+):(?=[^/@])")
_NO_USERS = re.compile(
    r"https?|models|runs|jdbc|mailto|to|from|b?cc|by|contact|email|author|owner|time|at|since|until|date", re.IGNORECASE
)
"""Words before a colon whose text up to an ``@`` is no password: of addresses, of mail, of times."""
_TIME = re.compile(r"\d{1,2}(?::\d\d){1,2}@")
_DIGEST = possessive(r"sha\d++:")
_ORACLE = possessive(r"jdbc:oracle:\w++:")

# A query, or a fragment, of an address. Error texts of HTTP libraries name the path apart from its host: "url: /api?…".
_TAIL = r"(?:(\?[^\s'\"<>)]*+)|(\#[^\s'\"<>)]*+))?"
_ADDRESS = possessive(r"((?<![A-Za-z0-9+.\-])[A-Za-z0-9+.\-]++:/[^\s?#'\"<>]*+)" + _TAIL)
_PATH = possessive(r"(\burl: /[^\s?#'\"<>]*+)" + _TAIL)
_NAME = possessive(r"(?<![\w.\-])([\w.\-]++)=")

# Connection strings and options of a JVM; a condition such as `token = 5` is neither.
_PAIR = possessive(
    r"(?<![\w.\-])([\w.\-]++)="
    r"(\{[^{}\n]*+\}|\\*+\"[^\"\n]*+\"|\\*+'[^'\n]*+'|[^;&\s'\"]++)"
    r"((?<![\s;&])[^;&='\"\n]*+(?=;))?"
)
_NEXT = possessive(r";\s?[\w.\-]++=")


def without_secrets(text: str) -> str:
    """Take user names, passwords and query strings out of every address in a text, and secrets out of ``name=value``.

    A query goes whole: signatures of object stores and passwords of databases both live there. A fragment goes where
    it names a secret.

    >>> without_secrets("https://me:pw@host/a?sig=1 failed")
    'https://host/a failed'
    """
    if "@" in text:
        text = _UP_TO_AT.sub(_without_bare_user, _without_users(text))
    if "?" in text or "#" in text:
        text = _PATH.sub(_without_tail, _ADDRESS.sub(_without_tail, text))
    return _PAIR.sub(_without_value, text) if "=" in text else text


def passwords_in(text: str) -> Iterator[str]:
    """Yield the passwords in the user parts of a text's addresses, as they stand there."""
    for _, start, end in _users(text):
        if password := text[start : end - 1].partition(":")[2]:
            yield password


def holds_credentials(uri: str) -> bool:
    """Whether a URI has a user part with a secret, or a secret among the parameters of its query or fragment."""
    if "://" not in uri:
        return False
    query, _, fragment = uri.partition("?")[2].partition("#")
    names = [name for name, _ in parse_qsl(query, keep_blank_values=True)]
    names += _NAME.findall(fragment or uri.partition("#")[2])
    return _without_users(uri) != uri or any(map(is_secret, names))


def _users(text: str) -> Iterator[tuple[str, int, int]]:
    """Scheme, beginning and end (behind the ``@``) of each address's user part that may hold a secret."""
    found = list(_SCHEME.finditer(text)) if "@" in text else []
    for match, following in zip_longest(found, found[1:]):
        scheme, start = match[1].lower(), match.end()
        at = _end_of_user(scheme, text[start : following.start() if following else len(text)])
        if at and not (scheme in _PLAIN_USERS and ":" not in text[start : start + at]):
            yield scheme, start, start + at


def _end_of_user(scheme: str, rest: str) -> int:
    """Where the user part of an address ends, behind its ``@``; 0 where it has none.

    Args:
        scheme: In lower case.
        rest: What follows ``://``, up to the next address.
    """
    user = _USER.match(rest)
    if user is None or (_PORT.match(rest, user.end()) and not _PORTLESS.fullmatch(scheme)):
        return rest.rfind("@", 0, _length(_AUTHORITY, rest)) + 1
    # Nobody may have escaped the slashes, quotes and blanks of a password.
    for word in (_QUOTED, _WORD):
        if at := rest.rfind("@", 0, _length(word, rest)) + 1:
            return at
    at = rest.find("@", user.end(), user.end() + _MOST_WITH_BLANKS)
    within = rest[user.end() : at]
    is_password = at > 0 and scheme != "databricks" and not set(within) & set("\n'\"<>") and not within.endswith(" ")
    return at + 1 if is_password and rest[at + 1 : at + 2].isalnum() else 0


def _length(pattern: re.Pattern[str], text: str) -> int:
    found = pattern.match(text)
    return 0 if found is None else found.end()


def _without_users(text: str) -> str:
    kept, begin = [], 0
    for _, start, end in _users(text):
        kept.append(text[begin:start])
        begin = end
    return "".join([*kept, text[begin:]])


def _without_bare_user(found: re.Match[str]) -> str:
    """Take ``user:password@`` out where no scheme precedes it, and Oracle's ``user/password@``."""
    text, whole = found[0], found.string
    if (at := text.rfind("jdbc:oracle:")) >= 0 and (head := _ORACLE.match(text, at)):
        user, slash, _ = text[head.end() :].partition("/")
        return text[: head.end()] + ("" if user and slash and ":" not in user else text[head.end() :])
    if not whole[found.end() : found.end() + 1].isalnum() or _DIGEST.match(whole, found.end()):  # an image, pinned
        return text
    for label in _LABELLED.finditer(text):
        begins = label.start() > 0 or found.start() == 0 or whole[found.start() - 1] != "@"
        if begins and not _NO_USERS.fullmatch(label[1]) and not _TIME.match(text, label.end()):
            return text[: label.start()]
    return text


def _without_tail(found: re.Match[str]) -> str:
    place, _, fragment = found.groups()
    if not fragment or any(map(is_secret, _NAME.findall(fragment))):
        return str(place)
    return f"{place}{fragment.partition('?')[0]}"


def _without_value(found: re.Match[str]) -> str:
    name, _, rest = found.groups()
    text, end = found.string, found.end(2)
    # In the middle of a connection string, a value goes on behind a blank.
    within = text[max(0, found.start() - 1) : found.start()] in {";", "&", "?"} or _NEXT.match(text, found.end())
    if not (within or name.startswith("-D") or text[end : end + 1] in {";", "&"}) or not is_secret(name):
        return found[0]
    return f"{name}={HIDDEN}{'' if within else rest or ''}"
