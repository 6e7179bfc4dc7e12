"""Tables without Spark: all that is known of them is in files that this process can read."""

from __future__ import annotations

import os
from typing import NoReturn

import pyarrow as pa

from spark_infer.config import TableConfig
from spark_infer.errors import PlanError, SourceError
from spark_infer.tables.location import TableLocation, refusal
from spark_infer.tables.schema import schema_of
from spark_infer.tables.snapshot import Snapshot
from spark_infer.tables.spark_json import is_known, type_name


class LocalTables:
    """The tables of engine `local`; a `TableLookup`."""

    process = "this command"
    same_disk = True

    def check_format(self, name: str) -> None:
        """Accept: tables of every format are read here."""

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

    def describe(
        self,
        location: TableLocation,
        *,
        version: int | None = None,
        partition_columns: tuple[str, ...] = (),
        refusal: SourceError,
    ) -> NoReturn:
        """Refuse."""
        raise refusal

    def target_schema(self, newest: Snapshot) -> pa.Schema:
        """Return the columns that Delta's log or the files' footers name; refuse types that may be newer than this."""
        schema = schema_of(newest)
        if unknown := [field for field in schema if not is_known(field)]:
            raise SourceError(
                f"{newest.location.name} has a column of a type that engine `local` does not know.",
                details=[f"{field.name}: {type_name(field)}" for field in unknown],
                next_step="choose another target, or set engine: spark.",
            )
        return schema


def _only_spark(config: TableConfig, what: str) -> PlanError:
    return refusal(config)(
        f"Only Spark knows {what}, and engine `local` runs without it: {config.name}.",
        next_step="name a folder that this process can reach, or set engine: spark.",
    )
