from __future__ import annotations

import time

import pytest

from spark_infer.config.secrets import hide, without_secrets


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("https://me:hunter2@host:5000/x", "https://host:5000/x"),
        ("https://token-only-hunter2@host/x", "https://host/x"),
        ("postgresql+psycopg2://u:hunter2@db/mlflow?sslkey=hunter2", "postgresql+psycopg2://db/mlflow"),
        ("postgresql://u:hun/ter?2@db/mlflow", "postgresql://db/mlflow"),
        ("abfss://container@account.dfs.core.windows.net/m", "abfss://container@account.dfs.core.windows.net/m"),
        ("wasbs://c:hunter2@account/m", "wasbs://account/m"),
        ("s3://bucket/churn@v1/x", "s3://bucket/churn@v1/x"),
        ("mssql+pyodbc:///?odbc_connect=PWD%3Dhunter2", "mssql+pyodbc:///"),
        ("GET https://b.s3.amazonaws.com/k?X-Amz-Signature=hunter2 failed", "GET https://b.s3.amazonaws.com/k failed"),
        ("exceeded with url: /api/2.0/x?token=hunter2 (Caused by", "exceeded with url: /api/2.0/x (Caused by"),
        ("'sqlite:////a/b.db?key=hunter2'", "'sqlite:////a/b.db'"),
        ("two: s3://k:hunter2@b/x, gs://k:hunter2@b/y", "two: s3://b/x, gs://b/y"),
        ("models:/churn@champion", "models:/churn@champion"),
        ("is it there? yes", "is it there? yes"),
        # a slash that nobody escaped, and no scheme
        ("s3://AKIA:hun/ter2@bucket/x", "s3://bucket/x"),
        ("s3a://AKIA:1/hunter2@bucket/x", "s3a://bucket/x"),
        ("https://u:hun/ter2@host/x", "https://host/x"),
        ("'me:hun/ter2@repo.corp/maven'", "'repo.corp/maven'"),
        ("resolving me:hunter2@repo", "resolving repo"),
        ("https://host:8080/models/a@b", "https://host:8080/models/a@b"),
        ("https://[::1]:5000/a@b", "https://[::1]:5000/a@b"),
        ("hdfs://me@nn:8020/a@b", "hdfs://me@nn:8020/a@b"),
        ("databricks://scope:prefix", "databricks://scope:prefix"),
        ("at /x.py:12 a@b, 12:44:50 c@d", "at /x.py:12 a@b, 12:44:50 c@d"),
        # connection strings, and options of a JVM
        ("jdbc:sqlserver://h;user=a;password=hunter2;x=1", "jdbc:sqlserver://h;user=a;password=***;x=1"),
        ("jdbc:sqlserver://h;user=a;password={hun;ter 2};x=1", "jdbc:sqlserver://h;user=a;password=***;x=1"),
        ("jdbc:postgresql://h/db?user=a&password=hunter2", "jdbc:postgresql://h/db"),
        ("jdbc:oracle:thin:scott/hunter2@//h:1521/x", "jdbc:oracle:thin://h:1521/x"),
        ("AccountName=a;AccountKey=hunter2==;Suffix=x", "AccountName=a;AccountKey=***;Suffix=x"),
        ("-Djavax.net.ssl.trustStorePassword=hunter2 -Xmx1g", "-Djavax.net.ssl.trustStorePassword=*** -Xmx1g"),
        ("sc://h:15002/;token=hunter2;use_ssl=true", "sc://h:15002/;token=***;use_ssl=true"),
        ("token = 5 AND key=7", "token = 5 AND key=7"),
    ],
)
def test_addresses_are_shown_without_their_secrets(text: str, shown: str) -> None:
    assert without_secrets(text) == shown


@pytest.mark.parametrize(
    ("secret", "text", "shown"),
    [
        ("hunter22", "'xhunter22y'", "'x***y'"),
        ("hunt", "hunt hunter hunt=1", "*** hunter ***=1"),
        ("2026", "2026-11-29T12:44:50, 12026", "***-11-29T12:44:50, 12026"),
        ("abc", "abc abcd", "abc abcd"),
        ("abc", "abc", "***"),
        ("a'b\\n\"cdef", repr("a'b\\n\"cdef"), "'***'"),
        ("a.c*defg", "axcxdefg", "axcxdefg"),
    ],
)
def test_a_known_secret_is_hidden_wherever_a_text_quotes_it(secret: str, text: str, shown: str) -> None:
    assert hide(text, {secret: "***"}) == shown


def test_lists_and_mappings_are_hidden_at_every_depth() -> None:
    found = hide({"a": ["hunter22", 1, ("s3://k:v@b/x",)], "hunter22": None}, {"hunter22": "${secret:PW}"})
    assert found == {"a": ["${secret:PW}", 1, ("s3://b/x",)], "${secret:PW}": None}


def test_a_long_text_is_searched_in_bounded_time() -> None:
    began = time.perf_counter()
    hide("a." * 10_000 + "@?=")
    assert time.perf_counter() - began < 5  # a tenth of a second; where a pattern has no bound, a quarter of a minute
