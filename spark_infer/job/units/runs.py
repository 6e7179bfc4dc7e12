"""The runs of a job: where their ledgers lie, what these hold, and which of them are done."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from spark_infer.config import JobConfig
from spark_infer.errors import LedgerError, LedgerRefusedError, TargetError, WriteError
from spark_infer.job.units.fingerprint import Facts, fingerprint, job_key
from spark_infer.job.units.run_plan import RunPlan
from spark_infer.job.units.slices import slice_in, slice_key
from spark_infer.tables.durable import disk_of
from spark_infer.tables.formats import format_of
from spark_infer.tables.ledger.access import Access, access_of
from spark_infer.tables.ledger.ledger import BELIEVED, CLOSED, REPORT, Ledger
from spark_infer.tables.ledger.signed import damaged, leads_outside, stamped_in
from spark_infer.tables.location import TableLocation
from spark_infer.tables.paths import stays_inside
from spark_infer.tables.storage import Storage

FOLDER, INSIDE = ".{}.spark_infer", ".spark_infer"
_MOST_NAME = 100
FINGERPRINT_DIGITS = 12
_MOST_BYTES = 255


@dataclass(frozen=True, kw_only=True)
class Runs:
    """The runs of one slice of a job, in the hidden folder beside its target.

    Attributes:
        root: That folder.
        name: The job's name.
        key: What the job's runs have in common besides.
        part: The slice's key; none for all of the job's rows.
        access: Whose ledgers count; None where the file system shows no owners.
    """

    root: Storage
    name: str
    key: str
    part: str = ""
    access: Access | None = None

    @property
    def job(self) -> str:
        """What all of these runs are called, whichever of them it is."""
        return f"{self.name}.{self.key}"

    @property
    def stored(self) -> Ledger:
        """The ledger of the rows that are stored for these runs, where only Spark can read their source."""
        part = f"-{self.part}" if self.part else ""
        return Ledger(self.root.below(f"{self.job}{part}.stored"), self.access)

    @property
    def is_too_long(self) -> bool:
        """Whether the folder's name is longer than disks allow; only beside a target that is still to be made."""
        return self.root.renames_atomically and len(os.fsencode(self.root.name)) > _MOST_BYTES

    @property
    def is_inside(self) -> bool:
        """Whether the ledgers lie inside the target, because nothing can be renamed from beside it into it."""
        return self.root.name == INSIDE

    @classmethod
    def of(cls, target: Storage, name: str, key: str, part: str = "", access: Access | None = None) -> Runs:
        """The runs of a job that writes into a folder.

        Raises:
            LedgerError: Somebody else may have made or changed them.
        """
        return cls(root=ledgers_of(target, access), name=name[:_MOST_NAME], key=key, part=part, access=access)

    def all(self) -> list[tuple[int, str, Ledger]]:
        """Number, fingerprint's beginning and ledger of each run of the slice, the oldest first."""
        own = [(number, digest, ledger) for part, number, digest, ledger in self._listed() if part == self.part]
        return sorted(own, key=lambda run: run[:2])

    def of_all_slices(self) -> list[Ledger]:
        """The ledgers of all runs of the job, the oldest first as far as numbers tell."""
        return [ledger for *_, ledger in sorted(self._listed(), key=lambda run: (run[1], run[0], run[2]))]

    def unfinished_of_others(self) -> list[tuple[Ledger, RunPlan]]:
        """The runs of other slices of the job that were begun, and are neither finished nor given up."""
        there = set(self.root.every_path())
        others = [ledger for part, _, _, ledger in self._listed() if part != self.part]
        unfinished = [each for each in others if not there & {f"{each.name}/{end}" for end in (REPORT, CLOSED)}]
        return [(ledger, plan) for ledger in unfinished if (plan := plan_in(ledger)) is not None]

    def _listed(self) -> list[tuple[str, int, str, Ledger]]:
        pattern = re.compile(
            rf"{re.escape(self.name)}\.{self.key}(?:-([0-9a-f]{{8}}))?\.(\d{{4,}})\.([0-9a-f]{{{FINGERPRINT_DIGITS}}})"
        )
        matches = [match for name in self.root.names() if (match := pattern.fullmatch(name))]
        return [
            (match[1] or "", int(match[2]), match[3], Ledger(self.root.below(match[0]), self.access))
            for match in matches
        ]

    def as_before_slices(self, facts: Facts | None = None) -> Runs:
        """The runs of all slices under one name, as older versions kept them, where these have begun or planned this.

        Args:
            facts: What decides the rows of a run, by which one that is finished is known.
        """
        whole = replace(self, part="")
        known = whole.all() if self.part else []
        if facts is not None:
            start = fingerprint(facts)[:FINGERPRINT_DIGITS]
            if any(start == each for _, each, _ in known):
                return whole
        return whole if known and self._is_begun_in(known[-1][2]) and not self.all() else self

    def _is_begun_in(self, ledger: Ledger) -> bool:
        """Whether a run of an older version, which is neither finished nor given up, is about this slice."""
        plan = None if ledger.closed() or ledger.report() is not None else plan_in(ledger)
        return plan is not None and slice_key(slice_in(plan.facts)) == self.part

    def number(self, ledger: Ledger) -> int:
        """The number of one of the runs."""
        return int(ledger.name.rsplit(".", 2)[-2])

    def ledger(self, number: int, digest: str) -> Ledger:
        """The ledger of a run that may not be there yet."""
        key = f"{self.key}-{self.part}" if self.part else self.key
        return Ledger(self.root.below(f"{self.name}.{key}.{number:04}.{digest[:FINGERPRINT_DIGITS]}"), self.access)


