"""What a model says about itself: its ``MLmodel`` file, read as data that may be hostile.

Nothing the file names is imported or opened here. Its paths must stay inside the model folder, because
MLflow and the backends join them to it unchecked
(https://mlflow.org/docs/latest/ml/model/#mlmodel-file).
"""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

import yaml

from spark_infer.core.signature import Signature
from spark_infer.errors import ModelNotFoundError, ModelRefusedError
from spark_infer.models.callables.python_code import PythonCode

MLMODEL = "MLmodel"

_MAX_BYTES = 8 * 2**20
_MAX_NODES = 200_000
_MAX_DEPTH = 64

# What MLflow's flavors join to the model folder. Not `model_code_path`: MLflow takes only its last part, and writes
# the path of the author's machine. Not `uri`: where an artifact came from.
_PATH_KEYS = frozenset(
    {
        *("artifact_path", "code", "conda", "data", "env", "extra_files", "model_binary", "model_data", "model_path"),
        *("model_py", "path", "pickled_model", "python_model", "requirements_file", "saved_model_dir"),
        *("serving_input_path", "virtualenv"),
    }
)

_Loader: type[yaml.SafeLoader] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True, kw_only=True)
class MLModel:
    """The parts of an ``MLmodel`` file that scoring needs, as plain values.

    Attributes:
        flavors: Flavor name to its settings, as MLflow wrote them.
        signature: The model's columns, or None where it was logged without.
        predict_fn: The method that the pyfunc flavor calls.
        mlflow_version: MLflow that wrote the file.
        model_uuid: MLflow's id for this very model; new with each log call.
        run_id: The run that logged it.
        has_input_example: Whether example rows lie in the folder.
        metadata: What it was logged with beside its flavors.
        code: What a plain Python model is; None for one that MLflow saved. No file says it.
    """

    flavors: Mapping[str, Mapping[str, Any]]
    signature: Signature | None = None
    predict_fn: str = "predict"
    mlflow_version: str | None = None
    model_uuid: str | None = None
    run_id: str | None = None
    has_input_example: bool = False
    metadata: Mapping[str, Any] = field(default_factory=dict)
    code: PythonCode | None = None

    @property
    def pyfunc(self) -> Mapping[str, Any] | None:
        """Settings of the pyfunc flavor, or None where the model has none."""
        return self.flavors.get("python_function")


def read_mlmodel(folder: Path) -> MLModel:
    """Read the ``MLmodel`` file of a model folder; nothing it names is imported or opened.

    Args:
        folder: The model folder.

    Raises:
        ModelNotFoundError: The folder is none, or holds no ``MLmodel``; says what is there instead.
        ModelRefusedError: The file is no MLmodel file, is far too large, or names a path outside the folder.
    """
    document = _parse(_read(folder))
    flavors = document.get("flavors")
    if not isinstance(flavors, dict) or not flavors or not all(isinstance(each, dict) for each in flavors.values()):
        raise _refused("`flavors` is not a mapping from flavors to their settings")
    example = document.get("saved_input_example_info")
    metadata = document.get("metadata")
    root = folder.resolve()
    for key, value in _paths({"flavors": flavors, "saved_input_example_info": example}):
        _check_path(root, key, value)
    pyfunc = flavors.get("python_function", {})
    return MLModel(
        flavors=flavors,
        signature=_signature(document),
        predict_fn=_text(pyfunc, "predict_fn") or "predict",
        mlflow_version=_text(document, "mlflow_version"),
        model_uuid=_text(document, "model_uuid"),
        run_id=_text(document, "run_id"),
        has_input_example=isinstance(example, dict),
        metadata=metadata if isinstance(metadata, dict) else {},
    )


def _read(folder: Path) -> bytes:
    path = folder / MLMODEL
    try:
        if not folder.is_dir():
            raise ModelNotFoundError(
                f"{folder} is not a folder." if folder.exists() else f"There is no folder {folder}.",
                next_step=f"Name the folder that holds the model's {MLMODEL} file.",
            )
        if not path.exists():
            raise ModelNotFoundError(
                f"{folder} holds no {MLMODEL} file, so it is no MLflow model.",
                details=[f"found instead: {_listing(folder)}"],
                next_step=f"Name the folder that holds the {MLMODEL} file itself.",
            )
        if not path.is_file() or not path.resolve().is_relative_to(folder.resolve()):
            raise _refused("it is not a plain file in the model folder")
        with path.open("rb") as file:
            text = file.read(_MAX_BYTES + 1)
    except OSError as error:
        raise ModelNotFoundError(
            f"{path} cannot be read: {error.strerror or error}.", next_step="Check that this user may read the folder."
        ) from error
    if len(text) > _MAX_BYTES:
        raise _refused(f"it is larger than {_MAX_BYTES >> 20} MiB")
    return text


