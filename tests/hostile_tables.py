"""Tables as somebody else would leave them for a job: each is made as the folder `in` of a folder of its own."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import write_deltalake

from spark_infer import ScoringJob
from spark_infer.errors import SparkInferError
from tests import footers
from tests.footers import Struct
from tests.tree import tree

NAME = "a\x1b[2J\n  ! forged\x9b\u202e"
"""A column's name that would command a terminal."""
SHOWN = "a\\x1b[2J\\n  ! forged\\x9b\\u202e"
_ROWS = pa.table({"id": [1, 2, 3], "x": [0.5, 1.0, 1.5]})


def log_that_names(path: str) -> Callable[[Path], None]:
    """A Delta log that names a file of another folder."""

    def make(folder: Path) -> None:
        write_deltalake(folder / "in", _ROWS)
        (folder / "other").mkdir()
        pq.write_table(_ROWS, folder / "other" / "x.parquet")
        commit = folder / "in" / "_delta_log" / f"{0:020}.json"
        (name,) = (file.name for file in (folder / "in").glob("*.parquet"))
        commit.write_text(commit.read_text().replace(name, path))

    return make


def _claim_fewer(footer: Struct) -> None:
    footer[3] = footer[4][1][1][0][3] = (footers.I64, 1)


def lying_parquet(folder: Path) -> None:
    """A footer that counts fewer rows than there are."""
    (folder / "in").mkdir()
    pq.write_table(_ROWS, folder / "in" / "a.parquet")
    footers.change(folder / "in" / "a.parquet", _claim_fewer)


def lying_delta(folder: Path) -> None:
    """The same in a Delta table, whose log has the size of the file that was changed."""
    write_deltalake(folder / "in", _ROWS)
    (file,) = (folder / "in").glob("*.parquet")
    footers.change(file, _claim_fewer)
    commit = folder / "in" / "_delta_log" / f"{0:020}.json"
    actions = [json.loads(each) for each in commit.read_text().splitlines()]
    for action in actions:
        if "add" in action:
            action["add"]["size"] = file.stat().st_size
    commit.write_text("\n".join(map(json.dumps, actions)))


def commanding_name(folder: Path) -> None:
    """A column with a name that commands terminals."""
    (folder / "in").mkdir()
    pq.write_table(_ROWS.append_column(NAME, pa.array(["b"] * 3)), folder / "in" / "a.parquet")


def looping_links(folder: Path) -> None:
    """A folder of partitions with links that lead back into it."""
    (folder / "in" / "a=1").mkdir(parents=True)
    pq.write_table(_ROWS, folder / "in" / "a=1" / "a.parquet")
    (folder / "in" / "a=2").symlink_to(folder / "in")


def outside_link(folder: Path) -> None:
    """A partition that is a link to the folder of somebody else."""
    (folder / "in" / "a=1").mkdir(parents=True)
    (folder / "other").mkdir()
    pq.write_table(_ROWS, folder / "in" / "a=1" / "a.parquet")
    pq.write_table(_ROWS, folder / "other" / "a.parquet")
    os.symlink(folder / "other", folder / "in" / "a=2")


def bomb(folder: Path) -> None:
    """A text of 2 MB that stands once in a small file and in each of 300 rows."""
    (folder / "in").mkdir()
    texts = pa.DictionaryArray.from_arrays(pa.array(np.zeros(300, np.int32)), pa.array(["x" * 2_000_000]))
    rows = pa.table({"id": range(300), "x": np.arange(300) / 2, "t": texts})
    pq.write_table(rows, folder / "in" / "a.parquet", store_schema=False, write_statistics=False)


_OUTSIDE = "lie outside its folder"
_LIES = "its footer counts 1 rows in row group 0, and 3 values"
_LOOPS = "has a link that leads back into itself"


@dataclass(frozen=True)
class Case:
    """A table, and what a job does with it: the rows that it scores, or its refusal.

    Attributes:
        make: Makes it.
        local: On engine `local`.
        spark: On engine `spark`, plane `auto`.
        by_spark: On engine `spark`, plane `spark`.
    """

    make: Callable[[Path], None]
    local: int | str
    spark: int | str
    by_spark: int | str


TABLES = {
    # Delta itself reads such files, as those of a shallow clone.
    "a log that names a file of another folder": Case(log_that_names("../other/x.parquet"), _OUTSIDE, 3, 3),
    "a log that names one in disguise": Case(log_that_names("%2e%2e/other/x.parquet"), _OUTSIDE, 3, 3),
    "a footer that lies": Case(lying_parquet, _LIES, _LIES, _LIES),
    # On the spark plane nothing of ours looks at the files of a Delta table.
    "a footer that lies in a Delta table": Case(lying_delta, _LIES, _LIES, 1),
    "a name that commands terminals": Case(commanding_name, 3, 3, 3),
    "links that loop": Case(looping_links, _LOOPS, _LOOPS, _LOOPS),
    "a link to another folder": Case(outside_link, 6, 6, 6),
    "a large text that repeats": Case(bomb, 300, 300, 300),
}


def check(scoring: ScoringJob, folder: Path, expected: int | str, *session: Any) -> None:
    """Plan and run a job; see that nothing around its target is changed, and that no text commands the terminal."""
    before, said = tree(folder), ""
    for command in (scoring.plan, scoring.run):
        if isinstance(expected, str):
            with pytest.raises(SparkInferError, match=expected) as refused:
                command(*session)
            said += str(refused.value)
        else:
            done = command(*session)
            said += str(done)
            assert getattr(done, "rows_scored", expected) == expected
    assert not set("\x1b\x9b\u202e") & set(said)
    assert "\n  ! forged" not in said
    assert {path: facts for path, facts in tree(folder).items() if not path.startswith(("out", ".out"))} == before
    assert (folder / "out").exists() == (not isinstance(expected, str))
