from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spark_infer.errors import ModelFilesError, ModelRefusedError
from spark_infer.models.files.digest import FileFacts, combine, folder_digest, model_files


def test_the_digest_is_the_one_that_the_format_spells_out(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "b").write_bytes(b"")
    (tmp_path / "a").write_bytes(b"xy")
    content = hashlib.sha256(b"xy").digest()
    nothing = hashlib.sha256(b"").digest()
    spelled = (
        b"spark_infer model folder 1\n"
        + (b"\0" * 7 + b"\x01" + b"a" + b"\0" * 7 + b"\x02" + content)
        + (b"\0" * 7 + b"\x05" + b"sub/b" + b"\0" * 8 + nothing)
    )
    assert folder_digest(tmp_path) == hashlib.sha256(spelled).hexdigest()


def test_times_permissions_and_empty_folders_do_not_count(folder: Path) -> None:
    before = folder_digest(folder)
    os.utime(folder / "MLmodel", (1, 1))
    (folder / "MLmodel").chmod(0o444)
    (folder / "empty").mkdir()
    assert folder_digest(folder) == before


@pytest.mark.parametrize(
    "left_beside", ["registered_model_meta", "__pycache__/a.pyc", "code/__pycache__/features.cpython-311.pyc"]
)
def test_what_mlflow_and_python_leave_beside_a_model_does_not_count(folder: Path, left_beside: str) -> None:
    before = folder_digest(folder)
    (folder / left_beside).parent.mkdir(exist_ok=True)
    (folder / left_beside).write_bytes(b"anything")
    assert folder_digest(folder) == before


@pytest.mark.parametrize("name", ["code/registered_model_meta", "code/features.pyc", "code/x__pycache__"])
def test_names_that_only_look_like_those_do_count(folder: Path, name: str) -> None:
    before = folder_digest(folder)
    (folder / name).write_bytes(b"anything")
    assert folder_digest(folder) != before


def test_a_byte_a_name_and_a_boundary_between_files_change_the_digest(tmp_path: Path) -> None:
    def digest(**files: bytes) -> str:
        made = tmp_path / str(len(list(tmp_path.iterdir())))
        made.mkdir()
        for name, content in files.items():
            (made / name).write_bytes(content)
        return folder_digest(made)

    seen = [digest(a=b"bc", d=b""), digest(a=b"b", d=b"c"), digest(ab=b"c", d=b""), digest(a=b"bd"), digest(a=b"bcd")]
    assert len(set(seen)) == len(seen)


_FOLDERS = st.dictionaries(
    st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=4),
    st.builds(
        FileFacts,
        size=st.integers(0, 2**40),
        sha256=st.binary(max_size=2).map(lambda content: hashlib.sha256(content).hexdigest()),
    ),
    max_size=4,
)


@given(_FOLDERS, _FOLDERS)
def test_two_folders_have_one_digest_only_if_they_are_equal(
    one: dict[str, FileFacts], two: dict[str, FileFacts]
) -> None:
    assert (combine(one) == combine(two)) == (one == two)
    assert combine(dict(reversed(one.items()))) == combine(one)


def test_a_link_inside_the_folder_counts_as_the_file_it_names(folder: Path) -> None:
    (folder / "copy.skops").write_bytes(b"weights")
    before = folder_digest(folder)
    (folder / "copy.skops").unlink()
    (folder / "copy.skops").symlink_to("model.skops")
    assert folder_digest(folder) == before


def test_a_link_that_leaves_the_folder_is_refused(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("s")
    (folder / "code" / "weights").symlink_to("../../secret")
    with pytest.raises(ModelRefusedError, match="'code/weights' in the model folder is a link that leaves"):
        folder_digest(folder)


def test_links_to_folders_dangling_links_and_pipes_are_refused(folder: Path) -> None:
    makers: dict[str, Callable[[Path], None]] = {
        "loop": lambda path: path.symlink_to(folder / "code"),
        "dangling": lambda path: path.symlink_to("nowhere"),
        "pipe": os.mkfifo,
    }
    for name, make in makers.items():
        make(folder / name)
        with pytest.raises(ModelRefusedError, match=f"{name!r} in the model folder is not a file"):
            folder_digest(folder)
        (folder / name).unlink()


def test_a_folder_that_is_itself_reached_through_a_link_is_read(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "current").symlink_to(folder)
    assert folder_digest(tmp_path / "current") == folder_digest(folder)


def test_files_come_sorted_with_slashes(folder: Path) -> None:
    assert list(model_files(folder)) == ["MLmodel", "code/features.py", "model.skops"]


def test_a_folder_that_is_not_there_is_said_to_be_unreadable(tmp_path: Path) -> None:
    with pytest.raises(ModelFilesError, match="cannot be read"):
        folder_digest(tmp_path / "none")


def test_a_file_that_fails_while_it_is_read_is_said_to_be_unreadable(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Nothing can be read at the beginning of a process's memory.
    monkeypatch.setattr(Path, "open", lambda *_: io.FileIO("/proc/self/mem"))
    with pytest.raises(ModelFilesError, match="cannot be read: Input/output error"):
        folder_digest(folder)
