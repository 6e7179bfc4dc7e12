"""The write modes: what each of them does to a table that exists, as everybody asks who decides by it.

Nothing else knows them by name. How a format carries one out is in `tables/FORMAT/publish.py`, and where Spark
writes, in `spark/tables/FORMAT/writing.py` and `merging.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

ModeName = Literal["error_if_exists", "append", "overwrite_partitions", "overwrite", "merge"]


@dataclass(frozen=True, kw_only=True)
class WriteMode:
    """A write mode.

    Attributes:
        name: What a job calls it.
        does: What it does to a table, for the plan's sentence: with ``{table}``, ``{where}``, ``{keys}``, ``{parts}``
            (its partitioning), ``{columns}`` (that they change), ``{size}`` of files, and ``{how}`` the format does it.
        takes_existing: Whether it writes to a table that is there.
        replaces: Which files of such a table give way to the new ones as a whole.
        needs: The option of the target that says which rows are meant; another mode does not take it.
        merges: Whether new rows meet those of the table by keys, which is done when all of them are staged.
    """

    name: ModeName
    does: str = ""
    takes_existing: bool = True
    replaces: Literal["nothing", "partitions", "table"] = "nothing"
    needs: Literal["", "partitions", "keys"] = ""
    merges: bool = False

    @property
    def adds_only(self) -> bool:
        """Whether all rows of the table stay, and the same rows again would be there twice.

        Then units can be published as they are done.
        """
        return self.takes_existing and self.replaces == "nothing" and not self.merges

    @property
    def replaces_table(self) -> bool:
        """Whether all files give way, so that the table may get other columns too."""
        return self.replaces == "table"

    @property
    def replaces_partitions(self) -> bool:
        """Whether the files of declared table partitions give way."""
        return self.replaces == "partitions"

    @property
    def replaces_files(self) -> bool:
        """Whether any files give way: to do that again does no harm, as long as nobody else has written since."""
        return self.replaces != "nothing"


CREATE = WriteMode(name="error_if_exists", takes_existing=False)
"""The mode that only makes new tables, and the one of what is staged."""

_EXISTING = (
    WriteMode(name="append", does="add to {table}{parts}{size}, {how}"),
    WriteMode(
        name="merge",
        does="merge into {table} on {keys}, {how} when all rows are scored and staged",
        needs="keys",
        merges=True,
    ),
    WriteMode(
        name="overwrite_partitions",
        does="replace the rows of {table} where {where}{size}, {how}",
        replaces="partitions",
        needs="partitions",
    ),
    WriteMode(name="overwrite", does="replace all rows of {table}{columns}{parts}{size}, {how}", replaces="table"),
)

MODES: Mapping[str, WriteMode] = {mode.name: mode for mode in (CREATE, *_EXISTING)}


def modes_for_existing() -> str:
    """The names of the modes that take a table that is there."""
    return ", ".join(mode.name for mode in _EXISTING)


def option_problem(name: str, option: str, given: object, question: str, more: str = "") -> str:
    """Say what is wrong with an option of a target that is needed by some modes, and taken by no others.

    Args:
        name: The mode.
        option: The option.
        given: Its value.
        question: What it answers, for those who left it out.
        more: How to take it out.
    """
    if MODES[name].needs == option:
        return "" if given else f"mode `{name}` needs `{option}`: {question}"
    names = " or ".join(f"`{mode.name}`" for mode in MODES.values() if mode.needs == option)
    return f"`{option}` goes with mode {names} alone; for another mode take it out{more}" if given else ""
