from __future__ import annotations

import sys
from pathlib import Path

import pytest

from spark_infer.runtime.deferred_import import deferred


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "large_library.py").write_text("def double(x, times=1):\n    return 2 * x * times\n")
    (tmp_path / "uses_it.py").write_text("from large_library import double\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    return "large_library"


@pytest.fixture(autouse=True)
def _forgotten(module: str) -> object:
    yield
    for name in (module, "uses_it"):
        sys.modules.pop(name, None)


def test_a_module_is_imported_when_one_of_its_functions_is_called(module: str) -> None:
    with deferred(module):
        import uses_it  # type: ignore[import-not-found]  # made above
    assert module not in sys.modules
    assert uses_it.double(3, times=5) == 30
    assert sys.modules[module].double(1) == 2


def test_one_that_is_imported_already_is_used_as_it_is(module: str) -> None:
    import large_library  # type: ignore[import-not-found]  # made above

    with deferred(module):
        import uses_it
    assert uses_it.double is large_library.double


def test_who_asks_whether_it_is_a_package_sees_that_it_is_not(module: str) -> None:
    with deferred(module), pytest.raises(AttributeError):
        _ = sys.modules[module].__path__
