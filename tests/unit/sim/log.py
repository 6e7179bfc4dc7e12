"""Delta's log on the disk of a world: what deltalake does with a real one."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import pyarrow as pa

from spark_infer.errors import WriteError
from spark_infer.tables.plan import WritePlan
from spark_infer.tables.publishing.work import Txn
from spark_infer.tables.sink.sink_spec import WrittenFile
from spark_infer.tables.storage import Storage, partition_values
from tests.unit.sim.disk import SimDisk

_FIELDS = [
    {"name": name, "type": kind, "nullable": True, "metadata": {}} for name, kind in (("id", "long"), ("p", "integer"))
]
_TABLE = (
    {"protocol": {"minReaderVersion": 1, "minWriterVersion": 2}},
    {
        "metaData": {
            "id": "t",
            "schemaString": json.dumps({"type": "struct", "fields": _FIELDS}),
            "partitionColumns": ["p"],
            "configuration": {},
        }
    },
)


@dataclass(frozen=True)
class SimReady:
    """A table as it was looked at."""

    folder: Storage
    commits: dict[str, Any]

    def published(self, app: str) -> int:
        return newest(self.commits, app)


@dataclass(frozen=True)
class SimLog:
    """Delta's log on the disk of a world: a commit is a file that is made once."""

    disk: SimDisk

    def published(self, folder: Storage, app: str) -> int:
        return newest(self._commits(folder), app)

    def prepare(self, folder: Storage, plan: WritePlan, schema: pa.Schema, before: Any = None) -> SimReady:
        return SimReady(folder, self._commits(folder))

    def commit(
        self, plan: WritePlan, ready: SimReady, files: Sequence[WrittenFile], schema: pa.Schema, stamp: str, txn: Txn
    ) -> int | None:
        replaced = [] if plan.mode.adds_only else live(ready.commits)
        scope = plan.scope
        removes = [path for path in replaced if scope is None or scope.holds(partition_values(path))]
        failure: OSError | None = None
        try:
            while True:
                commits = self._commits(ready.folder)
                since = {name: each for name, each in commits.items() if name not in ready.commits}
                if any(newest(since, each.app) for each in (txn, *txn.also)):
                    break  # a concurrent transaction of the same application
                if self._make(ready.folder, len(commits), files, removes, stamp, txn):
                    break
        except OSError as error:
            failure = error
        if self.published(ready.folder, txn.app) >= txn.version:
            return self.version_of(ready.folder, stamp)
        raise WriteError("the commit failed") from failure

    def remove(self, plan: WritePlan, ready: SimReady, paths: Sequence[str], stamp: str, txn: Txn) -> None:
        failure: OSError | None = None
        try:
            while not newest(commits := self._commits(ready.folder), txn.app):
                if not {*paths} <= {*live(commits)}:
                    raise WriteError("a file is not part of the table")
                self._make(ready.folder, len(commits), [], list(paths), stamp, txn)
        except OSError as error:
            failure = error
        if self.published(ready.folder, txn.app) < txn.version:
            raise WriteError("the commit failed") from failure

    def create_table(
        self, folder: Storage, plan: WritePlan, files: Sequence[WrittenFile], schema: pa.Schema, stamp: str, txn: Txn
    ) -> int:
        if not self._make(folder, 0, files, [], stamp, txn):
            raise WriteError("there is a table")
        return 0

    def version_of(self, folder: Storage, stamp: str) -> int | None:
        found = [int(name[:20]) for name, each in self._commits(folder).items() if each["stamp"] == stamp]
        return max(found, default=None)

    def _make(
        self, folder: Storage, version: int, files: Sequence[WrittenFile], removes: list[str], stamp: str, txn: Txn
    ) -> bool:
        self.disk.make_folder(folder.at("_delta_log"))
        content = commit_text([file.path for file in files], removes, stamp, txn)
        return self.disk.create(folder.at(f"_delta_log/{version:020}.json"), content)

    def _commits(self, folder: Storage) -> dict[str, Any]:
        return {name: commit_in(folder.read(f"_delta_log/{name}") or b"") for name in folder.names("_delta_log")}


def commit_text(adds: Sequence[str], removes: Sequence[str], stamp: str, txn: Txn | None) -> bytes:
    """A commit as Delta writes it, as far as anybody here reads it; each one says what the table is."""
    actions: list[Any] = [{"commitInfo": {"userMetadata": stamp}}, *_TABLE]
    txns = (txn, *txn.also) if txn else ()
    actions += [{"txn": {"appId": each.app, "version": each.version}} for each in txns]
    actions += [{"remove": {"path": path}} for path in removes] + [
        {"add": {"path": path, "size": 1, "partitionValues": partition_values(path)}} for path in adds
    ]
    return "\n".join(map(json.dumps, actions)).encode()


@lru_cache(maxsize=1_000)
def commit_in(text: bytes) -> dict[str, Any]:
    """What a commit says; it is read after every step of a life, and nobody changes what this returns."""
    found: dict[str, Any] = {"txns": {}, "adds": [], "removes": [], "stamp": ""}
    for action in map(json.loads, text.decode().splitlines()):
        found["txns"] |= {action["txn"]["appId"]: action["txn"]["version"]} if "txn" in action else {}
        found["stamp"] = action.get("commitInfo", {}).get("userMetadata", found["stamp"])
        found["adds"] += [action["add"]["path"]] if "add" in action else []
        found["removes"] += [action["remove"]["path"]] if "remove" in action else []
    return found


def newest(commits: dict[str, Any], app: str) -> int:
    return max((each["txns"].get(app, 0) for each in commits.values()), default=0)


def live(commits: dict[str, Any]) -> list[str]:
    found: list[str] = []
    for name in sorted(commits):
        found = [path for path in found if path not in commits[name]["removes"]] + commits[name]["adds"]
    return found
