"""The folder of one run: its plan, an entry for each unit that is done, its report."""

from __future__ import annotations

import itertools
import posixpath
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from spark_infer.errors import LedgerError
from spark_infer.tables.durable import disk_of
from spark_infer.tables.ledger.access import Access
from spark_infer.tables.ledger.entry import Sealed, ordinals
from spark_infer.tables.storage import Storage

PLAN, JOURNAL, REPORT, CLOSED, UNITS, FILES = (
    "plan.json",
    "publish.json",
    "report.json",
    "closed.json",
    "units",
    "files",
)

ENDS = "ends"
"""The folder of a run that says why its commands ended before it was finished."""

LIST = "source."
"""How the names of lists of a source's files begin, which runs keep for later ones."""

SUMMARY = "summary"
"""The folder of a run that holds the ledger of its summary."""

BELIEVED = (UNITS, FILES)
"""The folders of a run whose content decides what becomes part of a table."""


@dataclass(frozen=True)
class Ledger:
    """The ledger of one run.

    Each of its files is made once and never changed, so that a process that is killed leaves a true account.

    Attributes:
        folder: The run's folder; its name is the run's name.
        access: Who may write it; None where the file system shows no owners.
    """

    folder: Storage
    access: Access | None = None

    @property
    def name(self) -> str:
        """The run's name."""
        return self.folder.name

    def begin(self, plan: bytes, files: Mapping[str, bytes]) -> bool:
        """Write down what the run is going to do; False where another driver has done so.

        Args:
            plan: The plan, which says where the tasks are.
            files: Name to content of the tasks, and of what else the run keeps: another name for another content.
        """
        self.make_folder(self.folder.below(UNITS))
        for name, content in files.items():
            self.create(name, content)
        return self.create(PLAN, plan)

    def plan(self) -> bytes | None:
        """What the run is going to do; None where it was never begun."""
        return self.read(PLAN)

    def tasks(self, name: str) -> bytes:
        """The units and their tasks.

        Raises:
            LedgerError: They are not there.
        """
        return self._text(name)

    def seal(self, sealed: Sealed) -> bool:
        """Say that a unit is done; False where another driver has done it.

        This is the moment at which a unit's rows are known to be scored: before it, its files are nobody's.

        Raises:
            LedgerError: Somebody removed the run's folder, or a part of it.
        """
        try:
            return self.create(_entry(sealed.unit), sealed.to_json())
        except FileNotFoundError:
            raise _removed(self.folder.at(UNITS)) from None

    def is_sealed(self, unit: int) -> bool:
        """Whether a unit is done."""
        return bool(self.folder.kind(_entry(unit)))

    def sealed(self, unit: int) -> Sealed:
        """The entry of a unit that is done."""
        return Sealed.from_json(self._text(_entry(unit)), f"{self.folder.root}/{_entry(unit)}")

    def all_sealed(self) -> dict[int, Sealed]:
        """The entries of all units that are done."""
        return {unit: self.sealed(unit) for unit in self.done()}

    def done(self) -> list[int]:
        """The units that are done."""
        return ordinals(self.folder.names(UNITS))

    def journal(self) -> None:
        """Say that all files are staged and are about to be put in their place."""
        self.create(JOURNAL, b"{}")

    def finish(self, report: bytes) -> bool:
        """Say that all is published; False where another driver has said so."""
        return self.create(REPORT, report)

    def report(self) -> bytes | None:
        """The report; None as long as the run is not finished."""
        return self.read(REPORT)

    def close(self, why: bytes) -> None:
        """Say that nothing more may be published, because another run takes this one's place."""
        self.create(CLOSED, why)

    def closed(self) -> bool:
        """Whether another run took this one's place."""
        return bool(self.folder.kind(CLOSED))

    def of_summary(self) -> Ledger:
        """The ledger of the run's summary, inside this one."""
        return Ledger(self.folder.below(SUMMARY), self.access)

    def staged(self, session: str) -> Storage:
        """The folder that one command's tasks write into."""
        return self.folder.below(f"{FILES}/{session}")

    def make_folder(self, folder: Storage) -> None:
        """Make a folder of the run, and those that it lies in; in a ledger they are for its users alone.

        Raises:
            LedgerError: One of them is there, and may have been made by somebody else.
        """
        disk = disk_of(self.folder)
        if self.access is None:
            disk.make_folder(folder.root)
            return
        root = self.folder.parent()
        disk.make_folder(root.parent().root)
        below = folder.root.removeprefix(f"{root.root}/").split("/")
        for path in itertools.accumulate(below, posixpath.join, initial=root.root):
            self.access.make_folder(path)

    def check(self) -> None:
        """Look again at who may write the run's folders, which others may have exchanged while it was at work.

        Raises:
            LedgerError: One of them may have been made or changed by somebody else.
        """
        if self.access is not None:
            self.access.look(self.folder.parent().root)
            self.access.check_run(self.folder.root, BELIEVED)

    def discard(self, parts: Iterable[str]) -> None:
        """Remove folders of this run."""
        for part in parts:
            if self.folder.kind(part):
                self.folder.files.delete_dir(self.folder.at(part))

    def create(self, path: str, content: bytes) -> bool:
        """Make a file of the run; False where there is one already.

        Raises:
            LedgerError: It cannot be written.
        """
        try:
            mode = 0o600 if self.access is None else self.access.file_mode
            return disk_of(self.folder).create(self.folder.at(path), content, mode=mode)
        except FileNotFoundError:  # which each caller knows the meaning of
            raise
        except OSError as error:
            raise LedgerError(
                f"{self.folder.at(path)}, a part of the run's account, cannot be written: {error}",
                next_step="see to the disk's space and the folder's permissions, then run the same command again.",
            ) from error

    def read(self, path: str) -> bytes | None:
        """The content of a file of the run; None where there is none.

        Raises:
            LedgerError: It may have been written by somebody else.
        """
        return self.folder.read(path) if self.access is None else self.access.read(self.folder.at(path))

    def _text(self, path: str) -> bytes:
        text = self.read(path)
        if text is None:
            raise _removed(self.folder.at(path))
        return text


def _entry(unit: int) -> str:
    return f"{UNITS}/{unit:06}.json"


def _removed(place: str) -> LedgerError:
    return LedgerError(
        f"The ledger has no {place}.",
        details=["somebody removed it while the run was unfinished"],
        next_step="put it back; or start a new run with --new-run, after a look at what the target holds.",
    )
