from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest

from spark_infer.errors import ModelFilesError, ModelRefusedError
from spark_infer.models.files.archive import pack, packed_bytes, unpack, unpack_from
from spark_infer.models.files.digest import folder_digest
from spark_infer.models.files.store import ModelStore


def _tar(path: Path, *members: tuple[tarfile.TarInfo, bytes]) -> Path:
    with tarfile.open(path, "w") as tar:
        for member, content in members:
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return path


def _member(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, link
    return member


def test_a_folder_survives_the_journey_through_another_nodes_store(folder: Path, tmp_path: Path) -> None:
    long_name = "x" * 150 + "/ünï " + "y" * 150
    (folder / long_name).parent.mkdir()
    (folder / long_name).write_bytes(b"z" * 3_000_000)
    (folder / "empty").touch()
    pack(folder, tmp_path / "model.tar")
    there = ModelStore(tmp_path / "there")
    arrived = there.ensure(folder_digest(folder), lambda into: unpack(tmp_path / "model.tar", into))
    assert (arrived / long_name).read_bytes() == b"z" * 3_000_000


def test_the_same_folder_packs_to_the_same_bytes(folder: Path, tmp_path: Path) -> None:
    pack(folder, tmp_path / "1.tar")
    (folder / "MLmodel").chmod(0o400)
    (folder / "MLmodel").touch()
    (folder / "registered_model_meta").touch()
    pack(folder, tmp_path / "2.tar")
    assert (tmp_path / "1.tar").read_bytes() == (tmp_path / "2.tar").read_bytes()


@pytest.mark.parametrize("size", [0, 1, 511, 512, 513, 9_999, 70_000])
def test_the_size_of_an_archive_is_known_before_it_is_made(folder: Path, tmp_path: Path, size: int) -> None:
    (folder / ("ü" * 120)).write_bytes(b"x" * size)
    pack(folder, tmp_path / "model.tar")
    assert packed_bytes(folder) == (tmp_path / "model.tar").stat().st_size


def test_packing_refuses_a_link_that_leaves_and_an_archive_that_exists(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "old.tar").touch()
    with pytest.raises(FileExistsError):
        pack(folder, tmp_path / "old.tar")
    (folder / "link").symlink_to("/etc/hostname")
    with pytest.raises(ModelRefusedError, match="leaves the model folder"):
        pack(folder, tmp_path / "new.tar")


@pytest.mark.parametrize(
    ("member", "complaint"),
    [
        (_member("/etc/cron.d/x"), "leaves the folder"),
        (_member("../x"), "leaves the folder"),
        (_member("a/../../x"), "leaves the folder"),
        (_member("a\\..\\x"), "leaves the folder"),
        (_member("x", tarfile.SYMTYPE, "/etc"), "not a plain file"),
        (_member("x", tarfile.LNKTYPE, "MLmodel"), "not a plain file"),
        (_member("x", tarfile.CHRTYPE), "not a plain file"),
        (_member("x", tarfile.FIFOTYPE), "not a plain file"),
        (_member("x", tarfile.GNUTYPE_SPARSE), "not a plain file"),
        (_member("MLmodel"), "damaged"),
        (_member("MLmodel/inside"), "damaged"),
    ],
)
def test_anything_but_new_plain_files_inside_is_refused(
    tmp_path: Path, member: tarfile.TarInfo, complaint: str
) -> None:
    into = tmp_path / "into"
    into.mkdir()
    archive = _tar(tmp_path / "evil.tar", (_member("MLmodel"), b"flavors"), (member, b""))
    with pytest.raises(ModelFilesError, match=complaint):
        unpack(archive, into)
    assert {path.name for path in tmp_path.iterdir()} == {"evil.tar", "into"}
    assert {path.name for path in into.iterdir()} == {"MLmodel"}


def test_writing_through_a_link_that_the_archive_brings_is_impossible(tmp_path: Path) -> None:
    into = tmp_path / "into"
    into.mkdir()
    archive = _tar(
        tmp_path / "evil.tar", (_member("d", tarfile.SYMTYPE, str(tmp_path)), b""), (_member("d/planted"), b"x")
    )
    with pytest.raises(ModelFilesError, match="not a plain file"):
        unpack(archive, into)
    assert not (tmp_path / "planted").exists()


def test_limits_hold_before_anything_is_written(tmp_path: Path) -> None:
    archive = _tar(tmp_path / "big.tar", (_member("a"), b"x" * 100), (_member("b"), b"x"))
    with archive.open("rb") as source, pytest.raises(ModelFilesError, match=r"big\.tar holds more than 1 files"):
        unpack_from(source, _made(tmp_path / "1"), name="big.tar", max_files=1)
    with archive.open("rb") as source, pytest.raises(ModelFilesError, match="or 99 bytes"):
        unpack_from(source, _made(tmp_path / "2"), name="big.tar", max_bytes=99)
    assert list((tmp_path / "2").iterdir()) == []


@pytest.mark.parametrize("keep", [0, 100, 700, 2000])
def test_a_truncated_archive_is_refused_or_fails_the_digest(folder: Path, tmp_path: Path, keep: int) -> None:
    pack(folder, tmp_path / "model.tar")
    (tmp_path / "cut.tar").write_bytes((tmp_path / "model.tar").read_bytes()[:keep])
    there = ModelStore(tmp_path / "there")
    with pytest.raises(ModelFilesError):
        there.ensure(folder_digest(folder), lambda into: unpack(tmp_path / "cut.tar", into))


def test_a_compressed_archive_is_not_opened(folder: Path, tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "model.tar.gz", "w:gz") as tar:
        tar.add(folder, "churn")
    with pytest.raises(ModelFilesError, match="damaged"):
        unpack(tmp_path / "model.tar.gz", _made(tmp_path / "into"))


def _made(path: Path) -> Path:
    path.mkdir()
    return path
