"""Spark ML models: a native `transform` over the table, with no UDF and, save for your own steps, no Python worker."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import pyarrow as pa
from pyspark.ml import PipelineModel
from pyspark.ml.linalg import VectorUDT
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import ArrayType, DataType, DoubleType, StructType

from spark_infer.core.exception_text import first_line
from spark_infer.core.prediction_columns import ONLY_OUTPUT
from spark_infer.core.signature import Signature, spelled
from spark_infer.errors import ModelRefusedError, PlanError, SparkInferError
from spark_infer.models.backends.spec import LoadSpec
from spark_infer.models.code import enter_code
from spark_infer.models.files.store import ModelStore
from spark_infer.models.mlmodel import MLModel
from spark_infer.spark.cast import input_column, output_column
from spark_infer.spark.quiet import without_query_context
from spark_infer.spark.schema import arrow_type, to_spark
from spark_infer.spark.server import is_connect
from spark_infer.spark.ship import ModelFiles, open_folder, ship
from spark_infer.tables.predicate import quote_name

_METHODS = {"predict": ONLY_OUTPUT, "predict_proba": "probability", "decision_function": "decision"}
_PARAMS = {ONLY_OUTPUT: ("predictionCol", "outputCol"), "probability": ("probabilityCol",)}
_PARAMS["decision"] = ("rawPredictionCol",)

# A statement that gives back every row of its input once.
_ROW_BY_ROW = re.compile(r"\s*SELECT\s+(?!DISTINCT\b).*\bFROM\s+__THIS__\s*;?\s*", re.IGNORECASE | re.DOTALL)
_MAKES_ROWS = re.compile(r"\b(?:pos)?(?:explode|inline|stack)(?:_outer)?\s*\(|\bSELECT\b.*\bSELECT\b", re.I | re.DOTALL)


def load_pipeline(spark: SparkSession, mlmodel: MLModel, store: ModelStore, files: ModelFiles) -> PipelineModel:
    """Have Spark load a pipeline, which it does with small tasks of its own; once for a session.

    Raises:
        ModelRefusedError: The executors cannot see the model's files, or a stage drops or makes rows.
        ModelRefusedError: It does not load.
    """
    if files.way not in ("same_node", "shared_folder"):
        raise ModelRefusedError(
            "A Spark ML model is loaded by Spark's executors, which do not see the driver's model store.",
            details=[f"model_files: {files}"],
            next_step="name a folder that every node mounts: model_files='/mnt/models'.",
        )
    ship(spark, store, files)
    folder = open_folder(files)
    enter_code(folder, mlmodel)
    loaded = _LOADED.setdefault(spark, {})
    # A Connect server forgets models that a session has not used for a while.
    if files.digest not in loaded or is_connect(spark):
        loaded[files.digest] = _load(folder, mlmodel)
    return loaded[files.digest]


_LOADED: WeakKeyDictionary[SparkSession, dict[str, PipelineModel]] = WeakKeyDictionary()
"""Digest to pipeline, for each session."""


def _load(folder: Path, mlmodel: MLModel) -> PipelineModel:
    flavor = mlmodel.flavors["spark"]
    try:
        with without_query_context():
            pipeline = PipelineModel.load(f"file://{folder / str(flavor['model_data'])}")
    except Exception as error:  # py4j's, gRPC's, PySpark's, and those of stages written in Python
        raise ModelRefusedError(
            f"The model does not load with backend 'spark' ({type(error).__name__}: {first_line(error)}).",
            details=[f"it was saved with pyspark {flavor.get('pyspark_version', 'unknown')}"],
            next_step="give Spark the packages that the pipeline's stages come from.",
        ) from error
    refuse_other_rows(pipeline)
    return pipeline


def refuse_other_rows(pipeline: PipelineModel) -> None:
    """Refuse stages that do not give back each row once."""
    problems = []
    for stage in _stages(pipeline):
        name = type(stage).__name__
        if stage.hasParam("handleInvalid") and stage.getOrDefault("handleInvalid") == "skip":
            problems.append(f"stage {name} leaves out rows with invalid values (handleInvalid='skip')")
        if stage.hasParam("statement"):
            statement = stage.getOrDefault("statement")
            if not _ROW_BY_ROW.fullmatch(statement) or _MAKES_ROWS.search(statement):
                problems.append(f"stage {name} has a statement that may drop or make rows")
    if problems:
        raise ModelRefusedError(
            "The pipeline may not return one prediction for each row.",
            details=problems,
            next_step="set handleInvalid to 'keep' or 'error', end a statement with FROM __THIS__, and log it again.",
        )


def _stages(pipeline: Any) -> Iterator[Any]:
    for stage in pipeline.stages:
        if hasattr(stage, "stages"):
            yield from _stages(stage)
        else:
            yield stage


class SparkMLModel:
    """A loaded pipeline between the columns of a table and the outputs of its signature.

    Args:
        pipeline: The pipeline, loaded in the session of ``table``.
        spec: What to feed it and which outputs are wanted.
        table: The table; None where a preprocess function makes the model's columns.
    """

    how = "Spark runs the pipeline itself; a null reaches it as a null"

    def __init__(self, pipeline: PipelineModel, spec: LoadSpec, table: DataFrame | None, spark: SparkSession) -> None:
        self._pipeline = pipeline
        self._spec = spec
        self._table = table
        self._spark = spark
        unknown = [method for method in spec.methods if method not in _METHODS]
        if unknown:
            raise ModelRefusedError(
                f"A Spark ML pipeline has no method {unknown[0]!r}.", details=[f"it has {list(_METHODS)}"]
            )

    def outputs(self) -> pa.Schema:
        """Columns of the methods asked for."""
        table = self._table
        if table is None:
            sources = [pa.field(column.source, column.type) for column in self._spec.binding.columns if column.source]
            table = self._spark.createDataFrame([], to_spark(pa.schema(sources)))
        made = self.transform(table.select(*self.inputs(table.schema))).schema
        names = [_METHODS[method] for method in self._spec.methods]
        return pa.schema([pa.field(name, _arrow(made[self._source(name, names, made)].dataType)) for name in names])

    def inputs(self, table: StructType) -> list[Column]:
        """Expressions for the model's columns over a table of schema ``table``."""
        signature: Signature | None = self._spec.mlmodel.signature
        declared = {getattr(item, "name", None): item for item in signature.inputs} if signature else {}
        types = {field.name: field.dataType for field in table}
        made = []
        for column in self._spec.binding.columns:
            if column.source is None:  # optional, and the table lacks it
                continue
            given, got = F.col(quote_name(column.source)), types[column.source]
            item = declared.get(column.target)
            is_vector = getattr(item, "is_vector", False) or self._are_features(column.target, got)
            if signature is not None or is_vector:
                given = input_column(given, column.source, got, column.type, is_vector=is_vector)
            made.append(given.alias(column.target))
        return made

    def _are_features(self, name: str, got: DataType) -> bool:
        """Whether a column holds the last stage's features: MLflow's rule for older signatures, without vectors."""
        stage = self._pipeline.stages[-1]
        features = stage.getOrDefault("featuresCol") if stage.hasParam("featuresCol") else None
        return name == features and isinstance(got, VectorUDT | ArrayType)

    def transform(self, inputs: DataFrame) -> DataFrame:
        """Run the pipeline over a frame with its columns; lazy.

        Raises:
            PlanError: It does not take them.
        """
        try:
            with without_query_context():
                made = self._pipeline.transform(inputs)
                made.schema  # noqa: B018 - has Spark look at it, also where it would wait for the first action
                return made
        except SparkInferError:
            raise
        except Exception as error:  # PySpark's, and Java's IllegalArgumentException under several names
            raise PlanError(
                f"The pipeline does not take the columns it is given ({type(error).__name__}).",
                details=[first_line(error)],
                next_step="log it with the signature of the columns that it was fitted on.",
            ) from error

    def predictions(self, made: StructType, wanted: pa.Schema) -> dict[str, Column]:
        """Return an expression for each output over the transformed frame.

        Raises:
            PlanError: The pipeline does not make one, or makes another type.
        """
        columns = {}
        for field in wanted:
            source = self._source(field.name, wanted.names, made)
            got = made[source].dataType
            column = output_column(F.col(quote_name(source)), field.name, got, field.type)
            if column is None:
                raise PlanError(
                    f"The pipeline returns {field.name!r} as {got.simpleString()}, not as {spelled(field.type)}.",
                    next_step="say the type with result_type, or log the model with the outputs it really returns.",
                )
            columns[field.name] = column
        return columns

    def _source(self, name: str, names: list[str], made: StructType) -> str:
        """Name of the pipeline's column for an output; the only output may have any name."""
        stage = self._pipeline.stages[-1]
        params = _PARAMS.get(name, ()) or (_PARAMS[ONLY_OUTPUT] if len(names) == 1 else ())
        named = [stage.getOrDefault(param) for param in params if stage.hasParam(param)]
        for candidate in (name, *named, *([ONLY_OUTPUT] if len(names) == 1 else [])):
            if candidate in made.names:
                return str(candidate)
        raise PlanError(
            f"The pipeline makes no column for the output {name!r}.",
            details=[f"it makes {made.names}"],
            next_step="log it with a signature that names one of these, or choose another predict_method.",
        )


def _arrow(got: DataType) -> pa.DataType:
    return arrow_type(ArrayType(DoubleType()) if isinstance(got, VectorUDT) else got)
