"""Processes that the package starts import from where it does, and not from the current folder."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from spark_infer.models.code import enter_code
from spark_infer.models.mlmodel import MLModel
from spark_infer.runtime.child_process import Child
from spark_infer.runtime.import_path import ModelModules, imports_from_current_folder

ROOT = Path(__file__).parents[3]
SERVER = """
import pickle
from spark_infer.runtime.child_process import answer, own_pipes, read, write
receive, send = own_pipes()
while (message := read(receive)) is not None:
    try:
        found = answer(True, __import__(pickle.loads(message)).__file__)
    except ImportError as error:
        found = answer(False, error)
    write(send, found)
"""
TRAPS = ("colorsys", "contextlib", "pickle", "pyarrow", "pydantic", "sitecustomize", "struct")


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, where somebody left modules that leave a mark when they run."""
    folder = tmp_path / "data"
    folder.mkdir()
    for name in TRAPS:
        (folder / f"{name}.py").write_text(f"open({str(folder / 'mark')!r}, 'a').write({name!r})")
    (folder / "own_steps.py").write_text("")
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "server_of_test.py").write_text(SERVER)
    monkeypatch.setattr(sys, "path", [str(tmp_path / "lib"), *filter(None, sys.path)])
    monkeypatch.chdir(folder)
    return folder


def found_by_child(module: str) -> str:
    child = Child("server_of_test")
    try:
        return str(child.ask(pickle.dumps(module)))
    finally:
        child.close()


def test_a_child_does_not_import_from_the_current_folder(data: Path) -> None:
    assert not found_by_child("colorsys").startswith(str(data))
    assert not (data / "mark").exists()
    with pytest.raises(ImportError):
        found_by_child("own_steps")


@pytest.mark.parametrize("entry", ["", ".", "the folder"])
def test_a_child_imports_from_the_current_folder_where_this_process_does(
    data: Path, entry: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in TRAPS:
        (data / f"{name}.py").unlink()
    monkeypatch.setattr(sys, "path", [*sys.path, str(data) if entry == "the folder" else entry])
    assert Path(found_by_child("own_steps")).resolve() == data / "own_steps.py"


def test_a_child_starts_without_the_modules_of_a_model_that_this_process_has_loaded(tmp_path: Path, data: Path) -> None:
    (tmp_path / "model" / "code").mkdir(parents=True)
    for name in ("errno_of_test", "contextlib", "typing_extensions"):
        (tmp_path / "model" / "code" / f"{name}.py").write_text("raise SystemExit('a module of the model')")
    enter_code(tmp_path / "model", MLModel(flavors={"python_function": {"code": "code"}}))
    try:
        assert "/model/code/" not in found_by_child("typing_extensions")
        with pytest.raises(ImportError):
            found_by_child("errno_of_test")
    finally:
        enter_code(tmp_path, MLModel(flavors={}))


def test_modules_that_import_what_they_are_asked_for_are_not_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Lazy(ModuleType):
        def __getattr__(self, name: str) -> object:
            raise ModuleNotFoundError(name)

    monkeypatch.setitem(sys.modules, "lazy", Lazy("lazy"))
    modules = ModelModules()
    modules.enter({str(tmp_path)})
    modules.enter(set())
    assert "lazy" in sys.modules


def test_the_current_folder_is_seen_however_the_path_names_it(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not imports_from_current_folder()
    (data.parent / "link").symlink_to(data)
    for entry in ("", ".", str(data), f"{data}/", str(data.parent / "link"), "../data"):
        with monkeypatch.context() as changed:
            changed.setattr(sys, "path", [*sys.path, entry])
            assert imports_from_current_folder(), entry
    for entry in ("..", str(data / "below"), "/"):
        with monkeypatch.context() as changed:
            changed.setattr(sys, "path", [*sys.path, entry])
            assert not imports_from_current_folder(), entry


def test_the_job_entry_does_not_import_from_the_current_folder(data: Path) -> None:
    for name in ("contextlib", "struct", "pickle"):  # Python's own start with -m may import these
        (data / f"{name}.py").unlink()
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "spark_infer.job", "missing.yaml"]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 2, done.stderr
    assert not (data / "mark").exists()
