"""The source of the package that a module belongs to: found without importing it, and one digest of all of it."""

from __future__ import annotations

import hashlib
import pkgutil
import sys
from collections.abc import Iterable, Iterator, Sequence
from importlib.machinery import ModuleSpec
from pathlib import Path

_INSTALLED = {"site-packages", "dist-packages"}
"""Folders that package managers install into."""


def package_sources(module: str) -> dict[str, str]:
    """Return the digest of the source of each module of the package that a module is in, by full name.

    The package is the outermost folder on the way to the module that has an ``__init__``; a module below none is alone.
    Nothing is imported; modules in ZIP files are found too. Without such a module the answer is empty.

    Args:
        module: Full name of the module, such as ``churn.scoring``.
    """
    parts, path = module.split("."), None
    for count in range(1, len(parts) + 1):
        spec = _find(".".join(parts[:count]), path)
        if spec is None:
            break
        if _source(spec) is not None:
            found = dict(sorted(_sources(spec)))
            return found if module in found else {}
        path = spec.submodule_search_locations
    return {}


def _find(name: str, path: Sequence[str] | None) -> ModuleSpec | None:
    """Ask what `import` would ask, and import no package on the way."""
    specs = (finder.find_spec(name, path) for finder in sys.meta_path)
    return next((spec for spec in specs if spec is not None), None)


def is_of_python(module: str) -> bool:
    """Whether a module is one of Python's standard library."""
    return module.partition(".")[0] in {*sys.stdlib_module_names, *sys.builtin_module_names}


def is_installed(module: str) -> bool:
    """Whether a package manager put a module where it is; false of what lies in a folder or a ZIP file of its user."""
    spec = _find(module.partition(".")[0], None)
    places = [] if spec is None else [spec.origin or "", *(spec.submodule_search_locations or ())]
    return any(_INSTALLED & set(Path(place).parts) for place in places)


def sources_of(modules: Iterable[str]) -> dict[str, str]:
    """Return `package_sources` of several modules together; those without a source add nothing."""
    found: dict[str, str] = {}
    for module in modules:
        if module not in found:
            found |= package_sources(module)
    return found


def digest_of(sources: dict[str, str]) -> str:
    """Return one digest for the sources of packages."""
    return hashlib.sha256(repr(sorted(sources.items())).encode()).hexdigest()


def _sources(spec: ModuleSpec) -> Iterator[tuple[str, str]]:
    text = _source(spec)
    if text is not None:
        yield spec.name, hashlib.sha256(text.encode()).hexdigest()
    if spec.submodule_search_locations is None:
        return
    for found in pkgutil.iter_modules(list(spec.submodule_search_locations)):
        name = f"{spec.name}.{found.name}"
        inner = found.module_finder.find_spec(found.name, None)
        if inner is not None:
            yield from _sources(_renamed(inner, name))


def _renamed(spec: ModuleSpec, name: str) -> ModuleSpec:
    named = ModuleSpec(name, spec.loader, origin=spec.origin)
    named.submodule_search_locations = spec.submodule_search_locations
    named.loader_state = spec.name
    return named


def _source(spec: ModuleSpec) -> str | None:
    get_source = getattr(spec.loader, "get_source", None)
    if get_source is None:
        return None
    try:
        text: str | None = get_source(spec.loader_state or spec.name)
    except (ImportError, UnicodeDecodeError, SyntaxError):  # a compiled module has none
        return None
    return text
