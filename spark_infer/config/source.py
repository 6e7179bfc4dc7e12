"""What a job scores: a table, a folder of files such as images, or anything else that Spark can read."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, get_args

from pydantic import BeforeValidator, Field, PrivateAttr
from typing_extensions import Self

from spark_infer.config.features import FeaturesConfig
from spark_infer.config.frozen import LISTED, rule
from spark_infer.config.incremental import IncrementalOptions
from spark_infer.config.partition_values import listed, partition_value
from spark_infer.config.quarantined import QuarantinedOptions
from spark_infer.config.table import Place, TableConfig, TableFormatName

PartitionValue = str | int | bool | None
PartitionValues = dict[
    str, Annotated[tuple[Annotated[PartitionValue, BeforeValidator(partition_value)], ...], BeforeValidator(listed)]
]
"""Columns, each with one value or several."""

_BLANKS = re.compile(r"""('(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|`[^`]*`)|(\bDATE\s+(?='))|\s+""")
_RAW = re.compile(r"""\b[rR]['"]""")
_MOST_SHOWN = 80
_DIGITS = 8


class SourceConfig(TableConfig):
    """What to score."""

    free_names: ClassVar[tuple[str, ...]] = ("options",)

    format: str | None = Field(
        default=None,
        min_length=1,
        description="`delta` or `parquet`, found out from the folder or the catalog where it is left out; or any other "
        "format that the Spark session can read, such as `csv`, `json`, `orc`, `avro` or `jdbc`: docs/sources.md.",
    )
    options: dict[str, str | int | float | bool] = Field(
        default_factory=dict,
        description="Options of Spark's reader for `format`, such as `header: true`. Secrets belong into "
        "`${secret:NAME}`.",
    )
    view: str | None = Field(
        default=None, min_length=1, description="A view, or a table of another format, by its name in the catalog."
    )
    query: str | None = Field(
        default=None, min_length=1, description="A SQL query (`select …`), whose rows are scored. docs/sources.md."
    )
    frame: Any = Field(
        default=None, exclude=True, repr=False, description="A DataFrame; from Python alone: `score_table(source=df)`."
    )
    frame_name: str | None = Field(
        default=None,
        min_length=1,
        description="For `frame`: the name of its rows, by which a later call knows that they are the same.",
    )
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

    features: tuple[FeaturesConfig, ...] = Field(
        default=(),
        description="Feature tables whose columns are joined to the rows, each in turn, before they are stored and "
        "scored. docs/features.md says more.",
    )

    _stored_at: str = PrivateAttr(default="")

    @property
    def folder(self) -> str | None:
        """The folder or file that it names; None for a table of the catalog."""
        return self.files or self.path

    @property
    def is_stored_first(self) -> bool:
        """Whether its rows are stored once as Parquet files, and scored from there: all but tables and `files`."""
        asked = (self.view, self.query, self.frame, self.options or None, self.features or None)
        return any(each is not None for each in asked) or self._is_read_by_spark

    @property
    def _is_read_by_spark(self) -> bool:
        return self.format is not None and self.format not in get_args(TableFormatName)

    @property
    def is_unstored(self) -> bool:
        """Whether its rows are still to be stored."""
        return self.is_stored_first and not self._stored_at

    @property
    def condition(self) -> str | None:
        """The condition on the rows that are read; those that were stored meet `where`."""
        return None if self._stored_at else self.where

    @property
    def stored_at(self) -> str:
        """The full URI of the folder that has its rows; "" as long as they are not stored."""
        return self._stored_at

    def stored_in(self, uri: str) -> Self:
        """Return the same source, whose rows are stored in a folder."""
        source = self.model_copy()
        source._stored_at = uri
        return source

    def without_features(self) -> Self:
        """Return the rows that features are joined to."""
        return self.model_copy(update={"features": ()})

    @property
    def name(self) -> str:
        """The source in words, without secrets; of what is stored first, one name for all that Spark reads alike."""
        if self.features:
            joined = [each.model_dump(mode="json") for each in self.features]
            names = ", ".join(self.hide(each.name) for each in self.features)
            return f"{self.without_features().name} with features of {names} ({_digits(self.hide(joined))})"
        if self.query is not None:
            return _named("query", _as_compared(self.hide(self.query.strip())))
        if self.view is not None:
            # The name may be that of a folder, parquet.`/Data`, in which case counts.
            return f"view {self.view if '/' in self.view else self.view.replace('`', '').casefold()}"
        if self.frame_name is not None:
            return f"DataFrame {self.frame_name}"
        if not self.is_stored_first:
            return super().name
        spelled = {name.casefold(): _option(value) for name, value in self.hide(self.options).items()}
        options = "".join(f" {name}={value}" for name, value in sorted(spelled.items()))
        return _named((self.format or "files").casefold(), f"{self.path or ''}{options}".strip())

    @rule("path", "table", "files", "view", "query", "frame", "format")
    @staticmethod
    def _one_place(*values: Any) -> str:
        *places, format_ = values
        given = sum(each is not None for each in places)
        if given == 1 or (not given and format_ is not None and format_ not in get_args(TableFormatName)):
            return ""
        return "give one of `path`, `table`, `files`, `view` and `query`"

    @rule("format", "options", "path", "table", "files", "view", "query", "frame")
    @staticmethod
    def _reader_has_a_path(
        format: str | None, options: Mapping[str, Any], path: str | None, table: str | None, *others: Any
    ) -> str:
        if table is not None and (options or (format is not None and format not in get_args(TableFormatName))):
            return "`options`, and formats other than Delta and Parquet, are of `path`: name the table as `view`"
        if (format is not None or options) and any(each is not None for each in others):
            return "`format` and `options` are of `path`, or of a source without one such as jdbc: take them out"
        if options and format is None:
            return "`options` are of a `format`: name it"
        return ""

    @rule("frame", "frame_name")
    @staticmethod
    def _frame_has_a_name(frame: Any, frame_name: str | None) -> str:
        if isinstance(frame, str | int | float | list | Mapping):
            return "`frame` is a DataFrame of Spark, from Python: score_table(source=df, source_name=…)"
        if frame is not None and frame_name is None:
            return (
                "a DataFrame needs a name, `source_name`: only by it can a later call go on with its rows after a "
                "failure, or know that they were added before"
            )
        return "`frame_name` is of a DataFrame: take it out" if frame is None and frame_name is not None else ""

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


STORED_RULE = ("source", "engine", "incremental", "trigger", "quarantined")
"""The keys that `stored_problem` takes, in its order."""


def stored_problem(
    source: SourceConfig,
    engine: str,
    incremental: IncrementalOptions | None,
    trigger: str | None,
    quarantined: QuarantinedOptions | None,
) -> str:
    """Say what does not go together with a source whose rows are stored first; "" where all does."""
    if not source.is_stored_first:
        return ""
    wrong = {
        "engine `local` reads Delta, Parquet and `files` alone: set engine: spark": engine != "spark",
        "`source.version` is of Delta tables, scored where they are: take it out": source.version is not None,
        "`source.partition_filter` is of tables, scored where they are: use `source.where`": bool(
            source.partition_filter
        ),
        "`source.features` are joined to the rows of tables and queries: take `source.files` out": source.files
        is not None,
        "`incremental` is of tables and `files`: have the query, or `source.where`, select the new rows": incremental
        is not None
        and incremental.enabled,
        "a stream reads a table: name it with `source.path` or `source.table`": trigger is not None,
        "`quarantined` reads rows of the source again, and those that were stored are gone: score them with a job "
        "whose source is the quarantine table": quarantined is not None and quarantined.enabled,
    }
    return next((text for text, is_wrong in wrong.items() if is_wrong), "")


def _as_compared(query: str) -> str:
    """Spell a query in one way: blanks outside quotes do not count, nor whether a day is a date or its text."""
    if "--" in query or _RAW.search(query):  # such a comment ends with its line, and a raw text has no escapes
        return query
    return _BLANKS.sub(lambda found: found[1] or ("" if found[2] else " "), query)


def _option(value: Any) -> str:
    text = str(value)
    return text.casefold() if text.casefold() in ("true", "false") else text


def _digits(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:_DIGITS]


def _named(kind: str, text: str) -> str:
    """Name a text in one line; some digits tell it from others that begin alike."""
    line = " ".join(text.split())
    if line == text and len(line) <= _MOST_SHOWN:
        return f"{kind} {line}".rstrip()
    digits = _digits(text)
    short = line if len(line) <= _MOST_SHOWN else f"{line[:_MOST_SHOWN]}…"
    return f"{kind} {short} ({digits})"
