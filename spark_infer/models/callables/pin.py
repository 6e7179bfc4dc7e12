"""From a plain Python model to a `ModelRef`: its code gets a digest, and a folder in the store like any model's files.

What stands in the digest: the pickled code with all that it holds, the source of every module of its package (of a
pickle: of each package that it refers to and that is not an installed library), and what its user says of it. Not in
it: other packages, data files, and what the code reads when it runs.
"""

from __future__ import annotations

import hashlib
import importlib
import inspect
import json
import re
from collections.abc import Mapping, Set
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from spark_infer.config import ScoreOptions
from spark_infer.core.exception_text import text_of
from spark_infer.core.signature import Column
from spark_infer.errors import ConfigError, EnvironmentProblem, ModelNotFoundError, install_extra, nearest
from spark_infer.models.callables.callable_model import SCHEME, CallableModel
from spark_infer.models.callables.callable_signature import ParseDDL, columns_of, signature_of
from spark_infer.models.callables.python_code import PICKLE, BatchFormat, PythonCode
from spark_infer.models.callables.sources import digest_of, is_installed, is_of_python, package_sources, sources_of
from spark_infer.models.files.store import ModelStore
from spark_infer.models.mlmodel import MLModel
from spark_infer.models.ref import ModelRef
from spark_infer.models.trust.policy import require_trusted

if TYPE_CHECKING:
    from spark_infer.models.callables.pickled import Dumped

_FACTS = "python_model.json"
_TARGET = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_][\w.]*")


def pin_callable(
    model: CallableModel, options: ScoreOptions, store: ModelStore, parse_ddl: ParseDDL = lambda text: None
) -> ModelRef:
    """Give a plain Python model an identity, and put its code into the store.

    Args:
        model: The model.
        options: ``inputs``, where the model names none itself; and which models may run.
        store: Where the code is kept.
        parse_ddl: Reads a list of columns in DDL; without it, inputs are names or a schema.

    Raises:
        ModelNotFoundError: The module, or the name in it, cannot be imported here.
        ModelRefusedError: It may not run, is not a function of a batch, or cannot be pickled.
        ConfigError: What is said of it does not fit.
    """
    target = _target(model)
    name = model.name or target or _own_name(model.predictor)
    given = model.inputs if model.inputs is not None else options.inputs
    inputs = () if given is None else columns_of(given, parse_ddl)
    data = None
    if target:
        require_target(target)
        modules: tuple[str, ...] = (target.partition(":")[0],)
    else:
        data, named = _pickled(model.predictor, name)
        modules = _own_modules(model.predictor, named)
    sources = digest_of(sources_of(modules))
    facts = {
        "name": name,
        "target": target,
        "sources": sources,
        "arguments": hashlib.sha256(_as_json(model.arguments, name).encode()).hexdigest(),
        "batch_format": model.batch_format,
        "inputs": [[column.name, str(column.type)] for column in inputs],
        "outputs": None if model.outputs is None else [[field.name, str(field.type)] for field in model.outputs],
    }
    digest = store.receive(partial(_write, json.dumps(facts, sort_keys=True, indent=1), data))
    code = PythonCode(
        target=target,
        modules=modules,
        sources=sources,
        batch_format=model.batch_format,
        arguments=dict(model.arguments),
    )
    ref = _ref(name, target, digest, store, code)
    require_trusted(ref, options, store.path(digest))
    predictor = import_target(target) if target else model.predictor
    return replace(ref, mlmodel=_mlmodel(code, predictor, inputs, model.outputs))


def uri_of(model: CallableModel) -> str:
    """Return the URI that stands for a plain Python model in plans and job settings."""
    return f"{SCHEME}:{_target(model) or model.name or _own_name(model.predictor)}"


def _target(model: CallableModel) -> str:
    return model.predictor if isinstance(model.predictor, str) else _importable(model.predictor)


def import_target(target: str) -> Any:
    """Import ``module:name``.

    Raises:
        ModelNotFoundError: The module does not import, or holds nothing of that name.
        ConfigError: The name is that of a function or class of Python's standard library.
    """
    module_name, _, path = target.partition(":")
    try:
        found: Any = importlib.import_module(module_name)
    except (Exception, SystemExit) as error:
        raise ModelNotFoundError(
            f"The Python model {target!r} cannot be imported here ({type(error).__name__}: {text_of(error)}).",
            next_step=_WHERE_MODULES_ARE,
        ) from error
    for part in path.split("."):
        names = list(vars(found)) if hasattr(found, "__dict__") else []
        if not hasattr(found, part):
            raise ModelNotFoundError(f"Module {module_name!r} has no {path!r}{nearest(part, names)}.")
        found = getattr(found, part)
    if (inspect.isroutine(found) or inspect.isclass(found)) and is_of_python(found.__module__ or ""):
        raise _of_python(target)
    return found


