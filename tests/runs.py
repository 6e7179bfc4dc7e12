"""A run without a job: files that somebody writes are sealed and published as a job does it."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Generator, Mapping, Sequence
from typing import Any

import pyarrow as pa

from spark_infer.engines.unit import Unit
from spark_infer.engines.unit_run import Scored
from spark_infer.job.units.drive import Outcome, drive
from spark_infer.tables.formats import format_of
from spark_infer.tables.ledger.check import check_files
from spark_infer.tables.ledger.ledger import Ledger
from spark_infer.tables.plan import WritePlan
from spark_infer.tables.publishing.work import PublishWork
from spark_infer.tables.sink.sink_spec import SinkSpec, WrittenFile
from spark_infer.tables.storage import Storage

Fill = Callable[[Storage, str], Sequence[WrittenFile]]
"""Writes files into a folder, for the command of a name."""


def publish(
    plan: WritePlan,
    fill: Fill,
    *,
    name: str,
    sink: SinkSpec | None = None,
    schema: pa.Schema | None = None,
    facts: Mapping[str, str | int | float] | None = None,
) -> Outcome:
    """Have files written as one unit of a run, and publish them; leaves no ledger.

    The same name again is the same run.
    """
    table = plan.location.storage()
    assert table is not None
    ledger = Ledger(table.beside(f".{table.name}.spark_infer").below(name))
    ledger.begin(b"{}", {"tasks": b"[]"})
    session = uuid.uuid4().hex[:8]
    work = PublishWork(
        plan=plan,
        table=table,
        sink=sink,
        schema=schema or pa.schema([]),
        facts={"run_id": name, **(facts or {})},
        ledger=ledger,
        session=session,
    )

    def score(units: Sequence[Unit], folder: Storage, session: str, wanted: Any) -> Generator[Scored]:
        for unit in units:
            yield Scored(unit=unit, files=fill(folder, session), stats=[])

    def check(folder: Storage, scored: Scored) -> None:
        check_files(folder, scored.files, rows=None)

    try:
        publisher = format_of(plan.location.format).publisher(work)
        done = drive(
            ledger,
            [Unit(0, ())],
            publisher,
            folder=work.folder,
            score=score,
            check=check,
            session=session,
            turn=lambda: None,
        )
        assert isinstance(done, Outcome)
        return done
    finally:
        ledger.discard(["units"])
        ledger.folder.files.delete_dir(ledger.folder.parent().root)
