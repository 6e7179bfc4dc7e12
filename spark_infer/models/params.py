"""Inference parameters: checked against the signature on the driver, completed with its defaults."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from spark_infer.core.signature import Param, Signature
from spark_infer.errors import ConfigError, nearest
from spark_infer.printable import kind_in_words

_PYTHON_TYPES: Mapping[str, tuple[type, ...]] = {
    "boolean": (bool,),
    "integer": (int,),
    "long": (int,),
    "float": (int, float),
    "double": (int, float),
    "string": (str,),
}


def resolve_params(
    signature: Signature | None, params: Mapping[str, Any], *, of_backend: Sequence[Param] = ()
) -> dict[str, Any]:
    """Return the parameters to predict with: those given, over the signature's defaults.

    Args:
        signature: The model's; one that declares no parameters takes none but those of the backend.
        params: Those given.
        of_backend: Those that the backend takes of any model.

    Raises:
        ConfigError: An unknown parameter, or a value of another type; all of them at once.
    """
    declared = {param.name: param for param in signature.params} if signature else {}
    known = {**{param.name: param for param in of_backend}, **declared}
    problems = [
        f"params.{name} is not a parameter of the model{nearest(name, known)}" for name in params if name not in known
    ]
    problems += [
        f"params.{name} must be {_expected(known[name])}, got {kind_in_words(value)}"
        for name, value in params.items()
        if name in known and not _fits(known[name], value)
    ]
    if problems:
        raise ConfigError(
            "The inference parameters do not fit the model's signature.",
            details=problems,
            next_step=f"its parameters are {sorted(known)}." if known else "its signature declares no parameters.",
        )
    if not params:
        return {}
    return {**{name: param.default for name, param in declared.items()}, **params}


def _expected(param: Param) -> str:
    return param.type if param.shape is None else f"a list of {param.type}"


def _fits(param: Param, value: Any) -> bool:
    if param.shape is not None:
        return isinstance(value, list | tuple) and all(_is_a(param.type, item) for item in value)
    return _is_a(param.type, value)


def _is_a(name: str, value: Any) -> bool:
    wanted = _PYTHON_TYPES.get(name, (object,))
    return isinstance(value, wanted) and (bool in wanted or object in wanted or not isinstance(value, bool))
