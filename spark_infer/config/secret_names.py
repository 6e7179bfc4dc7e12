"""Which names are those of secrets."""

from __future__ import annotations

import re

_PARTS = re.compile(
    r"secret(?!ar|e|i)|passw(?:or[dt]|d|$|_)|passphrase|credential|connection_?string|auth_?token|"
    r"(?:api|access|account|private)_?key"
)
"""What makes a name that of a secret wherever it stands, also in a longer word (`dbpassword`, `apikey`)."""

_WORDS = re.compile(r"pwd|auth|authorization|bearer|creds|sas|sig|signature|pat|keys?|tokens?")
"""Whole words that do so."""

_OF_DATA = {
    "key": re.compile(
        r"sort|order|group|join|merge|partition|primary|foreign|column|feature|label|cache|public|surrogate|natural|"
        r"business|composite|candidate|unique|range|lookup|dim|dimension|fact|row|record|date|time|customer|product|"
        r"item|store|entity|household|member|employee|vendor|supplier|location|region|country|event|invoice|"
        r"policy|claim|patient|shipment|segment|department|category|brand|campaign|channel"
    ),
    "token": re.compile(r"eos|bos|pad|unk|mask|sep|cls|start|special|count|limit|budget|type"),
    "tokens": re.compile(
        r"max|min|num|new|n|input|output|prompt|completion|stop|suppress|special|count|limit|budget|per"
    ),
}
"""With one of these in the name, the word is one of data: ``sort_key``, ``max_tokens``, ``eos_token``."""
_OF_DATA["keys"] = _OF_DATA["key"]

_FACT = re.compile(
    r"ids?|index(?:es)?|indices|col(?:umn)?s?|fields?|names?|features?|len(?:gths?)?|sizes?|counts?|types?|embeddings?|mask|"
    r"vocab|dims?|methods?|mode|scheme|provider|enabled|level"
)
"""A word before one of these is not a secret, but a fact of one: ``token_ids``, ``key_columns``, ``auth_method``."""


def is_secret(name: str) -> bool:
    """Whether a name is that of a secret; ``_``, ``-``, ``.``, digits and capitals separate its words.

    It is asked of names of settings alone (``spark.conf``, a model's parameters, configuration and environment,
    parameters of addresses and connection strings), and never of names of columns. The rule hides a harmless ``key``
    sooner than it shows a secret.

    >>> [name for name in ("api-key", "hfToken", "sort_key", "max_tokens", "author") if is_secret(name)]
    ['api-key', 'hfToken']
    """
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name)
    words = [word.lower() for word in re.split(r"[\W\d_]+", spaced) if word]
    if _PARTS.search("_".join(words)):
        return True
    return any(_WORDS.fullmatch(word) and not _is_of_data(at, words) for at, word in enumerate(words))


def _is_of_data(at: int, words: list[str]) -> bool:
    of_data = _OF_DATA.get(words[at])
    return any(map(_FACT.fullmatch, words[at + 1 : at + 2])) or (
        of_data is not None and any(map(of_data.fullmatch, words))
    )
