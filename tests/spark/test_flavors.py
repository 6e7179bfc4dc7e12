"""One model of each flavor through the three doors; what comes back makes the table in docs/flavors.md."""

from __future__ import annotations

import functools
import importlib
import pkgutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from spark_infer import model_udf, score, score_table
from spark_infer.errors import ModelRefusedError
from tests import generated
from tests.spark.boats import Boats
from tests.spark.python_workers import end_python_workers
from tests.unit.models.conformance import cases
from tests.unit.models.conformance.answers import reference
from tests.unit.models.conformance.case import Case
from tests.unit.models.conformance.same import differences

pytestmark = pytest.mark.filterwarnings("ignore")

# Importing these costs each process many seconds. Keras is served by pyfunc, as statsmodels is; the conformance suite
# asks it.
_DEEP = ["sentence_transformers", "transformers"]
_DEAR = {"keras", *_DEEP}
FLAVORS = [module.name for module in pkgutil.iter_modules(cases.__path__) if module.name not in _DEAR]
HEADS = ("flavor", "model", "`model_udf`", "`score`", "`score_table`")


@pytest.fixture(autouse=True)
def _one_python_worker(spark: SparkSession) -> None:
    """Has one worker import all frameworks: Spark takes the one that has idled longest, so of several each would."""
    end_python_workers()


@dataclass(frozen=True)
class Door:
    """A model on its way through the doors, with each of the backends that can serve it."""

    case: Case
    folder: str
    rows: pa.Table
    expected: Mapping[str, Sequence[Any]]

    @property
    def backends(self) -> list[str]:
        return list(dict.fromkeys([self.case.backend, "pyfunc"]))

    @property
    def options(self) -> dict[str, Any]:
        return dict(self.case.options)

    def check(self, found: Sequence[Mapping[str, Any]]) -> None:
        """Compare answers, in the order of the rows, with those of the pyfunc."""
        rtol = max(self.case.rtol, 1e-12)
        for name, wanted in self.expected.items():
            answers = [row[name] for row in found]
            assert differences(answers, wanted, rtol, self.case.atol) == [], (self.case.name, name)


def door(case: Case, folder: Path) -> Door:
    rows = case.save(folder)
    expected, _ = reference(case, folder, rows)
    table = pa.Table.from_pandas(rows.reset_index(drop=True), preserve_index=False)
    return Door(case, str(folder), table.append_column("row", pa.array(range(len(rows)))), expected)


def through_the_column_and_the_frame(spark: SparkSession, one: Door) -> None:
    """All ways in one task, one after the other, so that one Python worker imports the framework once."""
    rows = spark.createDataFrame(one.rows).coalesce(1)
    ways: dict[str, DataFrame] = {}
    for backend in one.backends:
        options: Any = {**one.options, "backend": backend}
        predict = model_udf(spark, one.folder, **options)
        ways[f"score, {backend}"] = score(rows, one.folder, keep=["row"], output="answer", **options)
        ways[f"model_udf, {backend}"] = rows.select("row", predict(*one.options.get("inputs", ())).alias("answer"))
    named = [frame.select(F.lit(way).alias("way"), "row", "answer") for way, frame in ways.items()]
    found = [row.asDict(recursive=True) for row in functools.reduce(DataFrame.union, named).coalesce(1).collect()]
    (only, *more) = one.expected
    for way in ways:
        answers = [row["answer"] for row in sorted(found, key=lambda row: row["row"]) if row["way"] == way]
        one.check(answers if more else [{only: answer} for answer in answers])


def through_the_table(spark: SparkSession, one: Door, folder: Path) -> None:
    source = folder / "rows.parquet"
    pq.write_table(one.rows, source)
    for backend in one.backends:
        target = {"path": str(folder / backend), "format": "parquet", "keep": ["row"]}
        report = score_table(spark, source=str(source), target=target, model=one.folder, backend=backend, **one.options)
        assert report.backend == backend
        one.check(pq.read_table(folder / backend).sort_by("row").to_pylist())


def spark_ml(spark: SparkSession, boats: Boats, folder: Path) -> tuple[str, ...]:
    """Spark ML by its own doors: what comes back is held to the pipeline itself in `test_sparkml`."""
    options: Any = {"allow_casts": ["long->double"]}
    rows = boats.rows.drop("prediction")
    expected = {row.id: row.prediction for row in boats.model.transform(rows).collect()}
    with pytest.raises(ModelRefusedError) as refused:
        model_udf(spark, boats.pipeline, **options)
    assert {row.id: row.prediction for row in score(rows, boats.pipeline, **options).collect()} == expected
    rows.write.parquet(str(folder / "in"))
    target = {"path": str(folder / "out"), "format": "parquet", "keep": ["id"]}
    report = score_table(spark, source=str(folder / "in"), target=target, model=boats.pipeline, **options)
    written = pq.read_table(folder / "out").select(["id", "prediction"]).to_pylist()
    assert {row["id"]: row["prediction"] for row in written} == expected
    udf = f"refused: {refused.value.what.partition(': ')[2].rstrip('.')}"
    return ("`spark`", "pipeline with texts and nulls", udf, f"`{report.backend}`", f"`{report.backend}`")


def test_every_flavor_goes_through_the_doors_as_the_docs_say(spark: SparkSession, boats: Boats, tmp_path: Path) -> None:
    rows: list[tuple[str, ...]] = []
    for flavor in FLAVORS:
        case = importlib.import_module(f"{cases.__name__}.{flavor}").CASES[0]
        folder = tmp_path / flavor
        folder.mkdir()
        one = door(case, folder / "model")
        through_the_column_and_the_frame(spark, one)
        through_the_table(spark, one, folder)
        cell = " and ".join(f"`{backend}`" for backend in one.backends)
        rows.append((f"`{flavor}`", case.name, cell, cell, cell))
    rows.append(spark_ml(spark, boats, tmp_path))
    generated.check(Path("docs/flavors.md"), "doors", generated.table(HEADS, sorted(rows)))


@pytest.mark.slow
def test_deep_models_go_through_the_column_and_the_frame(spark: SparkSession, tmp_path: Path) -> None:
    for flavor in _DEEP:
        case = importlib.import_module(f"{cases.__name__}.{flavor}").CASES[0]
        one = door(case, tmp_path / flavor)
        assert one.backends == [flavor, "pyfunc"]
        through_the_column_and_the_frame(spark, one)
