from __future__ import annotations

import re
import sys

import pytest

from spark_infer.config import addresses, secrets
from spark_infer.config.secrets import hide, holds_credentials, secret_texts, without_partition_values, without_secrets


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
        ('jdbc:sqlserver://h;password="hun ter2";x=1', "jdbc:sqlserver://h;password=***;x=1"),
        ("Server=h;Pwd=hun ter2;Database=x", "Server=h;Pwd=***;Database=x"),
        ("Pwd=hun ter2;Database=x", "Pwd=***;Database=x"),
        ("password=hunter2&user=a", "password=***&user=a"),
        ("token = 5 AND key=7", "token = 5 AND key=7"),
        ("key=7 or more; then the rest", "key=7 or more; then the rest"),
        # blanks and quotes in a password
        ("https://me:hun ter2@host/x", "https://host/x"),
        ("GET s3://AKIA:hun ter2 s@bucket/x failed", "GET s3://bucket/x failed"),
        ("https://me:hun'ter2@host/x", "https://host/x"),
        ("https://host:8080. Ask me@corp.com", "https://host:8080. Ask me@corp.com"),
        ("https://host:8080 and 'a:b c@d'", "https://host:8080 and 'a:b c@d'"),
        ("databricks://scope:prefix, ask me@corp.com", "databricks://scope:prefix, ask me@corp.com"),
        ('["https://host","me@x"]', '["https://host","me@x"]'),
        # fragments
        ("https://host/a#access_token=hunter2&state=1", "https://host/a"),
        ("https://host/#/login?token=hunter2", "https://host/"),
        ("https://host/#/login?page=hunter2", "https://host/#/login"),
        ("https://host/docs#shared-stores", "https://host/docs#shared-stores"),
        ("file:///data/a#b=1/part-0.parquet", "file:///data/a#b=1/part-0.parquet"),
        # ordinary text with a colon and an @
        ("time:12:30@berlin", "time:12:30@berlin"),
        ("run:12:44:50@host", "run:12:44:50@host"),
        ("mailto:me@corp.com, From:you@corp.com", "mailto:me@corp.com, From:you@corp.com"),
        ("python:3.11@sha256:abc", "python:3.11@sha256:abc"),
        ("jdbc:oracle:thin:@host:1521:x", "jdbc:oracle:thin:@host:1521:x"),
    ],
)
def test_addresses_are_shown_without_their_secrets(text: str, shown: str) -> None:
    assert without_secrets(text) == shown


@pytest.mark.parametrize("uri", ["https://h/a#access_token=hunter2", "s3://k:hun ter2@b/x", "s3://b/x?sig=1#a"])
def test_a_uri_with_a_secret_is_known(uri: str) -> None:
    assert holds_credentials(uri)
    assert not holds_credentials("s3://bucket/a#b=1/x?region=eu")


def test_a_password_with_a_blank_is_known_from_its_address() -> None:
    assert set(secret_texts({"uri": "https://me:hun%20ter 2@host"})) == {"hun%20ter 2", "hun ter 2"}


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
        ("Dir é Sec,ret=5", "file:/t/Dir%20%C3%A9%20Sec%2Cret%3D5/a", "file:/t/***/a"),
        ("a folder/b=c", "file:/t/a%20folder/b%3Dc, q=a+folder%2Fb%3Dc", "file:/t/***, q=***"),
    ],
)
def test_a_known_secret_is_hidden_wherever_a_text_quotes_it(secret: str, text: str, shown: str) -> None:
    assert hide(text, {secret: "***"}) == shown


def test_lists_and_mappings_are_hidden_at_every_depth() -> None:
    found = hide({"a": ["hunter22", 1, ("s3://k:v@b/x",)], "hunter22": None}, {"hunter22": "${secret:PW}"})
    assert found == {"a": ["${secret:PW}", 1, ("s3://b/x",)], "${secret:PW}": None}


PATTERNS = {
    f"{module.__name__.rpartition('.')[2]}.{name}": pattern
    for module in (addresses, secrets)
    for name, pattern in vars(module).items()
    if isinstance(pattern, re.Pattern)
}


@pytest.mark.skipif(sys.version_info < (3, 11), reason="Python 3.10 has no possessive repetitions: see `possessive`")
@pytest.mark.parametrize("name", PATTERNS)
def test_no_pattern_backtracks(name: str) -> None:
    """A repetition without an end is possessive: what it took it never gives back, so that a search is one pass."""
    without_classes = re.sub(r"\{\d+,\d+\}\+?|\\.|\[\^?\]?(?:\\.|[^\]\\])*\]", "x", PATTERNS[name].pattern)
    repetitions = re.findall(r"(?:[*+]|\{\d*,\})\+?", without_classes)
    assert all(repetition.endswith("+") and len(repetition) > 1 for repetition in repetitions), without_classes


@pytest.mark.parametrize(
    "piece", ["a.", "a=", "a:", "a:/", "a://", "a://b:c ", "s3://a:b/", "a:b,", "x={", 'x="', ";a=", "?#"]
)
def test_a_text_that_is_made_to_be_searched_long_is_hidden_and_the_rest_is_kept(piece: str) -> None:
    text = hide(f"{piece * 50_000} s3://me:hunter2@bucket/x?sig=hunter2 end")
    assert "hunter2" not in text
    assert text.endswith(" end")


@pytest.mark.parametrize(
    ("path", "shown"),
    [
        ("/data/t/name=Alice/part-0.parquet", "/data/t/name=…/part-0.parquet"),
        ("name=Alice/b=2/part-0.parquet", "name=…/b=…/part-0.parquet"),
        ("x = 5 of /t/name=A=B/part-0, /t/name=C D/part-1", "x = 5 of /t/name=…/part-0, /t/name=…/part-1"),
        ("/t/=a/name=/b.parquet x=1", "/t/=a/name=/b.parquet x=1"),
        ("=" * 200_000, "=" * 200_000),
    ],
)
def test_values_of_partitions_are_taken_out_of_paths(path: str, shown: str) -> None:
    assert without_partition_values(path) == shown
