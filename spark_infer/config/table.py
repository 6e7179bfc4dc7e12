"""A table that a job names: by its path, or by its name in the catalog."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, Field

from spark_infer.config.frozen import Frozen, PathText, rule
from spark_infer.config.places import without_credentials

Place = Annotated[PathText, AfterValidator(without_credentials)]
TableFormatName = Literal["delta", "parquet"]
"""The formats of tables that a job reads where they are, and writes."""

_FORMAT = "Found out from the folder or the catalog where it is left out."


class TableConfig(Frozen):
    """A table: a path, or a name in the catalog."""

    plain_key: ClassVar[str] = "path"

    path: Place | None = Field(
        default=None, description="Folder of the table, local or on an object store. No credentials in the URI."
    )
    table: str | None = Field(
        default=None, description="Name in the catalog: `table`, `schema.table` or `catalog.schema.table`."
    )
    format: str | None = Field(default=None, description=_FORMAT)

    @rule("path", "table")
    @staticmethod
    def _one_place(path: str | None, table: str | None) -> str:
        return "give either `path` or `table`, not both and not neither" if (path is None) == (table is None) else ""

    @property
    def folder(self) -> str | None:
        """The folder or file that it names; None for a table of the catalog."""
        return self.path

    @property
    def name(self) -> str:
        """The path or the catalog name, as the user wrote it."""
        return self.folder or self.table or ""


class WrittenTableConfig(TableConfig):
    """A table that a job writes."""

    format: TableFormatName | None = Field(default=None, description=_FORMAT)
