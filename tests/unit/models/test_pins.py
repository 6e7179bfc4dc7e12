"""Which of a model's pinned libraries this Python has in other versions, or not at all."""

from __future__ import annotations

import logging
import pickle
import platform
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
from mlflow.exceptions import MlflowException

from spark_infer.errors import ConfigError
from spark_infer.models.mlmodel import MLModel
from spark_infer.models.pins import differences, refuse_environments, warn_once
from spark_infer.models.ref import ModelRef
from spark_infer.runtime.process_state import ProcessState

NUMPY = metadata.version("numpy")


def ref(digest: str = "0" * 64, python: str = platform.python_version(), **flavors: Any) -> ModelRef:
    return ModelRef(
        uri="models:/pinned/1",
        name="pinned",
        version="1",
        source="somewhere",
        flavors=("python_function",),
        digest=digest,
        size_bytes=1,
        mlmodel=MLModel(flavors={"python_function": {"python_version": python}, **flavors}),
    )


def found(folder: Path, lines: str, **flavors: Any) -> list[str]:
    """What is named of a model with these requirements."""
    (folder / "requirements.txt").write_text(lines)
    sentences = differences(ref(**flavors), "pyfunc", folder)
    if not sentences:
        return []
    (sentence,) = sentences
    named = sentence.partition("predictions may differ too: ")[2].rpartition(". To install")[0]
    return named.split(", ")


@pytest.mark.parametrize(
    ("line", "named"),
    [
        ("numpy==98.7", f"numpy==98.7 (here {NUMPY})"),
        ("numpy==0.1", f"numpy==0.1 (here {NUMPY})"),
        ("numpy<1", f"numpy<1 (here {NUMPY})"),
        ("NumPy>=98", f"NumPy>=98 (here {NUMPY})"),
        ("numpy~=0.1.2", f"numpy~=0.1.2 (here {NUMPY})"),
        ("numpy[extra]==98.7  # for speed", f"numpy==98.7 (here {NUMPY})"),
        ("numpy==98.7 \\\n    --hash=sha256:0", f"numpy==98.7 (here {NUMPY})"),
        ("numpy==98.7; python_version >= '3'", f"numpy==98.7 (here {NUMPY})"),
        ("numpy===98.7", f"numpy===98.7 (here {NUMPY})"),
        ("no-such-library==1.0", "no-such-library==1.0 (not installed)"),
        ("no-such-library", "no-such-library (not installed)"),
        ("no_such @ git+https://user:secret@host/repository.git@main", "no_such (not installed)"),
        (f"numpy=={NUMPY}", None),
        ("numpy", None),
        ("numpy>=1", None),
        ("numpy==98.7; python_version < '3'", None),
        ("# numpy==98.7", None),
        ("./wheels/numpy-98.7-py3-none-any.whl", None),
        ("git+https://user:secret@host/repository.git", None),
        ("--find-links https://user:secret@host/simple", None),
        ("databricks-feature-lookup==1.*", None),
        ("-r ../outside.txt", None),
        ("-c none.txt", None),
        ('numpy==98.7; os_name ~= "x"', None),
        ("-r a\0b.txt", None),
        (f"-r {'a' * 300}.txt", None),
        ("-r requirements.txt", None),
    ],
)
def test_each_line_of_the_requirements_is_compared_as_pip_reads_it(
    line: str, named: str | None, tmp_path: Path
) -> None:
    (tmp_path / "outside.txt").write_text("numpy==98.7\n")
    (tmp_path / "model").mkdir()
    assert found(tmp_path / "model", line + "\n") == ([] if named is None else [named])


def test_files_that_the_requirements_include_count_and_constraints_need_not_be_installed(tmp_path: Path) -> None:
    (tmp_path / "more.txt").write_text("no-such-library==1.0\n")
    (tmp_path / "constraints.txt").write_text("numpy==98.7\nnever-wanted==2\n")
    named = found(tmp_path, "-r more.txt\n--constraint=constraints.txt\n")
    assert named == ["no-such-library==1.0 (not installed)", f"numpy==98.7 (here {NUMPY})"]


@pytest.mark.parametrize(
    ("pinned", "here", "differs"),
    [("2.1.0", "2.1.0+cpu", False), ("2.1.0+cpu", "2.1.0+cpu", False), ("2.1.0+cpu", "2.1.0", True)],
)
def test_a_build_of_the_pinned_version_is_that_version(
    pinned: str, here: str, differs: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(metadata, "version", lambda name: here)
    assert bool(found(tmp_path, f"torch=={pinned}\n")) is differs


def test_the_version_of_a_flavor_counts_where_the_requirements_do_not_name_its_library(tmp_path: Path) -> None:
    (scikit_learn,) = found(tmp_path, "", sklearn={"sklearn_version": "1.0.2"})
    assert scikit_learn == f"scikit-learn==1.0.2 (here {metadata.version('scikit-learn')})"
    assert found(tmp_path, "scikit-learn>=1\n", sklearn={"sklearn_version": "1.0.2"}) == []
    assert found(tmp_path, "", sklearn={"sklearn_version": metadata.version("scikit-learn") + "+local"}) == []
    assert found(tmp_path, "", sklearn={"sklearn_version": "nightly"}) == []
    assert found(tmp_path, "", python="3.6.1") == [f"Python 3.6.1 (here {platform.python_version()})"]


def test_five_libraries_are_named_with_the_command_that_installs_all(tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").write_text("".join(f"no-such-{number}==1\n" for number in range(7)))
    (sentence,) = differences(ref(), "pyfunc", tmp_path)
    assert "no-such-4==1 (not installed) and 2 more" in sentence
    assert "no-such-5" not in sentence
    assert sentence.endswith(f"pip install -r {tmp_path}/requirements.txt")


def test_a_model_is_warned_about_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, new_process: Callable[[], ProcessState]
) -> None:
    new_process()
    (tmp_path / "requirements.txt").write_text("numpy==98.7\n")
    with caplog.at_level(logging.WARNING):
        for digest in ("a", "b", "a"):
            warn_once(ref(digest), "pyfunc", tmp_path)
    assert [record.levelname for record in caplog.records] == ["WARNING", "WARNING"]
    assert caplog.messages[0].startswith("pinned version 1: ")


@pytest.mark.parametrize("given", [(None, None), ("local", None)])
def test_the_python_of_the_workers_is_what_there_is(given: tuple[str | None, str | None]) -> None:
    refuse_environments(*given)


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        (("uv", None), "Environment manager 'uv' is not supported"),
        (("virtualenv", None), "Environment manager 'virtualenv' is not supported"),
        (("conda", None), "Environment manager 'conda' is not supported"),
        ((None, "dbfs:/Volumes/main/env.tar.gz"), "prebuilt_env_uri is not supported"),
        (("local", "dbfs:/Volumes/main/env.tar.gz"), "prebuilt_env_uri is not supported"),
    ],
)
def test_environments_are_refused_by_an_error_of_both(given: tuple[str | None, str | None], problem: str) -> None:
    with pytest.raises(ConfigError, match=problem) as refused:
        refuse_environments(*given)
    assert isinstance(refused.value, MlflowException)
    assert "pip install -r" in refused.value.next_step
    again = pickle.loads(pickle.dumps(refused.value))
    assert (type(again), str(again)) == (type(refused.value), str(refused.value))


def test_a_misspelt_env_manager_is_an_error_with_the_right_one() -> None:
    with pytest.raises(ConfigError, match=r"no env_manager 'lokal' \(did you mean 'local'\?\)"):
        refuse_environments("lokal", None)