def runs_beside(
    table: Storage, config: JobConfig, source: TableLocation, target: TableLocation, facts: Facts, *, new_run: bool
) -> Runs:
    """The runs of a job's slice, after a look at the folder of the target, beside which their ledgers lie.

    Args:
        table: That folder.
        config: The job.
        source: Where its rows come from.
        target: Where they go.
        facts: What decides them.
        new_run: Whether the user wants a new run whatever was done before.

    Raises:
        TargetError: The folder cannot be used in the way of the job, or has too long a name.
        LedgerError: Somebody else may have made or changed the ledgers.
    """
    runs = Runs.of(table, config.name, job_key(source), slice_key(slice_in(facts)), access_of(table, config.target))
    runs = runs if new_run else runs.as_before_slices(facts)
    if runs.is_inside and format_of(target.format).is_replaced_by_rename and config.target.write_mode.replaces_table:
        raise TargetError(
            f"The folder {table.root} cannot be exchanged for another: it is a mount point, or its parent cannot be "
            "written to.",
            next_step="choose a folder below it, or write a Delta table.",
        )
    if runs.is_too_long:
        raise TargetError(
            f"The name of the target is too long: {table.name}",
            details=["the account of its runs lies beside it, in a folder whose name has a few letters more"],
            next_step="choose a shorter name.",
        )
    return runs


@contextmanager
def before_running() -> Iterator[None]:
    """Make what is wrong with a ledger, or with a target's log, a refusal: nothing has run yet.

    Raises:
        LedgerRefusedError: In place of a LedgerError.
        TargetError: In place of a WriteError.
    """
    try:
        yield
    except LedgerError as error:
        raise LedgerRefusedError(error.what, details=error.details, next_step=error.next_step) from error
    except WriteError as error:
        raise TargetError(error.what, details=error.details, next_step=error.next_step) from error


def ledgers_of(target: Storage, access: Access | None) -> Storage:
    """The hidden folder of a target's ledgers, after a look at who may write there.

    Args:
        target: The target's folder.
        access: Whose ledgers count; None where the file system shows no owners.

    Raises:
        LedgerError: Somebody else may have made or changed them.
    """
    root = _place(target)
    if access is not None:
        access.check(root.root, BELIEVED)
    return root


def _place(target: Storage) -> Storage:
    """Beside the target, or inside where nothing can be renamed into it."""
    beside, inside = target.beside(FOLDER.format(target.name)), target.below(INSIDE)
    if not target.kind():
        return beside
    if target.kind(INSIDE):
        return inside
    fits = len(os.fsencode(beside.name)) <= _MOST_BYTES
    if fits and beside.kind():
        return beside
    return inside if disk_of(target).stands_alone(target.root) or not fits else beside


def plan_in(ledger: Ledger) -> RunPlan | None:
    """What a run planned; None where it was never begun.

    Raises:
        LedgerError: Its plan is damaged.
    """
    text = ledger.plan()
    return None if text is None else RunPlan.from_json(text, f"{ledger.folder.root}/plan.json")


def report_in(ledger: Ledger) -> dict[str, Any] | None:
    """What a run reported; None where it is not finished.

    Raises:
        LedgerError: Its report is damaged, or names a file outside the target.
    """
    text = ledger.report()
    if text is None:
        return None
    where = f"{ledger.folder.root}/report.json"
    report = stamped_in(text, where)
    paths = report.get("some_files") or []
    if not isinstance(paths, list):
        raise damaged(where)
    if not all(stays_inside(str(path)) for path in paths):
        raise leads_outside(where)
    return report
