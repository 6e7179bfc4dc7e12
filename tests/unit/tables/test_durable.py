"""What a disk can do."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from pyarrow import fs

from spark_infer.tables.durable import Disk, FarDisk, LocalDisk, is_mount, mount_point


@pytest.fixture
def bound(tmp_path: Path) -> Iterator[Path]:
    """A folder with a blank in its name that is another one of the same file system, as a container's volume may be."""
    (tmp_path / "real").mkdir()
    place = tmp_path / "a volume"
    place.mkdir()
    command = ["mount", "--bind", str(tmp_path / "real"), str(place)]
    if subprocess.run(command, capture_output=True, check=False).returncode != 0:
        pytest.skip("this user may not mount a folder")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def test_a_bound_folder_is_a_mount_point(bound: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(bound)
    assert is_mount(str(bound))
    assert is_mount(str(tmp_path / "link"))
    assert LocalDisk().stands_alone(str(bound))
    assert not is_mount(str(tmp_path / "real"))
    assert not is_mount(str(tmp_path))


def test_names_of_mount_points_are_read_as_the_kernel_writes_them() -> None:
    line = rb"29 24 0:26 / /mnt/a\040b\134c rw,relatime shared:1 - tmpfs tmpfs rw"
    assert mount_point(line) == rb"/mnt/a b\c"


@pytest.mark.parametrize("disk", [LocalDisk(), FarDisk(fs.LocalFileSystem(), moves_once=True)], ids=["local", "far"])
def test_a_folder_that_holds_something_is_not_removed_as_an_empty_one(disk: Disk, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    disk.remove_empty(str(tmp_path / "empty"))
    (tmp_path / "table" / "p=1").mkdir(parents=True)
    (tmp_path / "table" / "p=1" / "rows").touch()
    with pytest.raises(OSError, match="not empty"):
        disk.remove_empty(str(tmp_path / "table"))
    with pytest.raises(FileNotFoundError):
        disk.remove_empty(str(tmp_path / "none"))
    assert [path.name for path in sorted(tmp_path.rglob("*"))] == ["table", "p=1", "rows"]
