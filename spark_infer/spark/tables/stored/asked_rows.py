"""The rows of a view, a query, a DataFrame or another format, as the job asks for them; and how they are stored."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.types import ArrayType, DataType, MapType, StructType

from spark_infer.config import SourceConfig
from spark_infer.config.write_modes import CREATE
from spark_infer.errors import SourceError, SourceReadError, SparkInferError
from spark_infer.spark.analysis import sentence_of
from spark_infer.spark.exceptions import translated
from spark_infer.spark.session_settings import setting
from spark_infer.spark.tables.write import stage
from spark_infer.tables.location import TableLocation
from spark_infer.tables.parquet.format import ParquetFormat
from spark_infer.tables.plan import WritePlan
from spark_infer.tables.predicate import quote_table
from spark_infer.tables.sink.sink_spec import WrittenFile
from spark_infer.tables.storage import Storage

_NOT_STORED = ("void", "interval", "variant", "geometry", "geography")
"""Types that Spark does not write to Parquet files, or not so that all of its versions read them back alike."""

_NO_JAR = "is its jar missing (`spark.jars.packages` in `spark.conf`)?"
_WRONG_JAR = re.compile(r"\b(IncompatibleClassChange|NoSuchMethod|NoSuchField|AbstractMethod|NoClassDefFound)Error\b")


def asked_rows(spark: SparkSession, source: SourceConfig) -> DataFrame:
    """Return the rows of a source that only Spark can read; starts no Spark job but what its reader needs.

    Raises:
        SourceError: Spark cannot read it, or its columns cannot be stored.
    """
    try:
        frame = _frame(spark, source)
        frame.schema  # noqa: B018 - Spark Connect looks only when the schema is asked for
        endless = frame.isStreaming
    except Exception as error:
        raise SourceError(f"Spark cannot read the source: {_reason(error, source)}", details=[source.name]) from error
    if endless:
        raise SourceError("A streaming DataFrame has no end, and a job scores all rows.", next_step="use score_stream.")
    refuse_unstorable(spark, source, frame)
    return frame


def refuse_unstorable(spark: SparkSession, source: SourceConfig, frame: DataFrame) -> None:
    """Refuse rows whose columns cannot be stored.

    Raises:
        SourceError: Two columns have one name, or Parquet files do not carry a type; all problems at once.
    """
    schema = frame.schema
    if problems := [*_doubled(schema, setting(spark, "spark.sql.caseSensitive")), *_unstorable(schema)]:
        raise SourceError(
            "The rows are stored first, and their columns cannot be stored as Parquet.",
            details=[source.name, *problems],
            next_step="select columns with different names, and cast the others, in a `query` or a view.",
        )


def store_rows(frame: DataFrame, folder: Storage) -> Sequence[WrittenFile]:
    """Have Spark write the rows into a folder of our own, as a Parquet table, in one action.

    Raises:
        RunError: It failed.
    """
    location = TableLocation(ParquetFormat.name, folder.uri)
    plan = WritePlan(location=location, mode=CREATE, exists=False, partition_by=(), scope=None, how=f"{folder.uri}")
    try:
        with translated():
            return stage(frame, plan, folder, last=True)
    except SparkInferError:
        raise
    except Exception as error:
        raise SourceReadError(
            f"Spark failed to read the source, and none of its rows is scored: {sentence_of(error)}",
            next_step="correct the source, or what it reads, and run the same command again: it stores all rows again.",
        ) from error


def _frame(spark: SparkSession, source: SourceConfig) -> DataFrame:
    if source.frame is not None:
        frame: DataFrame = source.frame
        return frame
    if source.query is not None:
        # In brackets, where a command such as INSERT is no query: planning a job changes nothing.
        return spark.sql(f"SELECT * FROM (\n{source.query.strip().rstrip(';')}\n)")
    if source.view is not None:
        return spark.table(quote_table(source.view))
    reader = spark.read.options(**source.options)
    reader = reader if source.format is None else reader.format(source.format)
    return reader.load() if source.path is None else reader.load(source.path)


def _reason(error: Exception, source: SourceConfig) -> str:
    if isinstance(error, AttributeError):
        return "it is not a DataFrame of Spark"
    text = str(error)
    if "DATA_SOURCE_NOT_FOUND" in text:  # which Spark raises with the missing class as its cause
        return f"the session has no format {source.format}; {_NO_JAR}"
    if "No suitable driver" in text:
        return "JDBC finds no driver for its `url`: give the driver's class as the option `driver`, and its jar"
    if "ClassNotFoundException" in text:
        return f"the session has no class {sentence_of(error)}; {_NO_JAR}"
    if wrong := _WRONG_JAR.search(text):
        return f"a jar of the session is made for another version of Spark ({wrong[0]}): {sentence_of(error)}"
    return sentence_of(error)


def _doubled(schema: StructType, case_sensitive: str) -> Iterator[str]:
    is_exact = case_sensitive.lower() == "true"
    counts = Counter(name if is_exact else name.casefold() for name in schema.names)
    yield from (f"{name}: {count} columns have this name" for name, count in counts.items() if count > 1)


def _unstorable(schema: StructType) -> Iterator[str]:
    for field in schema.fields:
        for part in _parts(field.dataType):
            if part.typeName() in _NOT_STORED:
                yield f"{field.name}: {field.dataType.simpleString()}"


def _parts(kind: DataType) -> Iterator[DataType]:
    if isinstance(kind, StructType):
        for field in kind.fields:
            yield from _parts(field.dataType)
    elif isinstance(kind, ArrayType):
        yield from _parts(kind.elementType)
    elif isinstance(kind, MapType):
        yield from _parts(kind.keyType)
        yield from _parts(kind.valueType)
    else:
        yield kind
