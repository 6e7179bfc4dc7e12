"""The type matrix through Spark's three doors; `WRITE_DOCS=1` writes docs/type-matrix.md again."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pytest
from pyspark.errors import PySparkException
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from spark_infer import model_udf, score
from spark_infer.core.pylist import to_pylist
from spark_infer.errors import ConfigError, SchemaMismatchError, TargetError
from tests.spark.since import every_type
from tests.types import document, trap
from tests.types.broken import BROKEN
from tests.types.cases import MODELS, Case
from tests.types.document import DOORS
from tests.types.doors import CASTS, NOT_STORED, Doors, arrow_of, frame_of, is_known, special_column
from tests.types.rows import CASES, SIZE, differences, same_bits, table
from tests.types.saved import SPEAKER, save, save_echo, save_echoes
from tests.types.shapes import DECLARED, SHAPES
from tests.types.specials import SPECIALS, Special

SOUND = f"row < {2 * SIZE}"


@pytest.fixture(scope="module")
def found() -> document.Cells:
    return {}


@pytest.fixture(scope="module")
def truth() -> pa.RecordBatch:
    return table([(broken.case, broken.value) for broken in BROKEN])


@pytest.fixture(scope="module")
def doors(spark: SparkSession, truth: pa.RecordBatch, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Doors]:
    folder = tmp_path_factory.mktemp("types")
    with setting(spark, "spark.sql.timeType.enabled", "true"):  # Spark 3.5 and 4.0 have no such setting, and no times
        held = (special for special in SPECIALS if special.held and is_known(special))
        specials = (special_column(special, F.col("row") % 2 == 0) for special in held)
        frame_of(spark, truth, CASES).select("*", *specials).write.parquet(str(folder / "source"))
        row = {"name": "row", "type": "integer", "required": True}
        models = save_echoes(folder) | {"speaker": save(folder / "speaker", SPEAKER, [row], None)}
        yield Doors(spark=spark, source=str(folder / "source"), models=models, folder=folder)


@contextmanager
def setting(spark: SparkSession, name: str, value: str) -> Iterator[None]:
    before = spark.conf.get(name, None)
    spark.conf.set(name, value)
    try:
        yield
    finally:
        if before is None:
            spark.conf.unset(name)
        else:
            spark.conf.set(name, before)


@contextmanager
def no_job(spark: SparkSession) -> Iterator[None]:
    tracker = spark.sparkContext.statusTracker()
    before = tracker.getJobIdsForGroup(None)
    yield
    assert tracker.getJobIdsForGroup(None) == before


@pytest.mark.matrix
@every_type
@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("door", DOORS)
def test_every_value_reaches_the_model_and_every_kept_column_the_table(
    door: str, name: str, doors: Doors, truth: pa.RecordBatch, found: document.Cells
) -> None:
    kept = doors.kept(door)
    source = arrow_of(doors.frame().filter(SOUND).select(*kept))
    out = arrow_of(doors.echoed(door, name, SOUND, keep=kept))
    wrong = differences(MODELS[name], dict(zip(out["row"].to_pylist(), out["seen"].to_pylist(), strict=True)))
    lost = {column for column in kept if not same_bits(out[column], source[column])}
    known = set(truth.schema.names) & set(kept)
    lost |= {column for column in known if not same_bits(out[column], truth[column][: 2 * SIZE])}
    for case in MODELS[name]:
        found["values", case.column, door] = wrong.get(case.column, "exact")
        found.setdefault(("nulls", case.column, door), case.null or "")
    for column in kept:
        found["kept", column, door] = "changed" if column in lost else "bit for bit"
    assert wrong == {}
    assert lost == set()


@pytest.mark.parametrize("door", DOORS)
def test_a_value_without_a_place_is_an_error_that_names_the_column(
    door: str, doors: Doors, found: document.Cells, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("spark_infer.spark.dataframe.score_partition", trap.score_partition)
    monkeypatch.setattr("spark_infer.spark.udf.predict_columns", trap.predict_columns)
    said: dict[int, str] = {}
    for name, cases in MODELS.items():
        rows = [str(2 * SIZE + index) for index, broken in enumerate(BROKEN) if broken.case in cases]
        # The trap lies on the spark plane.
        plane = {"plane": "spark"} if door == "score_table" else {}
        out = doors.echoed(door, name, f"row IN ({', '.join(rows)})", keep=["row"], **plane).collect()
        said |= {row.row - 2 * SIZE: row.seen for row in out}
    for index, broken in enumerate(BROKEN):
        right = said[index].startswith("InputValueError: ") and f"Column {broken.case.column!r}" in said[index]
        cell = "refused" if right and broken.says in said[index] else said[index]
        found["broken", str(index), door] = cell
        if broken.value is None:
            found["nulls", broken.case.column, door] = cell
    assert {found["broken", str(index), door] for index in range(len(BROKEN))} == {"refused"}


@pytest.mark.parametrize(
    ("zone", "used"), [("America/St_Johns", DOORS), pytest.param("Asia/Kolkata", DOORS[:2], marks=pytest.mark.soak)]
)
def test_the_session_s_time_zone_changes_nothing(zone: str, used: tuple[str, ...], doors: Doors) -> None:
    with setting(doors.spark, "spark.sql.session.timeZone", zone):
        for door in used:
            rows = doors.echoed(door, "columns", SOUND, keep=["row"]).collect()
            assert differences(MODELS["columns"], {row.row: row.seen for row in rows}) == {}
        # A preprocess function is given what the plan told it of: instants in UTC, at every depth.
        scored = score(
            doors.frame().filter("row = 0").select("instant", "any_instants"),
            doors.models["unsigned"],
            keep=[],
            preprocess="tests.spark.made_steps:same",
            inputs=["instant", "any_instants"],
            result_type="string",
        )
        assert "2024-03-10T05:29:59.999999" in scored.collect()[0].prediction


def ask(door: str, doors: Doors, special: Special, *, inputs: list[str], keep: list[str]) -> None:
    """Ask a door that sees the table for a scoring with a special column."""
    if door == "score_table":
        doors.echoed(door, "unsigned", "true", keep=keep, inputs=inputs)
    else:
        plain = doors.frame().select("row", "text", special_column(special, F.lit(True)))
        score(plain, doors.models["unsigned"], inputs=inputs, keep=keep, result_type="string")


def store(doors: Doors, special: Special) -> None:
    """Write a special column into a Parquet table, and read it back."""
    path = str(doors.folder / special.column)
    doors.spark.range(1).select(special_column(special, F.lit(True))).write.parquet(path)
    doors.spark.read.parquet(path).collect()


@pytest.mark.parametrize("special", SPECIALS, ids=lambda special: special.column)
def test_a_type_that_no_model_takes_is_refused_before_any_task(
    special: Special, doors: Doors, found: document.Cells
) -> None:
    name = special.column
    for door in DOORS[1:]:
        if door == "score_table" and not special.held:
            with pytest.raises(PySparkException):
                store(doors, special)
            found["input", name, door] = found["kept", name, door] = "no Parquet table holds it"
            continue
        with no_job(doors.spark), pytest.raises(SchemaMismatchError, match=r"which (no model|Arrow)") as refusal:
            ask(door, doors, special, inputs=[name], keep=["row"])
        assert f"column {name!r} is {special.spark}" in str(refusal.value)
        found["input", name, door] = "refused before any task"
        if not special.passes:
            with no_job(doors.spark), pytest.raises(SchemaMismatchError, match="which Arrow cannot") as refusal:
                ask(door, doors, special, inputs=["text"], keep=["row", name])
            assert f"column {name!r} is {special.spark}" in str(refusal.value)
            assert "keep=[…]" in refusal.value.next_step
            found["kept", name, door] = "refused before any task"


@pytest.mark.parametrize("column", NOT_STORED)
def test_a_type_that_no_table_is_given_is_refused_before_any_task(
    column: str, doors: Doors, found: document.Cells
) -> None:
    with no_job(doors.spark), pytest.raises(TargetError, match=f"{column}: the type .* cannot be stored"):
        doors.echoed("score_table", "unsigned", "true", keep=["row", column])
    found["kept", column, "score_table"] = "refused before any task"


def test_the_column_door_refuses_such_a_type_in_the_first_task(
    doors: Doors, found: document.Cells, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("spark_infer.spark.udf.predict_columns", trap.predict_columns)
    known = [special for special in SPECIALS if special.held]
    predict = model_udf(
        doors.spark,
        doors.models["unsigned"],
        inputs=[special.column for special in known],
        result_type="string",
    )
    everything = F.struct(*(special_column(special, F.lit(True)) for special in known))
    (said,) = doors.spark.range(1, numPartitions=1).select(predict(everything).alias("said")).collect()[0]
    for special in SPECIALS:
        if not special.held:
            predict = model_udf(doors.spark, doors.models["unsigned"], inputs=[special.column], result_type="string")
            row = doors.spark.range(1).select(F.struct(special_column(special, F.lit(True))).alias("s"))
            try:
                said += row.select(predict(F.col("s")).alias("said")).collect()[0].said
            except PySparkException:
                said += f"column {special.column!r} is refused by Spark"
    for special in SPECIALS:
        right = f"column {special.column!r} is {special.spark}, which no model takes" in said
        by_spark = f"column {special.column!r} is refused by Spark" in said
        cell = "refused in the first task" if right else "refused by Spark" if by_spark else said
        found["input", special.column, "model_udf"] = cell
    assert {found["input", each.column, "model_udf"] for each in known} == {"refused in the first task"}
    assert found["input", "twins", "model_udf"] == "refused by Spark"


@pytest.mark.matrix
@every_type
@pytest.mark.parametrize("door", DOORS)
def test_every_shape_of_prediction_stands_in_the_table(door: str, doors: Doors, found: document.Cells) -> None:
    out = doors.scored(door, doors.models["speaker"], "row < 2", keep=["row"], output="said", result_type=DECLARED)
    said = arrow_of(out)
    for row, record in zip(said["row"].to_pylist(), to_pylist(said["said"]), strict=True):
        for shape in SHAPES:
            same = repr(record[shape.name]).replace("zoneinfo.ZoneInfo(key='UTC')", "datetime.timezone.utc") == repr(
                shape.expected(row)
            )
            if found.get(("shapes", shape.name, door), "exact") == "exact":
                found["shapes", shape.name, door] = "exact" if same else f"{record[shape.name]!r}"
    assert {found["shapes", shape.name, door] for shape in SHAPES} == {"exact"}


@pytest.mark.parametrize("result_type", ["variant", "a interval day to second", "void", "time(6)", "interval month"])
def test_a_type_that_no_model_returns_is_refused(result_type: str, doors: Doors) -> None:
    with pytest.raises(ConfigError, match="is not a type that predictions can have"):
        model_udf(doors.spark, doors.models["unsigned"], result_type, inputs=["text"])


NAMES = ["a.b", "x y", "b`q", "größe", "c,d;e(f)", "select", "1st"]


def test_names_are_just_letters(doors: Doors, tmp_path: Path) -> None:
    cases = [
        Case(
            column=name,
            spark="double",
            type=pa.float64(),
            values=(float(index),),
            takes="double",
            dtype="float64",
            seen=(f"{index}.0",),
            null="nan",
        )
        for index, name in enumerate(NAMES)
    ]
    batch = table(cases=cases)
    frame_of(doors.spark, batch, cases).write.parquet(str(tmp_path / "source"))
    odd = Doors(
        spark=doors.spark,
        source=str(tmp_path / "source"),
        models={"names": save_echo(tmp_path / "names", cases)},
        folder=tmp_path,
    )
    for door in DOORS:
        keep = ["row", *NAMES] if door != "model_udf" else ["row"]
        out = odd.scored(door, odd.models["names"], "true", keep=keep, output="la prévision.1", batch_size=SIZE)
        assert out.columns == [*keep, "la prévision.1"]
        rows = arrow_of(out)
        seen = dict(zip(rows["row"].to_pylist(), rows["la prévision.1"].to_pylist(), strict=True))
        assert differences(cases, seen) == {}
        assert all(same_bits(rows[name], batch[name]) for name in keep)
    predict = model_udf(doors.spark, odd.models["names"])
    quoted = ("`" + name.replace("`", "``") + "`" for name in NAMES)
    assert odd.frame().filter("row = 0").select(predict(*quoted)).count() == 1


def test_columns_of_one_name_matter_only_where_they_are_needed(doors: Doors, tmp_path: Path) -> None:
    model = save_echo(tmp_path / "one", [case for case in CASES if case.column == "double_double"])
    rows = doors.spark.createDataFrame([(0.5, 1, 2)], "double_double double, x int, X int")
    twice = rows.toDF("double_double", "y", "y")
    for frame in (rows, twice):
        assert score(frame, model, keep=["double_double"]).collect()[0].seen == '{"double_double": ["float64", "0.5"]}'
        with pytest.raises(SchemaMismatchError, match=r"cannot tell|stands twice"):
            score(frame, model)
    for other in (rows.withColumnRenamed("x", "Double_Double"), twice.toDF("double_double", "double_double", "z")):
        with pytest.raises(SchemaMismatchError, match=r"cannot tell|ambiguous"):
            score(other, model, keep=["double_double"])
    predict = model_udf(doors.spark, model)
    assert rows.select(predict().alias("p")).collect()[0].p == '{"double_double": ["float64", "0.5"]}'


def test_no_row_and_empty_partitions_are_no_trouble(doors: Doors) -> None:
    for door in DOORS:
        none = doors.echoed(door, "columns", "row < 0", keep=["row"])
        assert none.schema.simpleString() == "struct<row:int,seen:string>"
        assert none.collect() == []
    few = doors.frame().filter("row < 2").repartition(5, "row")
    scored = score(few, doors.models["columns"], keep=["row"], allow_casts=CASTS)
    assert sorted(row.row for row in scored.collect()) == [0, 1]


def test_the_document_tells_what_was_found(found: document.Cells) -> None:
    if not document.complete(found):
        pytest.skip("only a part of this file ran")
    if document.WRITES:
        document.PATH.write_text(document.render(found))
    assert document.PATH.read_text() == document.render(found)
