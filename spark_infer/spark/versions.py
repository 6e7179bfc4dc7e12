"""What differs between the Spark versions 3.5 to 4.2, and nowhere else; asked of PySpark itself, not of its number."""

from __future__ import annotations

import inspect
import logging
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyspark.errors import AnalysisException, PySparkException
from pyspark.sql import DataFrame, SparkSession, functions, udtf
from pyspark.sql.types import BinaryType, DataType, StringType, StructField, StructType
from pyspark.util import InheritableThread

from spark_infer.tables.spark_json import schema_from_json

HAS_ARROW_UDF = hasattr(functions, "arrow_udf")
"""Whether a UDF can take Arrow arrays: since Spark 4.1."""

HAS_STAGE_PROFILES = "profile" in inspect.signature(DataFrame.mapInArrow).parameters
"""Whether the stage of a `mapInArrow` can have a resource profile: since Spark 4.0."""

HAS_PROGRESS = hasattr(SparkSession, "registerProgressHandler")
"""Whether a Spark Connect server says how far it is: since Spark 4.0."""

HAS_CONDITIONS_ON_CONNECT = HAS_PROGRESS
"""Whether errors of a Spark Connect session carry their condition and its facts: since Spark 4.0, as progress does."""

HAS_TABLE_FUNCTION_ANALYSIS = hasattr(udtf, "AnalyzeResult")
"""Whether Python runs while a table function is analysed: since Spark 4.0."""

ArrowFunction = Callable[[Iterator[list[pa.Array]]], Iterator[pa.Array]]
"""From batches of argument columns to batches of results; the results may lag behind, their total may not differ."""


def map_in_arrow(frame: DataFrame, function: Any, schema: StructType, profile: Any) -> DataFrame:
    """`DataFrame.mapInArrow`; a resource profile only where `HAS_STAGE_PROFILES`."""
    return frame.mapInArrow(function, schema, **({} if profile is None else {"profile": profile}))


def arrow_table(frame: DataFrame) -> pa.Table:
    """Collect a frame as Arrow: `DataFrame.toArrow`, or by way of Python workers where Spark lacks it (3.5)."""
    if hasattr(frame, "toArrow"):
        return frame.toArrow()
    packed = frame.mapInArrow(_pack, StructType([StructField("batch", BinaryType())])).collect()
    batches = [batch for row in packed for batch in pa.ipc.open_stream(bytes(row.batch))]
    fields = schema_from_json(frame.schema.jsonValue()["fields"])
    wanted = pa.schema([pa.field(each.name, each.type) for each in fields])
    return pa.Table.from_batches(batches).cast(wanted) if batches else wanted.empty_table()


