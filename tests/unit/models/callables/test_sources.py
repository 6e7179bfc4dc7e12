"""The source of a package is found without importing any of it, in folders and in ZIP files."""

from __future__ import annotations

import sys
import zipfile
from pathlib import Path

import pytest

from spark_infer.models.callables.sources import digest_of, is_of_python, package_sources

FILES = {
    "__init__.py": "raise SystemExit\n",
    "model.py": "x = 1\n",
    "inner/__init__.py": "",
    "inner/deep.py": "y = 2\n",
}


def write(folder: Path, name: str, **other: str) -> None:
    for path, text in {**FILES, **other}.items():
        (folder / name / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / name / path).write_text(text)


def test_every_module_of_the_package_counts_and_none_is_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "a", "churned")
    monkeypatch.syspath_prepend(str(tmp_path / "a"))
    found = package_sources("churned.model")
    assert list(found) == ["churned", "churned.inner", "churned.inner.deep", "churned.model"]
    assert "churned" not in sys.modules
    (tmp_path / "a/churned/inner/deep.py").write_text("y = 3\n")
    assert digest_of(package_sources("churned.model")) != digest_of(found)


def test_a_package_in_a_zip_file_has_the_digest_of_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "a", "churned")
    with zipfile.ZipFile(tmp_path / "b.zip", "w") as archive:
        for path, text in FILES.items():
            archive.writestr(f"churned/{path}", text)
    monkeypatch.syspath_prepend(str(tmp_path / "a"))
    in_folder = digest_of(package_sources("churned.model"))
    monkeypatch.setattr(sys, "path", [str(tmp_path / "b.zip"), *sys.path[1:]])
    assert digest_of(package_sources("churned.model")) == in_folder
    monkeypatch.setattr(sys, "path", [str(tmp_path / "nothing"), *sys.path[1:]])
    assert package_sources("churned.model") == {}


def test_what_is_of_python_is_known() -> None:
    assert is_of_python("os.path")
    assert is_of_python("builtins")
    assert not is_of_python("numpy")