def _of_python(target: str) -> ConfigError:
    return ConfigError(
        f"{target!r} is a part of Python itself, and no model.",
        next_step="name a function or class of your own: package.module:name.",
    )


_WHERE_MODULES_ARE = (
    "install its package where Python runs, on the driver and the workers, name its folder in PYTHONPATH "
    "(`PYTHONPATH=.` for the current one), or ship it with spark-submit --py-files."
)


def _ref(name: str, target: str, digest: str, store: ModelStore, code: PythonCode) -> ModelRef:
    return ModelRef(
        uri=f"{SCHEME}:{target or name}",
        name=name,
        version=digest[:12],
        source=target or "the code of the caller",
        flavors=(SCHEME,),
        digest=digest,
        size_bytes=store.size_bytes(digest),
        mlmodel=MLModel(flavors={}, code=code),
    )


def _mlmodel(code: PythonCode, predictor: object, inputs: tuple[Column, ...], outputs: pa.Schema | None) -> MLModel:
    if not isinstance(predictor, type) and code.arguments:
        raise ConfigError(
            "`arguments` are for the constructor of a class, and this Python model is none.",
            next_step="leave them out; inference parameters of a function are keyword-only parameters, which `params` "
            "sets.",
        )
    signature, hint = signature_of(predictor, inputs, outputs)
    if code.batch_format == "auto":
        code = replace(code, batch_format=_format_of(hint))
    return MLModel(flavors={}, signature=signature, code=code)


def _format_of(hint: object) -> BatchFormat:
    if isinstance(hint, type) and issubclass(hint, pa.RecordBatch | pa.Table):
        return "pyarrow"
    is_frame = getattr(hint, "__name__", "") == "DataFrame" and getattr(hint, "__module__", "").startswith("pandas")
    return "pandas" if is_frame else "numpy"


def _importable(predictor: Any) -> str:
    """Return ``module:name`` of what a worker can import as it is; "" of others, which are pickled."""
    module, path = getattr(predictor, "__module__", None), getattr(predictor, "__qualname__", None)
    if not module or not path or module == "__main__" or not package_sources(module):
        return ""
    try:
        found = import_target(f"{module}:{path}")
    except ModelNotFoundError:
        return ""
    return f"{module}:{path}" if found is predictor and not _by_value(module) else ""


def _by_value(module: str) -> bool:
    """Whether its user told cloudpickle not to import it in workers."""
    try:
        import cloudpickle
    except ModuleNotFoundError:
        return False
    parts = module.split(".")
    outer = {".".join(parts[: count + 1]) for count in range(len(parts))}
    return bool(outer & cloudpickle.list_registry_pickle_by_value())


def require_target(target: str) -> None:
    """Require that a name is that of a module with a source that is not one of Python; imports nothing."""
    module = target.partition(":")[0]
    if not _TARGET.fullmatch(target):
        raise ConfigError(
            f"{target!r} does not name a Python model.", next_step="write package.module:name, without brackets."
        )
    if is_of_python(module):
        raise _of_python(target)
    if not package_sources(module):
        raise ModelNotFoundError(
            f"The Python model {target!r} cannot be imported here: there is no module {module!r} with a source.",
            next_step=_WHERE_MODULES_ARE,
        )


def _own_modules(predictor: Any, named: Set[str]) -> tuple[str, ...]:
    """Return the modules of a pickle whose source is its user's: of what is called, and all that are not installed."""
    while isinstance(predictor, partial):
        predictor = predictor.func
    own = getattr(getattr(predictor, "__self__", predictor), "__module__", None)
    others = (each for each in named if not (is_of_python(each) or _by_value(each)))
    return tuple(sorted(each for each in others if each == own or not is_installed(each)))


def _pickled(predictor: object, name: str) -> Dumped:
    try:
        from spark_infer.models.callables.pickled import dump
    except ModuleNotFoundError as error:
        raise EnvironmentProblem(
            "Functions and classes of a script or notebook travel by cloudpickle, which is not installed.",
            next_step=f"{install_extra('python')}, or put the code into a module that the workers can import.",
        ) from error
    return dump(predictor, name)


def _own_name(predictor: object) -> str:
    named = getattr(predictor, "__qualname__", None) or type(predictor).__qualname__
    return str(named).rpartition(".")[2].strip("<>")


def _as_json(arguments: Mapping[str, Any], name: str) -> str:
    try:
        return json.dumps(arguments, sort_keys=True)
    except (TypeError, ValueError) as error:
        raise ConfigError(
            f"The `arguments` of {name} are not plain values: {text_of(error)}.",
            next_step="give text, numbers, lists and mappings; an object of your class can hold anything else.",
        ) from error


def _write(facts: str, data: bytes | None, folder: Path) -> None:
    (folder / _FACTS).write_text(facts, encoding="utf-8")
    if data is not None:
        (folder / PICKLE).write_bytes(data)
