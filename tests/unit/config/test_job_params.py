from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import sqlglot

from spark_infer.config import JobConfig
from spark_infer.config.job_params import JobParam, declared, filled, given_params
from spark_infer.config.load import load_job
from spark_infer.errors import ConfigError
from spark_infer.tables.where.sql import condition
from spark_infer.tables.where.terms import Compares

NIGHTLY = """\
params:
  day: {type: date}
  region: eu
model: m
source:
  path: data/${params.region}
  where: day = ${params.day} AND region = ${params.region}
  partition_filter: {day: "${params.day}", shard: "${params.shard}"}
target: {path: out, mode: overwrite_partitions, partitions: {day: "${params.day}"}}
"""
WITH_SHARD = NIGHTLY.replace("  region: eu\n", "  region: eu\n  shard: {type: int, default: 3}\n")


def load(tmp_path: Path, text: str, **options: Any) -> JobConfig:
    (tmp_path / "job.yaml").write_text(text)
    return load_job(tmp_path / "job.yaml", **options)


def refused(tmp_path: Path, text: str, **options: Any) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, text, **options)
    return [line.replace(f"{tmp_path}/", "") for line in caught.value.details or (caught.value.what,)]


def test_a_parameter_is_a_literal_in_a_condition_and_itself_elsewhere(tmp_path: Path) -> None:
    job = load(tmp_path, WITH_SHARD, params={"day": "2026-11-28"})
    assert job.source.where == "day = DATE '2026-11-28' AND region = 'eu'"
    assert job.source.path == "data/eu"
    assert job.source.partition_filter == {"day": ("2026-11-28",), "shard": (3,)}
    assert job.target.partitions == {"day": ("2026-11-28",)}
    assert job.shown_params == {"day": "2026-11-28", "region": "eu", "shard": "3"}


@pytest.mark.parametrize(
    "value", ["x' OR '1'='1", 'x" OR 1=1', "x\\", "x\\' OR 1=1 --", "a -- b", "/*", "${x}", "it's", "a;b", "\n'"]
)
def test_no_value_changes_the_condition(tmp_path: Path, value: str) -> None:
    text = "params: {who: ''}\nmodel: m\nsource: {path: a, where: 'name = ${params.who}'}\ntarget: out\n"
    where = load(tmp_path, text, params={"who": value}).source.where
    assert where is not None
    tree = sqlglot.parse_one(where, dialect="spark")
    assert (type(tree).__name__, tree.this.sql()) == ("EQ", "name")
    assert condition(where, pa.schema([("name", pa.string())])) == Compares("name", "=", value)


@pytest.mark.parametrize(
    "where",
    ["name = '${params.who}'", 'name = "${params.who}"', "a = 'b' AND name LIKE 'c${params.who}%'", "`${params.who}`"],
)
def test_a_parameter_within_quotes_is_refused(tmp_path: Path, where: str) -> None:
    quoted = where.replace("'", "''")
    text = f"params: {{who: x}}\nmodel: m\nsource:\n  path: a\n  where: '{quoted}'\ntarget: out\n"
    (line,) = refused(tmp_path, text)
    assert line.startswith("job.yaml:5: source.where: write the parameter without quotes")


@pytest.mark.parametrize("mark", ["\\", "--", "/*"])
def test_a_condition_with_parameters_has_nothing_that_hides_where_quotes_end(tmp_path: Path, mark: str) -> None:
    text = (
        f"params: {{who: x}}\nmodel: m\nsource:\n  path: a\n  where: a = r'{mark}' AND ${{params.who}}\ntarget: out\n"
    )
    assert f"has no {mark}" in refused(tmp_path, text)[0]


def test_a_date_is_compared_as_a_date(tmp_path: Path) -> None:
    text = "params: {day: {type: date}}\nmodel: m\nsource: {path: a, where: 'day >= ${params.day}'}\ntarget: out\n"
    where = load(tmp_path, text, params={"day": date(2026, 11, 28)}).source.where
    assert where is not None
    assert condition(where, pa.schema([("day", pa.date32())])) == Compares("day", ">=", date(2026, 11, 28))


