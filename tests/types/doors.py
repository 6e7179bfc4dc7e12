"""The three doors, each fed with the same wide Parquet table."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyspark.ml.linalg import VectorUDT
from pyspark.sql import Column, DataFrame, SparkSession, types
from pyspark.sql import functions as F
from pyspark.sql.types import DataType, IntegerType, StringType, StructField, StructType

from spark_infer import model_udf, score, score_table
from spark_infer.spark.versions import parse_ddl
from tests.types.cases import MODELS, Case
from tests.types.rows import CASES, SIZE
from tests.types.specials import SPECIALS, Special

NOT_STORED = ("nothing", "gap")
"""Columns of types that `score_table` writes into no table."""
CASTS = ("decimal->double", "double->float", "long->double")
_counter = itertools.count()


def spark_type(case: Case) -> DataType:
    """Type of a case's column."""
    if case.spark == "vector":
        return VectorUDT()
    return StringType() if case.metadata else parse_ddl(case.spark)


def frame_of(spark: SparkSession, batch: pa.RecordBatch, cases: Sequence[Case]) -> DataFrame:
    """Make a frame of one partition that holds exactly these Arrow values."""
    schema = StructType(
        [
            StructField("row", IntegerType()),
            *(StructField(case.column, spark_type(case), True, dict(case.metadata or {})) for case in cases),
        ]
    )
    return spark.range(1, numPartitions=1).mapInArrow(lambda _: iter([batch]), schema)


def arrow_of(frame: DataFrame) -> pa.RecordBatch:
    """Return the rows of a frame by the column ``row``, in the very types and bits in which Spark hands them to Python.

    PySpark's own `toArrow` cannot hand over vectors.
    """

    def packed(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            sink = pa.BufferOutputStream()
            with pa.ipc.new_stream(sink, batch.schema) as stream:
                stream.write_batch(batch)
            yield pa.RecordBatch.from_pydict({"ipc": pa.array([sink.getvalue().to_pybytes()], pa.binary())})

    # Under plain names: mapInArrow looks its columns up unquoted.
    rows = frame.toDF(*(f"c{index}" for index in range(len(frame.columns)))).mapInArrow(packed, "ipc binary").collect()
    table = pa.concat_tables(pa.ipc.open_stream(row.ipc).read_all() for row in rows).rename_columns(frame.columns)
    (batch,) = table.sort_by("row").combine_chunks().to_batches()
    return batch


def is_known(special: Special) -> bool:
    """Whether this Spark has the type of a special column."""
    return not special.since or hasattr(types, special.since)


def special_column(special: Special, where: Column) -> Column:
    """A special value in some rows, null in the others."""
    return F.when(where, F.expr(special.sql)).alias(special.column)


@dataclass(kw_only=True)
class Doors:
    """The doors over one source.

    Attributes:
        spark: The session.
        source: A Parquet table of one file: the rows of `rows.table`, and the special types that Parquet can hold.
        models: Folder of each model.
        folder: For targets.
    """

    spark: SparkSession
    source: str
    models: Mapping[str, str]
    folder: Path

    @functools.cached_property
    def schema(self) -> StructType:
        """Schema of the source."""
        return self.spark.read.parquet(self.source).schema

    def frame(self) -> DataFrame:
        """The source; Spark looks for its schema in the files only once."""
        return self.spark.read.schema(self.schema).parquet(self.source)

    def kept(self, door: str) -> list[str]:
        """Columns of the source that can pass through a door."""
        names = [
            *(case.column for case in CASES),
            *(special.column for special in SPECIALS if special.passes and is_known(special)),
        ]
        return ["row", *(name for name in names if door != "score_table" or name not in NOT_STORED)]

    def echoed(
        self, door: str, name: str, where: str, *, keep: Sequence[str], inputs: Sequence[str] | None = None, **more: Any
    ) -> DataFrame:
        """Have a model tell what it is given of some rows, in a column ``seen``.

        Args:
            door: Which door.
            name: Which model of `cases.MODELS`.
            where: Which rows of the source.
            keep: Columns that pass through.
            inputs: For the model without a signature, by default the columns of its cases.
            **more: Further options of the door.
        """
        options: dict[str, Any] = {"allow_casts": CASTS, "batch_size": SIZE}
        if name == "unsigned":
            options |= {"inputs": inputs or [case.column for case in MODELS[name]], "result_type": "string"}
        return self.scored(door, self.models[name], where, keep=keep, output="seen", **options, **more)

    def scored(
        self, door: str, model: str, where: str, *, keep: Sequence[str], output: str, **options: Any
    ) -> DataFrame:
        """Score some rows of the source through a door."""
        if door == "score":
            return score(self.frame(), model, where=where, keep=keep, output=output, **options)
        if door == "model_udf":
            predict = model_udf(self.spark, model, **options)
            return self.frame().filter(where).select(*keep, predict().alias(output))
        target = str(self.folder / f"scored_{next(_counter)}")
        stamps = {f"{stamp}_column": None for stamp in ("model_name", "model_version", "scored_at")}
        score_table(
            self.spark,
            source={"path": self.source, "format": "parquet", "where": where},
            target={"path": target, "format": "parquet", "keep": list(keep), "output": output, **stamps},
            model=model,
            **options,
        )
        return self.spark.read.parquet(target)
