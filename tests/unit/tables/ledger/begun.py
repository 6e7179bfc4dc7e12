"""A run with a ledger beside the table `t` of a folder, and what reads it back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from spark_infer.config import TargetConfig
from spark_infer.job.units.runs import ledgers_of
from spark_infer.tables.ledger.access import access_of
from spark_infer.tables.ledger.entry import Sealed
from spark_infer.tables.ledger.ledger import Ledger
from spark_infer.tables.storage import Storage, open_storage

ROOT, RUN = ".t.spark_infer", ".t.spark_infer/score.00000000.0001.0123456789ab"
FOLDERS = [ROOT, RUN, f"{RUN}/units", f"{RUN}/files"]
FILES = [f"{RUN}/plan.json", f"{RUN}/tasks.json", f"{RUN}/units/000000.json", f"{RUN}/report.json"]


def table(tmp_path: Path) -> Storage:
    found = open_storage(f"file://{tmp_path}/t")
    assert found is not None
    return found


def ledger(tmp_path: Path, **target: Any) -> Ledger:
    """The run of a job, after a look at who may write there, as `plan`, `run` and `status` find it."""
    access = access_of(table(tmp_path), TargetConfig(path="t", **target))
    root = ledgers_of(table(tmp_path), access)
    return Ledger(root.below(RUN.rpartition("/")[2]), access)


def begun(tmp_path: Path, **target: Any) -> Ledger:
    made = ledger(tmp_path, **target)
    made.begin(b"plan", {"tasks.json": b"tasks"})
    made.make_folder(made.staged("0a1b2c3d"))
    made.seal(Sealed(unit=0, session="0a1b2c3d", files=()))
    made.finish(b"report")
    return made


def read_all(tmp_path: Path, **target: Any) -> None:
    found = ledger(tmp_path, **target)
    assert (found.plan(), found.tasks("tasks.json"), found.report()) == (b"plan", b"tasks", b"report")
    assert found.sealed(0).session == "0a1b2c3d"
