"""The base of every group of settings, and what it hides when it is shown."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Self, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PrivateAttr
from pydantic.fields import FieldInfo

ModuleFunction = Annotated[str, Field(pattern=r"^[A-Za-z_][\w.]*:[A-Za-z_]\w*$")]
ColumnName = Annotated[str, Field(min_length=1)]
PathText = Annotated[str, BeforeValidator(lambda given: os.fspath(given) if isinstance(given, os.PathLike) else given)]
"""A path or a URI; a `pathlib.Path` becomes text."""
Shown = TypeVar("Shown")


class Frozen(BaseModel):
    """A group of settings that cannot change once made and takes no key it does not know."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", hide_input_in_errors=True, protected_namespaces=(), populate_by_name=True
    )
    _environment: dict[str, str] = PrivateAttr(default_factory=dict)

    @classmethod
    def settings(cls) -> dict[str, FieldInfo]:
        """Return what can be set, by the names that users write; `model_config` is a word of pydantic's own."""
        return {field.alias or name: field for name, field in cls.model_fields.items()}

    def with_environment(self, environment: Mapping[str, str]) -> Self:
        """Note which values came from the environment (value to ``${NAME}``), here and in every group below.

        A group remembers its own alone: the options of a model travel to workers, a server's password must not.
        """
        texts = list(_texts(self.model_dump()))
        self._environment = {value: name for value, name in environment.items() if any(value in text for text in texts)}
        for field in type(self).model_fields:
            value = getattr(self, field)
            for item in value if isinstance(value, tuple) else (value,):
                if isinstance(item, Frozen):
                    item.with_environment(environment)
        return self

    def hide_environment(self, value: Shown) -> Shown:
        """Return ``value`` (text, or lists and mappings of it) with what came from the environment as ``${NAME}``.

        Whatever is made from a job file passes through here before it is shown. Values shorter than
        four characters are replaced only where they are the whole text: they are in too many words.
        """
        hidden: Shown = _hide(value, self._environment)
        return hidden

    def __repr_args__(self) -> Iterator[tuple[str | None, Any]]:
        for name, value in super().__repr_args__():
            yield name, self.hide_environment(value)


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping | list | tuple):
        for item in value.values() if isinstance(value, Mapping) else value:
            yield from _texts(item)


def _hide(value: Any, environment: Mapping[str, str]) -> Any:
    if not environment:
        return value
    if isinstance(value, str):
        return _hide_text(value, environment)
    if isinstance(value, Mapping):
        return {_hide(key, environment): _hide(item, environment) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_hide(item, environment) for item in value)
    return value


def _hide_text(text: str, environment: Mapping[str, str]) -> str:
    if text in environment:
        return environment[text]
    shown = {value: name for value, name in environment.items() if len(value) >= 4}
    # An error often quotes a value, and quoting escapes it.
    shown |= {form: name for value, name in shown.items() for form in (repr(value)[1:-1], json.dumps(value)[1:-1])}
    # A short word may be part of a longer one that has nothing to do with it.
    forms = [
        rf"\b{re.escape(form)}\b" if len(form) < 8 and form.isidentifier() else re.escape(form)
        for form in sorted(shown, key=len, reverse=True)
    ]
    return re.sub("|".join(forms), lambda match: shown[match[0]], text) if forms else text
