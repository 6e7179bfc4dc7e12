"""What tuning found: measurements, and the settings that they speak for."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass

from spark_infer.core.batch_search import NEAR
from spark_infer.printable import printable_lines


@dataclass(frozen=True, kw_only=True)
class Measured:
    """The rates of one setting.

    Attributes:
        setting: The key of the job file.
        value: Its value.
        rows_per_second: One rate for each round.
    """

    setting: str
    value: str
    rows_per_second: tuple[float, ...]

    @property
    def median(self) -> float:
        """The rate to go by."""
        return statistics.median(self.rows_per_second)


@dataclass(frozen=True, kw_only=True)
class Tuning:
    """What tuning found; plain facts.

    Attributes:
        job: Name of the job.
        sample_rows: Rows that were measured.
        source_rows: Rows of the source, where they are known.
        cores: Cores of this machine.
        measured: Every measurement, those of one setting together, the value of today first.
        best: Key of the job file to its best value, for those that should change.
        notes: What was not measured and why, a sentence each.
    """

    job: str
    sample_rows: int
    source_rows: int | None
    cores: int
    measured: tuple[Measured, ...]
    best: Mapping[str, str]
    notes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, object]:
        """Return the facts as values that JSON can hold."""
        return asdict(self)

    def __str__(self) -> str:
        return printable_lines(_lines(self))


def best_of(measured: list[Measured], *, today: str) -> str | None:
    """Choose a value: the first that is as fast as any; None where today's is, or where the rounds do not tell.

    Args:
        measured: One setting's values, the one to prefer first.
        today: The value that the job has.
    """
    fastest = max(each.median for each in measured)
    enough = [each for each in measured if each.median >= fastest * (1 - NEAR)]
    for each in measured:
        # A change is worth it only where its slowest round beats today's fastest one.
        if each.value == today and (each in enough or min(enough[0].rows_per_second) <= max(each.rows_per_second)):
            return None
    return enough[0].value


def _lines(tuning: Tuning) -> Iterator[str]:
    whole = "" if tuning.source_rows is None else f" of {tuning.source_rows:,}"
    cores = f"{tuning.cores} core{'' if tuning.cores == 1 else 's'}"
    yield f"{tuning.job}: {tuning.sample_rows:,}{whole} rows measured on this machine, {cores}; nothing was written"
    setting = ""
    for each in tuning.measured:
        if each.setting != setting:
            setting = each.setting
            yield ""
            yield setting
        low, high = min(each.rows_per_second), max(each.rows_per_second)
        yield f"  {each.value:<10}{each.median:>14,.0f} rows/s  ({low:,.0f} to {high:,.0f})"
    yield ""
    if tuning.best:
        yield "Best: " + " ".join(f"--set {key}={value}" for key, value in tuning.best.items())
    else:
        yield f"Best: the job as it is; nothing was faster in every round, and by more than {NEAR:.0%}"
    if tuning.notes:
        yield ""
        yield "notes"
        yield from (f"  ! {note}" for note in tuning.notes)
