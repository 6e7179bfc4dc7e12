from __future__ import annotations

import os
from pathlib import Path

import pytest

from spark_infer.errors import EnvironmentProblem
from spark_infer.models.files.root import worker_root
from spark_infer.models.files.store import ModelStore, default_root


def _never(into: Path) -> None:
    raise AssertionError("fetched although the model is here")


def test_everything_in_the_store_is_this_users_alone(store: ModelStore, folder: Path) -> None:
    before = os.umask(0)
    try:
        store.admit(folder)
    finally:
        os.umask(before)
    assert store.root.stat().st_mode & 0o777 == 0o700
    files = [path for path in store.path(store.admit(folder)).rglob("*") if path.is_file()]
    assert {path.stat().st_mode & 0o777 for path in files} == {0o600}


@pytest.mark.parametrize("mode", [0o770, 0o702, 0o777, 0o1777])
def test_a_root_that_others_may_write_to_is_refused_also_for_reading(
    store: ModelStore, folder: Path, mode: int
) -> None:
    digest = store.admit(folder)
    store.root.chmod(mode)
    with pytest.raises(EnvironmentProblem, match=f"may write to the model store .* \\(mode {mode:04o}\\)"):
        store.ensure(digest, _never)
    with pytest.raises(EnvironmentProblem, match="may write"):
        store.receive(_never)


def test_a_root_of_another_user_is_refused(store: ModelStore, folder: Path) -> None:
    if os.getuid() != 0:
        pytest.skip("only root can give a folder away")
    digest = store.admit(folder)
    os.chown(store.root, 65534, 65534)
    with pytest.raises(EnvironmentProblem, match="belongs to another user"):
        store.ensure(digest, _never)


def test_a_root_reached_through_another_users_link_is_refused(store: ModelStore, folder: Path, tmp_path: Path) -> None:
    if os.getuid() != 0:
        pytest.skip("only root can give a link away")
    digest = store.admit(folder)
    link = tmp_path / "link"
    link.symlink_to(store.root)
    os.lchown(link, 65534, 65534)
    with pytest.raises(EnvironmentProblem, match="belongs to another user"):
        ModelStore(link).ensure(digest, _never)


def test_a_root_that_cannot_be_made_is_explained(tmp_path: Path, folder: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(EnvironmentProblem, match="cannot be made: Not a directory") as caught:
        ModelStore(tmp_path / "file" / "store").admit(folder)
    assert "SPARK_INFER_HOME" in caught.value.next_step


@pytest.mark.parametrize(
    ("environ", "root"),
    [
        ({"SPARK_INFER_HOME": "/a/b", "XDG_CACHE_HOME": "/c", "HOME": "/h"}, "/a/b"),
        ({"XDG_CACHE_HOME": "/c", "HOME": "/h"}, "/c/spark_infer"),
        ({"SPARK_INFER_HOME": "", "HOME": "/h"}, "/h/.cache/spark_infer"),
    ],
)
def test_the_root_comes_from_the_environment(environ: dict[str, str], root: str) -> None:
    assert default_root(environ) == Path(root)


def test_without_a_home_the_variable_to_set_is_named() -> None:
    with pytest.raises(EnvironmentProblem, match="HOME is not set") as caught:
        default_root({})
    assert "SPARK_INFER_HOME" in caught.value.next_step


def test_an_executor_without_a_usable_home_keeps_models_in_its_scratch_folder_and_says_why(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    scratch = {"SPARK_LOCAL_DIRS": f"{tmp_path}/a,{tmp_path}/b"}
    (tmp_path / "file").touch()
    for environ, reason in {
        (): "HOME is not set",
        (("HOME", f"{tmp_path}/file"),): "Not a directory",
        (("XDG_CACHE_HOME", f"{tmp_path}/file"),): "Not a directory",
    }.items():
        caplog.clear()
        assert worker_root(scratch | dict(environ)) == tmp_path / "a" / "spark_infer"
        assert reason in caplog.text
        assert "SPARK_INFER_HOME" in caplog.text


def test_an_executor_with_a_home_or_a_named_folder_uses_that(tmp_path: Path) -> None:
    scratch = {"SPARK_LOCAL_DIRS": f"{tmp_path}/a"}
    assert worker_root({**scratch, "HOME": str(tmp_path)}) == tmp_path / ".cache" / "spark_infer"
    # What the user named is never replaced, also where it cannot be made: that is the store's error.
    assert worker_root({**scratch, "SPARK_INFER_HOME": "/dev/null/x"}) == Path("/dev/null/x")
    with pytest.raises(EnvironmentProblem, match="HOME is not set"):
        worker_root({})
