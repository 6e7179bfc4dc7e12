"""What a job scores: a table, or a folder of files such as images."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from spark_infer.config.frozen import LISTED, rule
from spark_infer.config.partition_values import listed, partition_value
from spark_infer.config.table import Place, TableConfig

PartitionValue = str | int | bool | None
PartitionValues = dict[
    str, Annotated[tuple[Annotated[PartitionValue, BeforeValidator(partition_value)], ...], BeforeValidator(listed)]
]
"""Columns, each with one value or several."""


class SourceConfig(TableConfig):
    """What to score."""

    files: Place | None = Field(
        default=None,
        description="Folder of files that are no table, such as images: one row for each, with the columns `path`, "
        "`modificationTime`, `length` and `content`. docs/files.md says more.",
    )
    pattern: Annotated[tuple[str, ...], LISTED] = Field(
        default=("**",),
        min_length=1,
        description="For `files`: which of them, by their paths below the folder; `**` stands for any folders. Several "
        "patterns add up.",
    )

    version: int | None = Field(
        default=None, ge=0, description="Delta version to read; without it, the newest when the job starts."
    )
    partition_filter: PartitionValues = Field(
        default_factory=dict, description="Table partitions to read: column to the list of its values."
    )
    where: str | None = Field(default=None, description="SQL condition; only rows that meet it are read and scored.")

    @property
    def folder(self) -> str | None:
        """The folder or file that it names; None for a table of the catalog."""
        return self.files or self.path

    @rule("path", "table", "files")
    @staticmethod
    def _one_place(path: str | None, table: str | None, files: str | None) -> str:
        given = sum(each is not None for each in (path, table, files))
        return "" if given == 1 else "give one of `path`, `table` and `files`"

    @rule("files", "pattern")
    @staticmethod
    def _patterns_are_of_files(files: str | None, pattern: tuple[str, ...]) -> str:
        wrong = files is None and pattern != ("**",)
        return "`pattern` chooses among `files`; choose rows of a table with `where`" if wrong else ""

    @rule("files", "format", "version", "partition_filter")
    @staticmethod
    def _files_are_no_table(
        files: str | None, format: str | None, version: int | None, partition_filter: Mapping[str, Any]
    ) -> str:
        given = {"format": format, "version": version, "partition_filter": partition_filter or None}
        wrong = [name for name, value in given.items() if value is not None]
        return f"`{wrong[0]}` is of tables, and `files` are none: take it out" if files and wrong else ""
