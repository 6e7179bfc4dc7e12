"""How far a stream is, by what its target holds."""

from __future__ import annotations

import json
from dataclasses import dataclass

from spark_infer.config import JobConfig, TableConfig
from spark_infer.tables.formats import format_of
from spark_infer.tables.locate import locate, qualify
from spark_infer.tables.location import looking_at
from spark_infer.tables.storage import open_storage
from spark_infer.tables.table_lookup import TableLookup


@dataclass(frozen=True, kw_only=True)
class Published:
    """What a target holds of a stream.

    Attributes:
        stream: The query's id; "" for a checkpoint that no stream has begun, or that this process cannot reach.
        newest: The newest micro-batch that the target has; None for none.
    """

    stream: str
    newest: int | None

    def __str__(self) -> str:
        if self.newest is None:
            return "the target holds no micro-batch of this stream"
        return f"the target holds the micro-batches of stream {self.stream} up to {self.newest}"


def published(lookup: TableLookup, config: JobConfig) -> Published:
    """Look at the checkpoint of a stream and at its target; starts nothing.

    Raises:
        PlanError: Neither can be looked at.
        WriteError: The log of the target is damaged.
    """
    with looking_at(config.target):
        found = locate(lookup, config.target)
        here = open_storage(qualify(lookup, TableConfig(path=config.checkpoint)), same_disk=lookup.same_disk)
        noted = None if here is None else here.read("metadata")
    stream = "" if noted is None else str(json.loads(noted)["id"])
    table = None if found is None else found.storage()
    if found is None or table is None or not stream:
        return Published(stream=stream, newest=None)
    return Published(stream=stream, newest=format_of(found.format).written.newest_batch(table, stream))
