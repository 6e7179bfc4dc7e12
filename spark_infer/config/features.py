"""Feature tables whose columns are joined to the source before it is scored."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from spark_infer.config.frozen import ColumnName, NameList, rule
from spark_infer.config.table import TableConfig, TableFormatName

SameNames = dict[ColumnName, ColumnName]
"""Column of the source to column of the feature table."""


_MOST_SHOWN = 80


class FeaturesConfig(TableConfig):
    """A feature table: each row of the source gets the columns of at most one of its rows.

    Example:
        >>> config = FeaturesConfig(path="data/income", keys="customer", as_of={"bought_at": "valid_from"})
        >>> config.key_columns, config.time_columns
        ({'customer': 'customer'}, ('bought_at', 'valid_from'))
    """

    keys: SameNames | Annotated[NameList, Field(min_length=1)] = Field(
        description="Columns that say which rows belong together: names that both tables have, or a mapping from the "
        "source's column to the feature table's. A null is equal to nothing."
    )
    as_of: SameNames | ColumnName | None = Field(
        default=None,
        description="Columns with the time of a row of each table: a name that both have, or a mapping `{source's: "
        "feature table's}`. Of the feature rows with equal keys, the newest counts that is not newer than the row of "
        "the source. Without it, the feature table has each key once.",
    )
    columns: Literal["all"] | SameNames | NameList = Field(
        default="all",
        description="The columns that are joined: their names, or a mapping from the feature table's name to a new "
        "one. `all` takes those that are neither keys nor times.",
    )

    format: TableFormatName | None = Field(
        default=None, description="Found out from the folder or the catalog where it is left out."
    )
    version: int | None = Field(
        default=None, ge=0, description="Delta version to read; without it, the newest when the rows are stored."
    )
    view: str | None = Field(default=None, min_length=1, description="A view in place of a table, by its name.")
    query: str | None = Field(default=None, min_length=1, description="A SQL query in place of a table.")
    where: str | None = Field(default=None, description="SQL condition; only feature rows that meet it are joined.")

    @rule("path", "table", "view", "query")
    @staticmethod
    def _one_place(*places: str | None) -> str:
        given = sum(each is not None for each in places)
        return "" if given == 1 else "give one of `path`, `table`, `view` and `query`"

    @rule("keys")
    @staticmethod
    def _has_a_key(keys: SameNames | tuple[str, ...]) -> str:
        return "" if keys else "name at least one column that both tables have"

    @rule("as_of")
    @staticmethod
    def _one_time(as_of: SameNames | str | None) -> str:
        wrong = isinstance(as_of, dict) and len(as_of) != 1
        return "`as_of` is one column of each table: `{event_time: valid_from}`" if wrong else ""

    @property
    def name(self) -> str:
        """The feature table in words, as the user wrote it."""
        if self.query is not None:
            return "a query" if len(self.query) > _MOST_SHOWN else f"the query {' '.join(self.query.split())}"
        return f"view {self.view}" if self.view is not None else super().name

    @property
    def key_columns(self) -> dict[str, str]:
        """Each key's column in the source, and in the feature table."""
        return dict(self.keys) if isinstance(self.keys, dict) else {name: name for name in self.keys}

    @property
    def time_columns(self) -> tuple[str, str] | None:
        """The column with the time in the source, and in the feature table; None for a plain lookup."""
        if self.as_of is None:
            return None
        return (self.as_of, self.as_of) if isinstance(self.as_of, str) else next(iter(self.as_of.items()))
