"""Tables without Spark: all that is known of them is in files that this process can read."""

from __future__ import annotations

import os
from typing import NoReturn

from spark_infer.config import TableConfig
from spark_infer.errors import PlanError, SourceError
from spark_infer.tables.delta.actions import UnreadableLogError
from spark_infer.tables.location import TableLocation, refusal
from spark_infer.tables.schema import schema_of
from spark_infer.tables.snapshot import Snapshot


class LocalTables:
    """The tables of engine `local`; a `TableLookup`."""

    process = "this command"
    same_disk = True

    def check_settings(self) -> None:
        """Accept: no setting of this engine can lose rows."""

    def check_delta(self) -> None:
        """Accept: Delta's log is read here."""

    def check_merge(self, location: TableLocation) -> None:
        """Accept: who writes is decided, and a merge refused, when the write is planned."""

    def base_uri(self, config: TableConfig, scheme: str) -> str:
        """Return the current folder; refuse another scheme, whose default host is a setting of Spark's."""
        if scheme:
            raise _only_spark(config, f"the host of {scheme}:///")
        return f"file://{os.getcwd()}/"

    def catalog(self, config: TableConfig) -> NoReturn:
        """Refuse."""
        raise _only_spark(config, "the catalog")

    def format_at(self, config: TableConfig, uri: str) -> NoReturn:
        """Refuse."""
        raise _only_spark(config, "this file system")

    def unlisted_delta(self, location: TableLocation, version: int | None, why: UnreadableLogError | None) -> NoReturn:
        """Refuse, and say whether Spark could read the log."""
        if why is None:
            raise SourceError(
                f"This process cannot reach the log of {location.name}, and engine `local` runs without Spark.",
                next_step="set engine: spark.",
            )
        if why.for_spark:
            raise SourceError(
                f"Only Spark can read the log of {location.name}, and engine `local` runs without it: {why}.",
                next_step="set engine: spark.",
            ) from why
        raise SourceError(
            f"The log of {location.name} is damaged: {why}.",
            next_step="restore the files in its folder _delta_log, or name another version of it or another table.",
        ) from why

    def unlisted_parquet(self, location: TableLocation, partition_columns: tuple[str, ...]) -> NoReturn:
        """Refuse."""
        raise SourceError(f"This process cannot reach {location.name}.")

    def target_schema(self, newest: Snapshot) -> str:
        """Return the columns that Delta's log or the files' footers name."""
        return schema_of(newest)


def _only_spark(config: TableConfig, what: str) -> PlanError:
    return refusal(config)(
        f"Only Spark knows {what}, and engine `local` runs without it: {config.name}.",
        next_step="name a folder that this process can reach, or set engine: spark.",
    )
