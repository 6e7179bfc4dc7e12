from __future__ import annotations

from pathlib import Path

import pytest

from spark_infer.errors import ModelNotFoundError
from spark_infer.models.registry.uri import (
    FolderUri,
    LoggedModelUri,
    ModelUri,
    RemoteUri,
    RunUri,
    VersionUri,
    parse_uri,
)


@pytest.mark.parametrize(
    ("uri", "named"),
    [
        ("models:/churn@champion", VersionUri("churn", alias="champion")),
        ("models:/a@b@champion", VersionUri("a@b", alias="champion")),
        ("models:/churn/3", VersionUri("churn", version="3")),
        ("models:/churn/007", VersionUri("churn", version="7")),
        ("models:/main.sales.churn/3", VersionUri("main.sales.churn", version="3")),
        ("models:/churn/latest", VersionUri("churn")),
        ("models:/churn/Latest", VersionUri("churn")),
        ("models:/m-0123abc", LoggedModelUri("m-0123abc")),
        ("runs:/r1/a/b", RunUri("r1", "a/b")),
        ("runs:/r1", RunUri("r1", "")),
        ("/a/b c", FolderUri(Path("/a/b c"))),
        ("file:///a/b%20c", FolderUri(Path("/a/b c"))),
        ("file:/a/b", FolderUri(Path("/a/b"))),
        ("file://localhost/a", FolderUri(Path("/a"))),
        ("a/b", FolderUri(Path.cwd() / "a" / "b")),
        ("~/m", FolderUri(Path.home() / "m")),
        ("s3://bucket/a", RemoteUri("s3://bucket/a")),
        ("abfss://c@a.dfs.core.windows.net/m", RemoteUri("abfss://c@a.dfs.core.windows.net/m")),
        ("dbfs:/a", RemoteUri("dbfs:/a")),
    ],
)
def test_a_uri_names_one_thing(uri: str, named: ModelUri) -> None:
    assert parse_uri(uri) == named


@pytest.mark.parametrize(
    ("uri", "complaint"),
    [
        ("models:/churn", "names no version and no alias"),
        ("models:/churn@", "lacks the name or the alias"),
        ("models:/@champion", "lacks the name or the alias"),
        ("models:/churn/Production", "stages are gone: use an alias"),
        ("models:/churn/", "is not a model URI"),
        ("models:/churn/3/path", "is not a model URI"),
        ("models:churn/3", "is not a model URI"),
        ("models://profile@databricks/churn/3", "names a registry"),
        ("runs:/", "not the address of a run's model"),
        ("runs:/r1/../../etc", "not the address of a run's model"),
        ("file://otherhost/a", "another machine"),
        ("file:", "names no folder"),
        (" ", "names no folder"),
        ("a\0b", "names no folder"),
    ],
)
def test_a_malformed_uri_is_refused_with_the_forms_there_are(uri: str, complaint: str) -> None:
    with pytest.raises(ModelNotFoundError, match=complaint) as caught:
        parse_uri(uri)
    assert caught.value.next_step