@pytest.mark.parametrize(("kind", "value", "there"), [("int", "-5", "-5"), ("double", "-0.0", "-0.0")])
def test_a_negative_number_does_not_begin_a_comment(tmp_path: Path, kind: str, value: str, there: str) -> None:
    text = (
        f"params: {{n: {{type: {kind}}}}}\nmodel: m\nsource: {{path: a, where: 'x -${{params.n}} > 0'}}\ntarget: out\n"
    )
    assert load(tmp_path, text, params={"n": value}).source.where == f"x - {there} > 0"


def test_an_override_gives_no_parameter_a_value(tmp_path: Path) -> None:
    text = "params: {region: us}\nmodel: m\nsource: 'a/${params.region}'\ntarget: out\n"
    (line,) = refused(tmp_path, text, overrides=["params.region=eu"])
    assert line == "--set params.region: a parameter has its value before the rest of the file is read"


def test_every_wrong_parameter_is_an_error_with_its_line(tmp_path: Path) -> None:
    text = NIGHTLY.replace(
        "  region: eu\n", "  region: eu\n  n: {type: intt}\n  m: {tpye: date}\n  q: 1\n  r: {type: [int]}\n  s: [1]\n"
    )
    assert refused(tmp_path, text, params={"day": "28.11.2026", "dya": "x"}) == [
        "job.yaml:2: params.day: expected a date such as 2026-11-28, got '28.11.2026'",
        "job.yaml:4: params.n: type: expected one of string, int, double, boolean, date, got 'intt'",
        "job.yaml:5: params.m: unknown key 'tpye'; the keys are type, default",
        "job.yaml:6: params.q: no text refers to it as ${params.q}; the model's own parameters go under `score.params`",
        "job.yaml:7: params.r: type: expected one of string, int, double, boolean, date, got \"['int']\"",
        "job.yaml:8: params.s: expected text, got a list",
        "job.yaml:13: source.partition_filter.shard: the job has no parameter 'shard'",
        "--param dya: params.dya: the job file declares no parameter dya (did you mean 'day'?)",
    ]


def test_a_parameter_without_a_value_is_an_error_unless_only_runs_are_looked_at(tmp_path: Path) -> None:
    text = "params: {day: {type: date}}\nmodel: m\nsource: {path: a, where: 'day = ${params.day}'}\ntarget: out\n"
    assert refused(tmp_path, text) == [
        "job.yaml:1: params.day: the parameter has no value: give it with --param day=…, or a default"
    ]
    job = load(tmp_path, text, needs_params=False)
    assert (job.source.where, job.shown_params) == ("day = ${params.day}", {})


def test_a_value_is_not_read_once_more(tmp_path: Path) -> None:
    text = "params: {who: x}\nmodel: m\nsource: '${params.who}/$${params.who}'\ntarget: out\n"
    job = load(tmp_path, text, params={"who": "${HOME}"}, environ={"HOME": "/root"})
    assert job.source.path == "${HOME}/${params.who}"


def test_a_secret_is_no_parameter(tmp_path: Path) -> None:
    text = "params: {who: '${secret:TOKEN}'}\nmodel: m\nsource: 'a/${params.who}'\ntarget: out\n"
    (line,) = refused(tmp_path, text, environ={"TOKEN": "geheimnis"})
    assert "geheimnis" not in line
    assert "params.who" in line


@pytest.mark.parametrize("pairs", [["day"], ["=x"], ["a b=c"], ["day=1", "day=2"]])
def test_the_command_line_has_a_name_and_a_value_once(pairs: list[str]) -> None:
    with pytest.raises(ConfigError, match="--param"):
        given_params(pairs)


def test_python_passes_values_of_its_own_types() -> None:
    params = {"day": declared(date(2026, 11, 28)), "n": declared(3)}
    assert params["day"] == JobParam("date", date(2026, 11, 28))
    settings = {"source": {"where": "d = ${params.day}", "partition_filter": {"n": ["${params.n}"]}}, "x": 1}
    assert filled(settings, params) == {
        "source": {"where": "d = DATE '2026-11-28'", "partition_filter": {"n": [3]}},
        "x": 1,
    }
    with pytest.raises(ConfigError, match=r"source\.path: the job has no parameter 'dya' \(did you mean 'day'\?\)"):
        filled({"source": {"path": "${params.dya}"}}, params)
