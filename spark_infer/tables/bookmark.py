"""Up to which version of a source a target holds predictions: where an incremental run starts, and what it leaves."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from spark_infer.tables.listing import SourceFile
from spark_infer.tables.location import TableLocation

_PREFIX = "bookmark_"
_FACTS = ("job", "source_id", "source_version", "selection", "scoring", "model")
FileMark = tuple[int, int | None]
"""Size and time of a file: with another one of the two it is another file."""

SCORE_ALL = (
    "score all rows again: with --set target.mode=overwrite, which replaces the rows of the target; or, where rows are "
    "merged by keys, with --new-run. From then on new rows alone are scored."
)
"""What to do where a bookmark cannot be used."""

BY_KEY = (
    "name the columns that tell rows apart (incremental: {by: [id]}), and those rows are scored whose keys the target "
    f"lacks; or {SCORE_ALL}"
)
"""The same where only the source does not say which rows are new."""

APP = "spark_infer/bookmark/"
"""How the transaction identifiers of bookmarks begin in a Delta table's log."""


@dataclass(frozen=True, kw_only=True)
class Bookmark:
    """The predictions that a target holds of one job: of which version of its source, and how they were made.

    Attributes:
        job: The job's name and a digest of its source's place.
        source_id: The source's own name for itself, which one that is made again in its place does not have; of a
            source without versions a digest of its files.
        source_version: The newest version whose rows are scored; of a source without versions the number of files.
        selection: Digest of the conditions on the source's rows.
        scoring: Digest of the model and of what is done to rows; empty where only the table's log is left to say.
        model: The model, for people to read.
        files: Of a source without versions: the files whose rows are scored. The ledger keeps them, and no commit.
    """

    job: str
    source_id: str
    source_version: int
    selection: str
    scoring: str = ""
    model: str = ""
    files: Mapping[str, FileMark] = field(default_factory=dict, compare=False, repr=False)

    def to_facts(self) -> dict[str, str | int]:
        """Return the facts that the commit of the rows says of itself."""
        return {f"{_PREFIX}{name}": getattr(self, name) for name in _FACTS}

    @classmethod
    def of_facts(cls, facts: Mapping[str, Any]) -> Bookmark | None:
        """Read a bookmark from what a commit, a plan or a report says of itself; None where it has none."""
        found = {name: facts.get(f"{_PREFIX}{name}") for name in _FACTS}
        fits = all(type(value) is (int if name == "source_version" else str) for name, value in found.items())
        return cls(**found) if fits else None  # type: ignore[arg-type] # checked the line above

    @classmethod
    def of_stamp(cls, stamp: object) -> Bookmark | None:
        """Read a bookmark from the ``userMetadata`` of a commit, which anybody may have written."""
        try:
            facts = json.loads(stamp) if isinstance(stamp, str) else None
        except (ValueError, RecursionError):
            return None
        return cls.of_facts(facts) if isinstance(facts, dict) else None

    @property
    def up_to(self) -> str:
        """How far it is, for people to read."""
        return (
            f"{self.source_version:,} files"
            if self.source_id.startswith("files-")
            else f"version {self.source_version}"
        )

    @property
    def app(self) -> str:
        """The application that a Delta log knows it by, which takes each version of the source once."""
        return f"{APP}{self.job}/{self.source_id}/{self.selection}"

    @classmethod
    def of_app(cls, app: str, version: int) -> Bookmark:
        """Read a bookmark from a transaction identifier, which outlives the commit in a table's log."""
        job, _, rest = app.removeprefix(APP).partition("/")
        source_id, _, selection = rest.rpartition("/")
        return cls(job=job, source_id=source_id, source_version=version, selection=selection)


@dataclass(frozen=True, kw_only=True)
class Keys:
    """What tells rows apart, and where those are that were scored.

    Attributes:
        columns: Columns of source and target.
        target: The table that holds the rows that were scored.
    """

    columns: tuple[str, ...]
    target: TableLocation


@dataclass(frozen=True, kw_only=True)
class Span:
    """Which rows of a source are read: those that came after one bookmark, up to another.

    Attributes:
        since: None for the first row on.
        to: Where an unfinished run has pinned the end; None for what the source holds now.
        seen: A version after `since` up to which nothing is new; 0 where none was seen.
        keys: The columns by which rows of the target are replaced; none where rows are only added, and then rows of the
            source that were changed are refused.
        by: By what rows are new where nothing else says it; None where they are refused then.
        removes: Whether rows that are gone from the source are removed from the target too.
        reads: Which files of a table without versions are read; None for all.
        picked: File to those of its rows that are read, ascending; None for all rows of all files.
    """

    since: Bookmark | None = None
    to: Bookmark | None = None
    seen: int = 0
    keys: tuple[str, ...] = ()
    by: Keys | None = None
    removes: bool = False
    reads: Callable[[SourceFile], bool] | None = None
    picked: Mapping[str, tuple[int, ...]] | None = None

    @property
    def way_out(self) -> str:
        """What to do where the source does not say which rows are new."""
        return SCORE_ALL if self.keys else BY_KEY


ALL_ROWS = Span()
"""Every row of a source as it is now."""


@dataclass(frozen=True, kw_only=True)
class BookmarkMove:
    """How a run moves the bookmark of its target: in the commit that adds its rows.

    Attributes:
        found: Where it was when the run was planned; None where the target had none.
        since: The run reads what is new after it; None where it reads all rows.
        to: Where the run leaves it.
    """

    found: Bookmark | None
    since: Bookmark | None
    to: Bookmark
