"""The checkpoint of a stream, and the note in it that says whose it is."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from spark_infer.config import JobConfig, TableConfig
from spark_infer.errors import PlanError
from spark_infer.tables.durable import disk_of
from spark_infer.tables.locate import qualify
from spark_infer.tables.location import TableLocation, same_table
from spark_infer.tables.storage import Storage, open_storage
from spark_infer.tables.table_lookup import TableLookup

NOTE = "spark_infer.json"
_OF_SPARK = ("metadata", "offsets", "commits", "sources", "state")


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """Where Spark notes how far a stream is.

    Attributes:
        uri: The folder.
        storage: The same, as this process reaches it; None where it does not, and whose it is cannot be checked.
        owner: What the stream is: its job, tables and conditions.
        is_begun: Whether a stream has noted something there.
    """

    uri: str
    storage: Storage | None
    owner: Mapping[str, object]
    is_begun: bool = False

    def take(self) -> None:
        """Note whose it is, unless that is noted already.

        Raises:
            PlanError: Another job has taken it meanwhile.
        """
        if self.storage is None:
            return
        disk = disk_of(self.storage)
        disk.make_folder(self.storage.root)
        text = json.dumps(self.owner, indent=1, sort_keys=True).encode()
        if not disk.create(self.storage.at(NOTE), text, mode=0o644):
            _refuse_others(self.uri, self.storage, self.owner)


def find_checkpoint(
    lookup: TableLookup, config: JobConfig, *, source: TableLocation, target: TableLocation
) -> Checkpoint:
    """Find the checkpoint of a stream, and check that it is this job's; changes nothing.

    Raises:
        PlanError: It belongs to another job, or lies where tables keep their files.
    """
    place = TableConfig(path=config.checkpoint)
    uri = qualify(lookup, place)
    _refuse_place(uri, source, target)
    storage = open_storage(uri, same_disk=lookup.same_disk)
    owner = config.hide(
        {
            "job": config.name,
            "source": source.name,
            "where": config.source.where or "",
            "partition_filter": json.loads(config.source.model_dump_json())["partition_filter"],
            "target": target.name,
            "quarantine": "" if config.quarantine is None else config.quarantine.name,
        }
    )
    if storage is None:
        return Checkpoint(uri=uri, storage=None, owner=owner)
    is_begun = _refuse_others(uri, storage, owner)
    return Checkpoint(uri=uri, storage=storage, owner=owner, is_begun=is_begun)


def _refuse_others(uri: str, storage: Storage, owner: Mapping[str, object]) -> bool:
    """Refuse the checkpoint of another job; returns whether a stream has begun."""
    if storage.kind() == "file":
        raise PlanError(
            f"The checkpoint {uri.removeprefix('file://')} is a file.",
            next_step="give the job a checkpoint of its own: a folder that does not exist.",
        )
    there = set(storage.names()) & set(_OF_SPARK)
    note = storage.read(NOTE)
    if note is None and not there:
        return False
    shown = uri.removeprefix("file://")
    if note is None:
        raise PlanError(
            f"The checkpoint {shown} belongs to a query that is not of spark_infer.",
            details=["with it, rows that this query has read would not be scored"],
            next_step="give the job a checkpoint of its own: a folder that does not exist.",
        )
    try:
        found = dict(json.loads(note))
    except ValueError:
        found = {}
    changed = [name for name in owner if found.get(name) != owner[name]]
    others = [f"{name} was {found.get(name)!r}, and is {owner[name]!r}" for name in changed]
    if others:
        raise PlanError(
            f"The checkpoint {shown} is of another stream.",
            details=[*others, "rows that it has read would not be scored, or not be in this target"],
            next_step="give each job, and each condition or parameter, a checkpoint of its own (`${params.NAME}` may "
            "stand in its path); one that does not exist begins with all rows of the source.",
        )
    return bool(there)


def _refuse_place(uri: str, *tables: TableLocation) -> None:
    """Refuse a checkpoint among the files of a table, which VACUUM removes; Delta passes over names like `_this`."""
    here = TableLocation(format="", path=uri)
    for table in tables:
        inside = uri.removeprefix(f"{table.path}/") if table.path else uri
        if same_table(here, table) and (inside == uri or not inside.startswith("_")):
            raise PlanError(
                f"The checkpoint {here.name} shares its folder with the table {table.name}.",
                next_step="choose a folder beside the table.",
            )
