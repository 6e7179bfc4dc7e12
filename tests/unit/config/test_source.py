"""What a source may be, and what it is called."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from spark_infer.config import JobConfig, SourceConfig
from spark_infer.config.load import load_job
from spark_infer.errors import ConfigError


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ({"path": "/data/t"}, "/data/t"),
        ({"view": "sales.today"}, "view sales.today"),
        ({"query": "select 1 as x"}, "query select 1 as x"),
        (
            {"path": "/data/in", "format": "csv", "options": {"sep": ";", "header": True}},
            "csv /data/in header=true sep=;",
        ),
        ({"frame": object(), "frame_name": "monday"}, "DataFrame monday"),
    ],
)
def test_a_source_is_called_as_the_user_wrote_it(source: dict[str, Any], name: str) -> None:
    assert SourceConfig.model_validate(source).name == name


def test_queries_that_begin_alike_or_differ_in_blanks_have_different_names() -> None:
    long = "select " + ", ".join(f"column_{number}" for number in range(30)) + " from t"
    queries = [long, f"{long} where x", "select 'a b'", "select 'a  b'", "select 'a\nb'"]
    names = [SourceConfig(query=query).name for query in queries]
    assert len({*names}) == len(queries)
    assert all(len(name) < 120 and "\n" not in name for name in names)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"query": "select id,  x\n from t"}, {"query": "select id, x from t "}),
        (
            {"query": "select x from t where day = DATE '2026-11-29'"},
            {"query": "select x from t where day = '2026-11-29'"},
        ),
        ({"view": "Sales.`Today`"}, {"view": "sales.today"}),
        (
            {"path": "/in", "format": "CSV", "options": {"header": True, "inferSchema": "TRUE"}},
            {"path": "/in", "format": "csv", "options": {"HEADER": "true", "inferschema": True}},
        ),
    ],
)
def test_what_is_the_same_to_spark_has_one_name(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert SourceConfig.model_validate(one).name == SourceConfig.model_validate(other).name


def test_the_end_of_a_line_counts_where_a_comment_ends_there() -> None:
    queries = ["select 1 as x -- a\n, 2 as y", "select 1 as x -- a , 2 as y"]
    assert len({SourceConfig(query=query).name for query in queries}) == 2


def test_what_is_another_source_to_spark_has_another_name() -> None:
    queries = [
        r"select r'\' as a, ' b  c'",
        r"select r'\' as a, ' b c'",
        "select \"DATE 'x'\"",
        "select \"'x'\"",
    ]
    assert len({SourceConfig(query=query).name for query in queries}) == 4
    views = ["parquet.`/Data/t`", "parquet.`/data/t`"]
    assert len({SourceConfig(view=view).name for view in views}) == 2


def test_no_name_of_a_source_has_a_secret(tmp_path: Path) -> None:
    path = tmp_path / "job.yaml"
    path.write_text(
        "model: models:/m/1\ntarget: /data/out\nsource:\n  format: jdbc\n  options:\n"
        "    url: jdbc:postgresql://reader:${secret:URL_PASSWORD}@db/sales\n    password: ${secret:PASSWORD}\n"
        "    sessionInitStatement: set x = '${secret:OTHER}'\n    dbtable: sales\n"
    )
    names = []
    for number in (1, 2):
        secrets = {name: f"{name.lower()}-{number}-hidden" for name in ("URL_PASSWORD", "PASSWORD", "OTHER")}
        config = load_job(path, environ=secrets)
        assert config.source.options["password"] == secrets["PASSWORD"]
        names.append(config.source.name)
        assert not [text for text in secrets.values() if text in f"{names} {config!r}"]
    assert names[0] == names[1]


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        ({"path": "/t", "query": "select 1"}, "give one of"),
        ({}, "give one of"),
        ({"view": "v", "format": "csv"}, "take them out"),
        ({"table": "t", "format": "iceberg"}, "name the table as `view`"),
        ({"path": "/t", "options": {"header": True}}, "name it"),
        ({"frame": "df", "frame_name": "f"}, "from Python"),
        ({"frame": object()}, "needs a name"),
        ({"path": "/t", "frame_name": "f"}, "take it out"),
    ],
)
def test_what_is_no_source_is_refused(source: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValidationError, match=problem):
        SourceConfig.model_validate(source)


@pytest.mark.parametrize(
    ("more", "problem"),
    [
        ({"engine": "local"}, "engine `local` reads Delta, Parquet"),
        ({"incremental": True, "target": {"path": "/o", "mode": "append"}}, "`incremental` is of tables"),
        (
            {"trigger": "available_now", "checkpoint": "/c", "target": {"path": "/o", "mode": "append"}},
            "a stream reads",
        ),
        ({"source": {"query": "select 1", "version": 3}}, "of Delta tables"),
        ({"source": {"path": "/t", "version": 3, "features": [{"path": "/f", "keys": "k"}]}}, "of Delta tables"),
        ({"source": {"files": "/t", "features": [{"path": "/f", "keys": "k"}]}}, "take `source.files` out"),
        ({"source": {"path": "/t", "features": [{"path": "/f", "keys": "k"}]}, "engine": "local"}, "engine `local`"),
        ({"source": {"query": "select 1", "partition_filter": {"day": [1]}}}, "use `source.where`"),
    ],
)
def test_what_does_not_go_with_stored_rows_is_refused(more: dict[str, Any], problem: str) -> None:
    document = {"model": "models:/m/1", "source": {"query": "select 1"}, "target": "/o", **more}
    with pytest.raises(ValidationError, match=problem):
        JobConfig.model_validate(document)


def test_the_sources_of_the_page_are_sources(tmp_path: Path) -> None:
    page = (Path(__file__).parents[3] / "docs" / "sources.md").read_text()
    blocks = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
    assert len(blocks) == 5
    for block in blocks:
        (tmp_path / "job.yaml").write_text(block if "model:" in block else f"model: models:/m/1\ntarget: /o\n{block}")
        params = {"day": "2026-11-30"} if "params" in block else {}
        source = load_job(tmp_path / "job.yaml", params=params, environ={"SHOP_PASSWORD": "not shown"}).source
        assert source.is_stored_first
        assert ("where day = DATE '2026-11-30'" in (source.query or "")) == bool(params)


def test_a_job_file_cannot_have_a_dataframe(tmp_path: Path) -> None:
    path = tmp_path / "job.yaml"
    path.write_text("model: models:/m/1\ntarget: /data/out\nsource: {frame: df, frame_name: f}\n")
    with pytest.raises(ConfigError, match="from Python"):
        load_job(path)
