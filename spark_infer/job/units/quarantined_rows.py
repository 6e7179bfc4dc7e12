"""What a job reads that scores its quarantined rows again: rows of its source, found by file and position.

A row that succeeds is added to the target, and one that fails again is quarantined again, under the new run. After both
the files leave the quarantine that held the rows before, so that each row is in a table at any moment. The ledger keeps
which rows and files these are, and a run that is killed goes on with them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from spark_infer.config import JobConfig, SourceConfig
from spark_infer.errors import UnfinishedRunError
from spark_infer.job.units.fingerprint import digest, file_digest
from spark_infer.tables.bookmark import Span
from spark_infer.tables.formats import format_of
from spark_infer.tables.ledger.ledger import LIST, Ledger
from spark_infer.tables.ledger.signed import damaged, facts_in, signed
from spark_infer.tables.listing import SourceFile
from spark_infer.tables.locate import locate
from spark_infer.tables.location import TableLocation
from spark_infer.tables.sink.quarantine import OF_RUN
from spark_infer.tables.snapshot import Snapshot
from spark_infer.tables.table_lookup import TableLookup

RUN = OF_RUN.names[0]
"""The column that the quarantine table is partitioned by."""

_LIST = f"{LIST}quarantined.json"


@dataclass(frozen=True)
class RowsOfRun:
    """The rows that one run has quarantined.

    Attributes:
        rows: File of the source to its rows, ascending.
        digests: Of the files of the source as the run read them; none where it has versions.
    """

    rows: Mapping[str, tuple[int, ...]]
    digests: frozenset[str]

    def finds_in(self, file: SourceFile) -> bool:
        """Whether a file is the one that the run read; versions of a table say that themselves."""
        return not self.digests or file.path not in self.rows or file_digest(file) in self.digests


@dataclass(frozen=True, kw_only=True)
class QuarantinedRows:
    """The rows that are scored again.

    Attributes:
        runs: The runs that quarantined them, by `run_id`.
        files: The files of the quarantine that hold them, and that leave it.
        notes: What the reader of plan and report should know, a sentence each.
    """

    runs: Mapping[str, RowsOfRun] = field(default_factory=dict)
    files: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def run_ids(self) -> tuple[str, ...]:
        """The runs that quarantined them."""
        return tuple(self.runs)

    @property
    def span(self) -> Span:
        """Which rows of the source these are; of a file that was written again after any of the runs, none."""
        runs = tuple(self.runs.values())
        picked = ascending((path, row) for run in runs for path, rows in run.rows.items() for row in rows)
        return Span(picked=picked, reads=lambda file: all(run.finds_in(file) for run in runs))

    @property
    def facts(self) -> dict[str, Any]:
        """What decides which rows these are."""
        return {"run_ids": list(self.run_ids), "files": digest(self.files)}

    def lists(self) -> dict[str, bytes]:
        """What the ledger keeps of them, by its name."""
        runs = {each: {"rows": run.rows, "digests": sorted(run.digests)} for each, run in self.runs.items()}
        return {_LIST: signed({"runs": runs, "files": self.files})}

    @classmethod
    def kept_by(cls, ledger: Ledger) -> QuarantinedRows:
        """Return those that an unfinished run began with.

        Raises:
            LedgerError: The ledger does not have them, or they are damaged.
        """
        where, text = f"{ledger.folder.root}/{_LIST}", ledger.read(_LIST)
        if text is None:
            raise damaged(where)
        kept = facts_in(text, where)
        runs = {
            each: RowsOfRun({path: tuple(rows) for path, rows in run["rows"].items()}, frozenset(run["digests"]))
            for each, run in kept["runs"].items()
        }
        return cls(runs=runs, files=tuple(kept["files"]))

    def leaving(self, there: Snapshot | None) -> tuple[str, ...]:
        """Return the files that leave the quarantine: those that held the rows, or what was made of them since.

        The runs that quarantined the rows are finished and add none: where the table was compacted, or rows were
        deleted from it, all that it has of these runs is what is left of the rows.
        """
        listing = None if there is None else there.listing
        if listing is None or {file.path for file in listing.files}.issuperset(self.files):
            return self.files
        left = [file for file in listing.files if file.values.get(RUN) in self.runs]
        held = sum(len(rows) for run in self.runs.values() for rows in run.rows.values())
        is_more = sum(file.rows or 0 for file in left) > held
        return self.files if is_more else tuple(file.path for file in left)

    def refuse_gone(self, lookup: TableLookup, config: JobConfig) -> None:
        """See that no other command has scored them meanwhile; once the run is chosen, which others cannot be any more.

        Raises:
            UnfinishedRunError: One has.
        """
        there = quarantine_table(lookup, config)
        listed = set() if there is None or there.listing is None else {file.path for file in there.listing.files}
        if not listed.issuperset(self.files):
            raise UnfinishedRunError(
                "Another command has changed the quarantine table while this one was planned.",
                next_step="run the same command again: it scores what is left there.",
            )


def quarantine_table(lookup: TableLookup, config: JobConfig) -> Snapshot | None:
    """The quarantine table as it is now; None where there is none."""
    wanted = config.quarantine
    location: TableLocation | None = None if wanted is None else locate(lookup, wanted)
    if wanted is None or location is None:
        return None
    read = SourceConfig(path=wanted.path, table=wanted.table, format=wanted.format)
    return format_of(location.format).source_snapshot(lookup, location, read)


def ascending(places: Iterable[tuple[str, int]]) -> dict[str, tuple[int, ...]]:
    """File of the source to its rows, each once."""
    found: dict[str, set[int]] = {}
    for path, row in places:
        found.setdefault(path, set()).add(row)
    return {path: tuple(sorted(found[path])) for path in sorted(found)}