def _pack(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        stream = pa.BufferOutputStream()
        with pa.ipc.new_stream(stream, batch.schema) as writer:
            writer.write_batch(batch)
        yield pa.RecordBatch.from_pydict({"batch": [stream.getvalue().to_pybytes()]})


def rebalanced(frame: DataFrame, columns: Sequence[str]) -> DataFrame:
    """Have Spark shuffle rows into pieces of the advised size, by these columns, named in backquotes, if any."""
    try:
        return frame.hint("rebalance", *columns)
    except AnalysisException:  # Spark 3.5 takes columns in SQL alone
        names = ", ".join(columns).replace("{", "{{").replace("}", "}}")
        return frame.sparkSession.sql(f"SELECT /*+ REBALANCE({names}) */ * FROM {{rows}}", rows=frame)


def parse_ddl(text: str) -> DataType:
    """Read a type, or a list of columns, from DDL: `DataType.fromDDL`, which Spark 3.5 lacks.

    Raises:
        PySparkException: It is neither.
    """
    if hasattr(DataType, "fromDDL"):
        return DataType.fromDDL(text)
    session = SparkSession.builder.getOrCreate()
    try:
        columns = session.createDataFrame([], f"c {text}").schema.fields
    except PySparkException:
        columns = []
    return columns[0].dataType if len(columns) == 1 else session.createDataFrame([], text).schema


def usual_string(kind: StringType) -> StringType:
    """Take its name from the usual collation of a type; Spark 3.5 has no collations."""
    if not (hasattr(kind, "isUTF8BinaryCollation") and kind.isUTF8BinaryCollation()):
        return kind
    plain: Any = StringType()
    plain.collation = ""
    return plain  # type: ignore[no-any-return]


def query_context_loggers() -> list[logging.Logger]:
    """The loggers to which PySpark writes what Spark's analysis refuses; Spark 3.5 has none."""
    try:
        from pyspark.logger import PySparkLogger
    except ImportError:
        return []
    return [PySparkLogger.getLogger(name) for name in ("SQLQueryContextLogger", "DataFrameQueryContextLogger")]


def inheriting_thread(spark: SparkSession, target: Callable[[], None], name: str) -> threading.Thread:
    """Return a daemon thread with the caller's local properties, and since Spark 4.0 with the tags of a session."""
    make: Any = InheritableThread
    of_session = {"session": spark} if "session" in inspect.signature(InheritableThread).parameters else {}
    thread: threading.Thread = make(target=target, name=name, daemon=True, **of_session)
    return thread


def send_file(spark: SparkSession, file: Path) -> None:
    """Send a file to all workers of a session, for `SparkFiles.get`."""
    try:
        spark.addArtifacts(str(file), file=True)
    except RuntimeError:  # Spark 3.5 offers it with Spark Connect alone
        spark.sparkContext.addFile(str(file))


def channel_builder(url: str) -> Any:
    """What makes connections to a Spark Connect server.

    Raises:
        ImportError: A package that Spark Connect needs is missing.
        PySparkException: The address cannot be read.
    """
    from pyspark.sql.connect import client

    # In Spark 3.5 that class has the shorter name, which is an abstract one's later.
    make: Any = getattr(client, "DefaultChannelBuilder", client.ChannelBuilder)
    return make(url)


def iterator_udf(function: ArrowFunction, return_type: DataType) -> Any:
    """Make a vectorized UDF out of a function on Arrow arrays.

    It is an `arrow_udf` where Spark has it (4.1 and later), else a `pandas_udf`, whose pandas frames cost time and turn
    a null in an integer column into a double: such a column is then refused, never rounded.
    """
    if HAS_ARROW_UDF:
        return _arrow_udf(function, return_type)
    return _pandas_udf(function, return_type)


def _arrow_udf(function: ArrowFunction, return_type: DataType) -> Any:
    # Spark reads these annotations when the function is declared.
    def predict(batches: Iterator[pa.Array]) -> Iterator[pa.Array]:
        return function(list(batch) if isinstance(batch, tuple) else [batch] for batch in batches)

    predict.__annotations__ = {"batches": Iterator[pa.Array], "return": Iterator[pa.Array]}
    return functions.arrow_udf(  # type: ignore[attr-defined,unused-ignore]
        predict, return_type
    )


def _pandas_udf(function: ArrowFunction, return_type: DataType) -> Any:
    def to_arrow(column: Any) -> pa.Array:
        if hasattr(column, "columns"):
            return pa.RecordBatch.from_pandas(column, preserve_index=False).to_struct_array()
        return pa.array(column, from_pandas=True)

    def to_pandas(array: pa.Array) -> Any:
        if pa.types.is_struct(array.type):
            return pa.RecordBatch.from_struct_array(array).to_pandas(integer_object_nulls=True)
        return array.to_pandas(integer_object_nulls=True)

    def predict(batches: Any) -> Any:
        arrays = ([to_arrow(c) for c in batch] if isinstance(batch, tuple) else [to_arrow(batch)] for batch in batches)
        return (to_pandas(result) for result in function(arrays))

    kind = functions.PandasUDFType.SCALAR_ITER  # type: ignore[attr-defined,unused-ignore]
    with warnings.catch_warnings():
        # PySpark would rather have annotations, which would need pandas here, and cannot say any number of arguments.
        warnings.filterwarnings("ignore", message=".*it is preferred to specify type hints", category=UserWarning)
        return functions.pandas_udf(predict, return_type, kind)  # type: ignore[attr-defined,unused-ignore]