def _listing(folder: Path, most: int = 8) -> str:
    inside = sorted(path.name + "/" * path.is_dir() for path in folder.iterdir())
    below = [f"{path.parent.name}/{MLMODEL}" for path in sorted(folder.glob(f"*/{MLMODEL}"))]
    names = (below + inside)[:most]
    return ", ".join(names) + (", …" if len(below + inside) > most else "") if names else "nothing, it is empty"


def _parse(text: bytes) -> dict[str, Any]:
    try:
        _check_events(text)
        node = yaml.compose(text, Loader=_Loader)
        _check_expansion(node)
        document = _plain(yaml.load(text, Loader=_Loader)) if node is not None else None
    except (yaml.YAMLError, UnicodeDecodeError, ValueError, RecursionError, OverflowError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f" (line {mark.line + 1})" if mark else ""
        problem = getattr(error, "problem", None) or type(error).__name__
        raise _refused(f"it is not plain YAML{where}: {problem}") from error
    if not isinstance(document, dict):
        raise _refused("it is not a mapping")
    return document


def _check_events(text: bytes) -> None:
    # Before anything recursive sees the file: a stream of events needs no memory and no stack.
    depth = 0
    for count, event in enumerate(yaml.parse(text, Loader=_Loader)):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > _MAX_DEPTH or count > 2 * _MAX_NODES:
            raise _refused("it is nested too deep, or has too many entries")


def _check_expansion(node: yaml.Node | None) -> None:
    # An alias costs nothing until something walks through it; so count what a walk would meet.
    sizes: dict[int, int | None] = {}

    def size(each: yaml.Node) -> int:
        if id(each) in sizes:
            known = sizes[id(each)]
            if known is None:
                raise _refused("it contains itself")
            return known
        sizes[id(each)] = None
        total = 1
        if isinstance(each, yaml.SequenceNode):
            total += sum(size(child) for child in each.value)
        elif isinstance(each, yaml.MappingNode):
            total += sum(size(key) + size(value) for key, value in each.value)
        if total > _MAX_NODES:
            raise _refused("its aliases multiply to far too many entries")
        sizes[id(each)] = total
        return total

    if node is not None:
        size(node)


def _plain(value: Any) -> Any:
    """Copy a parsed value with JSON's types only, so that it pickles to any Python."""
    if isinstance(value, dict):
        return {key if isinstance(key, str) else str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if isinstance(value, datetime.date):
        return value.isoformat()
    if value is None or isinstance(value, str | bool | int | float):
        return value
    raise ValueError(f"a value of type {type(value).__name__}")


def _paths(value: Any, key: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        for name, each in value.items():
            yield from _paths(each, name)
    elif isinstance(value, list):
        for each in value:
            yield from _paths(each, key)
    elif isinstance(value, str) and key in _PATH_KEYS:
        yield key, value


def _check_path(root: Path, key: str, value: str) -> None:
    windows, posix = PureWindowsPath(value), PurePosixPath(value)
    if posix.is_absolute() or windows.drive or windows.root or ".." in windows.parts or "\0" in value:
        raise _refused(f"`{key}` names {value!r}, which is outside the model folder")
    try:
        inside = (root / value).resolve().is_relative_to(root)
    except (OSError, RuntimeError):
        inside = False
    if not inside:
        raise _refused(f"`{key}` names {value!r}, and a link takes it outside the model folder")


def _signature(document: dict[str, Any]) -> Signature | None:
    try:
        return Signature.from_mlmodel(document)
    except RecursionError as error:
        raise _refused("its signature is nested too deep") from error


def _text(mapping: Mapping[str, Any], key: str) -> str | None:
    value = mapping.get(key)
    return None if value is None else str(value)


def _refused(complaint: str) -> ModelRefusedError:
    return ModelRefusedError(
        f"The model's {MLMODEL} file is refused: {complaint}.",
        next_step="Log the model again with MLflow; do not use a folder you do not trust.",
    )
