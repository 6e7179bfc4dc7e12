"""The base of every group of settings, and what it hides when it is shown."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from functools import reduce
from typing import Annotated, Any, ClassVar, TypeVar

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PrivateAttr,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic.fields import FieldInfo
from typing_extensions import Self

from spark_infer.config.params import shown_params
from spark_infer.config.secrets import HIDDEN, hide, secret_texts

ModuleFunction = Annotated[str, Field(pattern=r"^[A-Za-z_][\w.]*:[A-Za-z_]\w*$")]
ColumnName = Annotated[str, Field(min_length=1)]
PathText = Annotated[str, BeforeValidator(lambda given: os.fspath(given) if isinstance(given, os.PathLike) else given)]
"""A path or a URI; a `pathlib.Path` becomes text."""
LISTED = BeforeValidator(lambda given: (given,) if isinstance(given, str) else given)
TextList = Annotated[tuple[str, ...], LISTED]
NameList = Annotated[tuple[ColumnName, ...], LISTED]
"""Names of columns; a single one stands for a list of itself."""
Shown = TypeVar("Shown")


class KeysError(ValueError):
    """Several keys of a group do not go together; a job file's lines are found by the keys, dotted from the group."""

    def __init__(self, message: str, *keys: str) -> None:
        super().__init__(message)
        self.keys = keys


def rule(*keys: str) -> Callable[[Callable[..., str]], Any]:
    """Make a function of the values of several keys a rule of their group.

    It returns what does not fit and what to change, or an empty text. Pydantic applies it as soon as all of its keys
    are right in themselves, whatever else is wrong.

    Args:
        keys: The keys; `target.mode` is one of a group below.
    """
    paths = [key.split(".") for key in keys]

    def made(fits: Callable[..., str]) -> Any:
        def check(cls: type[Frozen], value: Any, info: ValidationInfo) -> Any:
            data = {**info.data, str(info.field_name): value}
            if all(path[0] in data for path in paths):  # at the last of the fields
                values = [reduce(getattr, path[1:], data[path[0]]) for path in paths]
                if problem := fits(*values):
                    raise KeysError(problem, *keys)
            return value

        return field_validator(*(path[0] for path in paths))(classmethod(check))

    return made


class Frozen(BaseModel):
    """A group of settings that cannot change once made and takes no key it does not know."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        hide_input_in_errors=True,
        protected_namespaces=(),
        populate_by_name=True,
        validate_default=True,  # for rules about keys that are left out
    )
    free_names: ClassVar[tuple[str, ...]] = ()
    """Fields whose keys are the user's own; those that are named like secrets hold secrets."""
    plain_key: ClassVar[str] = ""
    """The one key that a plain value stands for: `source: data/flights`."""
    _secrets: dict[str, str] = PrivateAttr(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _spell_out(cls, given: Any) -> Any:
        """Accept a plain value for its key, and the default for a group, list or mapping with nothing in it."""
        if cls.plain_key and isinstance(given, str | bool | os.PathLike):
            return {cls.plain_key: given}
        if not isinstance(given, Mapping):
            return given
        optional = {name for name, field in cls.settings().items() if field.default_factory or field.default == ()}
        return {name: value for name, value in given.items() if value is not None or name not in optional}

    @classmethod
    def settings(cls) -> dict[str, FieldInfo]:
        """Return what can be set, by the names that users write; `model_config` is a word of pydantic's own."""
        return {field.alias or name: field for name, field in cls.model_fields.items()}

    def with_secrets(self, secrets: Mapping[str, str]) -> Self:
        """Note which values the job file declares secret (value to ``${secret:NAME}``), here and in every group below.

        A group remembers its own alone: the options of a model travel to workers, a server's password must not.
        """
        texts = list(_texts(self.model_dump()))
        self._secrets = {value: name for value, name in secrets.items() if any(value in text for text in texts)}
        for group in self._groups():
            group.with_secrets(secrets)
        return self

    def hide(self, value: Shown) -> Shown:
        """Return ``value`` (text, or lists and mappings of it) without the secrets of these settings.

        Whatever is made from a job file and may quote it passes through here before it is shown.
        """
        return hide(value, self.known_secrets())

    def known_secrets(self) -> dict[str, str]:
        """Every secret of this group and those below, and what is shown in its place."""
        known: dict[str, str] = {}
        for name in type(self).model_fields:
            value = getattr(self, name)
            if name in self.free_names or isinstance(value, str):
                known |= dict.fromkeys(secret_texts(value), HIDDEN)
        for group in self._groups():
            known |= group.known_secrets()
        return known | self._secrets

    def _groups(self) -> Iterator[Frozen]:
        for name in type(self).model_fields:
            value = getattr(self, name)
            yield from (item for item in (value if isinstance(value, tuple) else (value,)) if isinstance(item, Frozen))

    def __repr_args__(self) -> Iterator[tuple[str | None, Any]]:
        known = self.known_secrets()
        for name, value in super().__repr_args__():
            yield name, hide(shown_params(value) if name in self.free_names else value, known)


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping | list | tuple):
        for item in value.values() if isinstance(value, Mapping) else value:
            yield from _texts(item)
