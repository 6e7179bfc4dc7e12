"""A target that this process may not write is refused before anything runs."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from spark_infer.errors import TargetError
from spark_infer.tables.location import TableLocation
from spark_infer.tables.writable import check_writable

# What root may do in spite of a folder's permissions is taken from the process.
AS_ANYBODY = ["setpriv", "--bounding-set", "-dac_override,-dac_read_search"] if os.geteuid() == 0 else []
ASKS = """
import sys
from spark_infer.errors import TargetError
from spark_infer.tables.location import TableLocation
from spark_infer.tables.writable import check_writable
for line in sys.argv[1:]:
    kind, path, exists = line.split(",")
    try:
        check_writable(TableLocation(kind, f"file://{path}"), exists=exists == "True")
        print("writable")
    except TargetError as error:
        print(error.what.rpartition(": ")[2], error.exit_code)
"""


def check(path: Path, *, exists: bool) -> None:
    check_writable(TableLocation("delta", f"file://{path}"), exists=exists)


@pytest.fixture
def locked(tmp_path: Path) -> Iterator[Path]:
    """A folder with an open and a closed folder inside; it is itself closed."""
    folder = tmp_path / "locked"
    for name in ("open", "closed", "table/_delta_log"):
        (folder / name).mkdir(parents=True)
    closed = [folder / "table" / "_delta_log", folder / "closed", folder]
    for each in closed:
        each.chmod(0o555)
    yield folder
    for each in closed:
        each.chmod(0o755)


def test_a_folder_without_permission_is_refused_where_rows_or_the_log_would_go(locked: Path) -> None:
    asked = {
        f"parquet,{locked}/new,False": f"this process may not write in {locked}. 2",
        f"delta,{locked}/deep/new,False": f"this process may not write in {locked}. 2",
        f"parquet,{locked}/closed,True": f"this process may not write in {locked}/closed. 2",
        f"delta,{locked}/table,True": f"this process may not write in {locked}/table/_delta_log. 2",
        f"parquet,{locked}/open,True": "writable",  # a ledger has its place inside where it has none beside
        # An empty folder gives way to the new table, which gets its name by a rename.
        f"parquet,{locked}/open,False": f"this process may not write in {locked}. 2",
        f"delta,{locked}/open/new,False": "writable",
        "parquet,/proc/new,False": "this process may not write in /proc. 2",
    }
    done = subprocess.run(
        [*AS_ANYBODY, sys.executable, "-c", ASKS, *asked], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert dict(zip(asked, done.stdout.splitlines(), strict=True)) == asked


def test_a_file_or_a_link_to_nowhere_in_the_way_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    for name in ("file", "link"):
        with pytest.raises(TargetError, match=f"cannot be written: .*{name} is not a folder"):
            check(tmp_path / name / "deep" / "new", exists=False)
    check(tmp_path / "deep" / "new", exists=False)
    check(tmp_path, exists=True)


def test_a_place_that_this_process_cannot_reach_is_left_to_spark() -> None:
    check_writable(TableLocation("delta", "file:///proc/new", same_disk=False), exists=False)
    check_writable(TableLocation("delta", None, "`main`.`new`"), exists=False)
