"""Which names are those of secrets, by the words that they are made of."""

from __future__ import annotations

import re

_PARTS = re.compile(
    r"secret|passw|passphrase|credential|api_?key|access_?key|private_?key|connection_?string|auth_?token"
)
"""What makes a name that of a secret wherever it stands, also in a longer word (`dbpassword`, `apikey`)."""

_WORDS = re.compile(r"pwd|auth|authorization|bearer|creds|sas|pat|keys?|tokens?")
"""Whole words that do so."""

_OF_DATA = {
    "key": r"sort|order|group|join|merge|partition|primary|foreign|column|feature|label|cache|public",
    "token": r"eos|bos|pad|unk|mask|sep|cls|start|special|count|limit|budget|type",
    "tokens": r"max|min|num|new|n|input|output|prompt|completion|stop|suppress|special|count|limit|budget|per",
}
"""With one of these in the name, the word is one of data: ``sort_key``, ``max_tokens``, ``eos_token_id``."""
_OF_DATA["keys"] = _OF_DATA["key"]


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
