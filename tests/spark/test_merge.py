"""Mode `merge`: by keys, once, and refused in our words where Delta would not take the rows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from deltalake import DeltaTable
from pyspark.sql import SparkSession

from spark_infer import ScoringJob, score_table
from spark_infer.config import JobConfig
from spark_infer.errors import ConfigError, RunError, SourceError, TargetError, WriteError
from tests.spark.since import HAS_VARIANTS, generated_columns

ROWS = 60
PLAIN = {"scored_at_column": None, "model_name_column": None, "model_version_column": None}


@pytest.fixture
def source(spark: SparkSession, tmp_path: Path) -> Path:
    """Sixty rows in six files: ``id`` and ``x`` = id / 4."""
    spark.range(0, ROWS, 1, 6).selectExpr("id", "id / 4D AS x").write.parquet(str(tmp_path / "in"))
    return tmp_path / "in"


def merge_job(
    line: str, source: Path, tmp_path: Path, *, like: Any = (), where: str | None = None, **more: Any
) -> ScoringJob:
    target = {"path": str(tmp_path / "out"), "format": "delta", "mode": "merge", "keys": ["id"], **PLAIN, **dict(like)}
    document = {"model": {"uri": line}, "source": {"path": str(source), "where": where}, "target": target, **more}
    return ScoringJob(JobConfig.model_validate(document))


@pytest.mark.matrix
@pytest.mark.parametrize("plane", ["auto", pytest.param("spark", marks=pytest.mark.soak)])
def test_a_merge_updates_and_adds_by_keys_and_happens_once(
    spark: SparkSession, line: str, source: Path, tmp_path: Path, breaks: Any, plane: str
) -> None:
    target = {"path": str(tmp_path / "out"), "format": "delta"}
    rows = "CASE id WHEN 70 THEN NULL ELSE id END AS id", "id * 100D AS x"
    spark.range(30, 71, 1, 2).selectExpr(*rows).write.parquet(str(tmp_path / "before"))
    merge_job(line, tmp_path / "before", tmp_path, name="first").run(spark)
    extra = spark.sql("SELECT CAST(NULL AS BIGINT) AS id, 3D AS x")
    extra.write.mode("append").parquet(str(source))
    scoring = merge_job(line, source, tmp_path, plane=plane, units={"bytes": 1})
    breaks("committed:1:raise")
    report = scoring.run(spark)  # the commit is there, and its reply is lost
    breaks("")
    assert report.rows_scored == ROWS + 1
    version = DeltaTable(str(tmp_path / "out")).version()
    assert (report.target_version, version) == (1, 1)
    assert (report.rows_replaced, report.rows_added) == (31, 30)
    found = spark.read.format("delta").load(target["path"]).collect()
    values = {row["id"]: row["prediction"] for row in found}
    assert len(found) == len(values) == 71
    assert values == {None: pytest.approx(6.0)} | {
        i: pytest.approx(i / 2 if i < ROWS else i * 200.0) for i in range(70)
    }
    assert scoring.run(spark).already_done
    assert DeltaTable(str(tmp_path / "out")).version() == 1


def test_keys_that_occur_twice_are_refused_before_the_model_runs(
    spark: SparkSession, line: str, source: Path, tmp_path: Path
) -> None:
    merge_job(line, source, tmp_path, name="first").run(spark)
    spark.range(5).selectExpr("id", "1D AS x").write.mode("append").parquet(str(source))
    with pytest.raises(SourceError, match="5 keys occur more than once") as refused:
        merge_job(line, source, tmp_path).run(spark)
    assert "the model has not run" in str(refused.value)
    assert DeltaTable(str(tmp_path / "out")).version() == 0


def test_a_merge_needs_keys_of_the_source(spark: SparkSession, line: str, source: Path, tmp_path: Path) -> None:
    with pytest.raises(TargetError, match="names prediction, which is not a column of the source"):
        merge_job(line, source, tmp_path, like={"keys": ["prediction"]}).run(spark)
    with pytest.raises(ConfigError, match="`merge` needs `keys`"):
        score_table(spark, source=str(source), target={"path": "x", "mode": "merge"}, model=line)
    with pytest.raises(ConfigError, match="only Spark can merge"):
        score_table(source=str(source), target={"path": "x", "mode": "merge", "keys": "id"}, model=line, engine="local")


def test_a_merge_of_no_rows_makes_no_version(spark: SparkSession, line: str, source: Path, tmp_path: Path) -> None:
    made(spark, tmp_path, "id BIGINT, x DOUBLE, prediction DOUBLE")
    for plane in ("auto", "spark"):
        report = merge_job(line, source, tmp_path, where="id < 0", plane=plane, name=plane).run(spark)
        assert (report.target_version, report.rows_scored) == (None, 0)
        assert any("nothing was merged" in note for note in report.warnings)


def made(spark: SparkSession, tmp_path: Path, columns: str, clauses: str = "") -> None:
    spark.sql(f"CREATE TABLE delta.`{tmp_path / 'out'}` ({columns}) USING DELTA {clauses}")


@pytest.mark.parametrize(
    ("plane", "text"),
    [
        ("auto", ""),
        ("spark", "__HIVE_DEFAULT_PARTITION__"),
        pytest.param("auto", "__HIVE_DEFAULT_PARTITION__", marks=pytest.mark.soak),
        pytest.param("spark", "", marks=pytest.mark.soak),
    ],
)
def test_texts_that_a_partition_would_store_as_null_are_refused(
    spark: SparkSession, line: str, tmp_path: Path, plane: str, text: str
) -> None:
    made(spark, tmp_path, "id INT, p STRING, x DOUBLE, prediction DOUBLE", "PARTITIONED BY (p)")
    rows = f"SELECT 1 AS id, '{text}' AS p, 3D AS x UNION ALL SELECT 1, NULL, 4D"
    spark.sql(rows).write.parquet(str(tmp_path / "in"))
    with pytest.raises(RunError, match=r"which a table (stores as|takes for) null"):
        merge_job(line, tmp_path / "in", tmp_path, like={"keys": ["id", "p"]}, plane=plane).run(spark)
    assert DeltaTable(str(tmp_path / "out")).version() == 0


def test_a_row_that_breaks_a_rule_of_the_target_is_an_error_without_its_values(
    spark: SparkSession, line: str, source: Path, tmp_path: Path
) -> None:
    made(spark, tmp_path, "id BIGINT, x DOUBLE, prediction DOUBLE")
    spark.sql(f"ALTER TABLE delta.`{tmp_path / 'out'}` ADD CONSTRAINT small CHECK (x < 14.625)")
    with pytest.raises(WriteError, match=r"breaks a constraint of the target: CHECK constraint small") as refused:
        merge_job(line, source, tmp_path).run(spark)
    assert "14.75" not in str(refused.value)
    spark.sql(f"ALTER TABLE delta.`{tmp_path / 'out'}` DROP CONSTRAINT small")
    report = merge_job(line, source, tmp_path).run(spark)
    assert (report.rows_added, report.units_before) == (ROWS, 1)


def test_what_delta_refuses_in_a_merge_is_told_in_a_sentence(
    spark: SparkSession, line: str, source: Path, tmp_path: Path
) -> None:
    made(spark, tmp_path, "id BIGINT, v VARCHAR(3), x DOUBLE, prediction DOUBLE")
    spark.sql("SELECT 1L AS id, 'four' AS v, 1D AS x").write.parquet(str(tmp_path / "long"))
    with pytest.raises(WriteError, match=r"Spark did not merge into .*") as refused:
        merge_job(line, tmp_path / "long", tmp_path).run(spark)
    assert "four" not in str(refused.value)


def test_tables_and_keys_that_cannot_be_merged_are_refused_before_anything_runs(
    spark: SparkSession, line: str, source: Path, tmp_path: Path
) -> None:
    appends = "TBLPROPERTIES (delta.appendOnly = true)"
    made(spark, tmp_path, "id BIGINT, x DOUBLE, prediction DOUBLE", appends)
    for mode in ("merge", "overwrite"):
        keys = ["id"] if mode == "merge" else []
        with pytest.raises(TargetError, match=r"no other writes than appends \(delta.appendOnly\)"):
            merge_job(line, source, tmp_path, like={"mode": mode, "keys": keys}).plan(spark)
    if not HAS_VARIANTS:
        return
    spark.sql("SELECT 1 AS id, parse_json('1') AS v, 1D AS x").write.format("delta").save(str(tmp_path / "odd"))
    other = {"keys": ["v"], "path": str(tmp_path / "new")}
    with pytest.raises(TargetError, match="the key v is or holds a variant, which cannot be compared"):
        merge_job(line, tmp_path / "odd", tmp_path, like=other).plan(spark)


IDENTITY = "id STRING, x DOUBLE, n BIGINT GENERATED {} AS IDENTITY"


@pytest.mark.parametrize(
    ("columns", "mode", "problem"),
    [
        ("id CHAR(5), x DOUBLE", "merge", "the key id is or holds a CHAR in the table"),
        pytest.param(IDENTITY.format("ALWAYS"), "merge", "n is GENERATED ALWAYS AS IDENTITY", marks=generated_columns),
        pytest.param(IDENTITY.format("ALWAYS"), "append", "n is GENERATED ALWAYS AS IDENTITY", marks=generated_columns),
        pytest.param(IDENTITY.format("BY DEFAULT"), "merge", "n is an identity column", marks=generated_columns),
    ],
)
def test_rules_of_the_target_that_no_row_can_keep_are_refused_before_anything_runs(
    spark: SparkSession, line: str, tmp_path: Path, columns: str, mode: str, problem: str
) -> None:
    made(spark, tmp_path, f"{columns}, prediction DOUBLE")
    more = ", 7L AS n" if " n " in columns else ""
    spark.sql(f"SELECT 'a' AS id, 1D AS x{more}").write.parquet(str(tmp_path / "in"))
    like = {"mode": mode, "keys": ["id"] if mode == "merge" else []}
    with pytest.raises(TargetError) as refused:
        merge_job(line, tmp_path / "in", tmp_path, like=like).plan(spark)
    assert [each[: len(problem)] for each in refused.value.details] == [problem]


@generated_columns
def test_identity_columns_that_take_values_are_appended_to_and_char_columns_merged_beside_the_key(
    spark: SparkSession, line: str, tmp_path: Path
) -> None:
    made(spark, tmp_path, "id VARCHAR(5), x DOUBLE, n CHAR(3), prediction DOUBLE")
    spark.sql("SELECT 'a' AS id, 1D AS x, 'b' AS n").write.parquet(str(tmp_path / "in"))
    assert merge_job(line, tmp_path / "in", tmp_path).run(spark).rows_added == 1
    columns = "id STRING, x DOUBLE, n BIGINT GENERATED BY DEFAULT AS IDENTITY, prediction DOUBLE"
    spark.sql(f"CREATE TABLE delta.`{tmp_path / 'own'}` ({columns}) USING DELTA")
    spark.sql("SELECT 'a' AS id, 1D AS x, 7L AS n").write.parquet(str(tmp_path / "more"))
    like = {"mode": "append", "keys": [], "path": str(tmp_path / "own")}
    merge_job(line, tmp_path / "more", tmp_path, like=like).run(spark)
    assert [row["n"] for row in spark.read.format("delta").load(str(tmp_path / "own")).collect()] == [7]
