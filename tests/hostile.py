"""Ledgers as somebody else would leave them beside a target: each is a change to that of an unfinished run."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from spark_infer.tables.ledger.signed import signed

OTHER = 12345
Plant = Callable[[Path, Path], None]
"""Changes the folder of a run, so that it names a private folder."""


def each(corpus: dict[str, Plant], shared: Path, home: Path) -> Iterator[str]:
    """Leave one ledger after the other beside the target `shared`/out, whose own is put back in the end."""
    saved = home.parent / "saved"
    shutil.copytree(shared, saved)
    for name, plant in corpus.items():
        plant(next((shared / ".out.spark_infer").iterdir()), home)
        yield name
        for path in (shared, home.parent / "aside"):
            shutil.rmtree(path, ignore_errors=True)
        shutil.copytree(saved, shared)


def rewrite(file: Path, change: Callable[[Any], Any]) -> None:
    """Change what a file of a ledger says, with the digest that fits."""
    facts = json.loads(file.read_bytes())["facts"]
    change(facts)
    file.write_bytes(signed(facts))


def _first(run: Path) -> Path:
    return sorted((run / "units").iterdir())[0]


def _entry(**changes: Callable[[Path, Path], str]) -> Plant:
    def plant(run: Path, home: Path) -> None:
        def change(facts: Any) -> None:
            for key, value in changes.items():
                if key == "session":
                    facts["session"] = value(run, home)
                else:
                    facts["files"][0]["path"] = value(run, home)

        rewrite(_first(run), change)

    return plant


def _up(run: Path, home: Path) -> str:
    return os.path.relpath(home, run / "files")


def _tasks(run: Path, home: Path) -> None:
    def change(facts: Any) -> None:
        facts[-1][0][0]["path"] = f"../{home.name}/private.parquet"

    rewrite(next(run.glob("tasks.*")), change)


def _plan(run: Path, home: Path) -> None:
    rewrite(run / "plan.json", lambda facts: facts.update(tasks=os.path.relpath(home / "tasks.json", run)))


def _run_id(run: Path, home: Path) -> None:
    rewrite(run / "plan.json", lambda facts: facts.update(run_id=f"x/{os.path.relpath(home, run / 'files' / 's')}/x"))


def _link(name: str) -> Plant:
    def plant(run: Path, home: Path) -> None:
        place = run / name
        place.rename(home.parent / "aside")
        place.symlink_to(home.parent / "aside")

    return plant


def _linked_root(run: Path, home: Path) -> None:
    root, aside = run.parent, home.parent / "aside"
    root.rename(aside)
    root.symlink_to(aside)


def _linked_file(run: Path, home: Path) -> None:
    facts = json.loads(_first(run).read_bytes())["facts"]
    staged = run / "files" / facts["session"] / facts["files"][0]["path"]
    staged.unlink()
    staged.symlink_to(home / "private.parquet")


def _mode(name: str, mode: int) -> Plant:
    return lambda run, home: (run / name).chmod(mode)


def _owner(name: str) -> Plant:
    return lambda run, home: os.chown(run / name, OTHER, OTHER)


PATHS: dict[str, Plant] = {
    "a file moved out of a home": _entry(session=_up, path=lambda run, home: "private.parquet"),
    "a file moved into a home": _entry(path=lambda run, home: f"../{_up(run, home)}/private.parquet"),
    "a full path": _entry(path=lambda run, home: str(home / "private.parquet")),
    "a task that reads a home": _tasks,
    "a plan with its tasks in a home": _plan,
    "a run whose files lie in a home": _run_id,
    "a linked file": _linked_file,
}
MODES: dict[str, Plant] = {
    "a folder of ledgers that all may write": _mode("..", 0o777),
    "a run that all may write": _mode(".", 0o777),
    "entries that all may write": _mode("units", 0o777),
    "staged files that all may write": _mode("files", 0o777),
    "a plan that all may write": _mode("plan.json", 0o666),
    "a linked folder of ledgers": _linked_root,
    "a linked run": _link(""),
    "linked entries": _link("units"),
    "linked staged files": _link("files"),
    "a linked plan": _link("plan.json"),
}
_OWNERS: dict[str, Plant] = {
    "a folder of ledgers of somebody else": _owner(".."),
    "a run of somebody else": _owner("."),
    "entries of somebody else": _owner("units"),
    "a plan of somebody else": _owner("plan.json"),
}
OWNERS = _OWNERS if os.getuid() == 0 else {}
"""None where this process may not give files to a second user."""
CORPUS = PATHS | MODES | OWNERS
