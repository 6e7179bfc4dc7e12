"""What Spark Connect and managed platforms lack is touched only where it is certain, or its absence is expected."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

PACKAGE = Path(__file__).parents[2] / "spark_infer"

CLASSIC_ONLY = {
    "SparkContext", "_active_spark_context", "_jconf", "_jdf", "_jsc", "_jsparkSession", "_jvm", "_jwrite", "_sc",
    "broadcast", "accumulator", "newSession", "parallelize", "rdd", "sparkContext",
    # Serverless compute refuses these (NOT_SUPPORTED_WITH_SERVERLESS).
    "persist", "unpersist", "createGlobalTempView", "createOrReplaceGlobalTempView",
}  # fmt: skip

ALLOWED = {
    # The JVM that this process or spark-submit started; a session on a server is opened in spark/remote.py.
    ("spark/jvm.py", "SparkContext"),
    ("spark/session.py", "SparkContext"),
    ("spark/session.py", "_jvm"),
    # Inside a `try`: without it the workers' interpreter is asked for by the server's own check.
    ("spark/preflight.py", "sparkContext"),
    # After `is_connect`, and inside a `try`: Spark's inner parts, without which the plan says less.
    ("spark/resources/running_application.py", "_jsc"),
    ("spark/resources/running_application.py", "_jvm"),
    ("spark/resources/running_application.py", "sparkContext"),
    # After `is_connect`: the tags of a classic session's actions, and the files that Spark 3.5 sends otherwise.
    ("spark/cancellation.py", "sparkContext"),
    ("spark/versions.py", "sparkContext"),
    # In a stream alone, which has no session on a server.
    ("spark/tables/apart.py", "persist"),
    ("spark/tables/apart.py", "unpersist"),
    # Inside a `try`: a session that keeps it from us shows no progress.
    ("spark/tracking.py", "sparkContext"),
}


def names_used(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            yield node.attr
        elif isinstance(node, ast.Name):
            yield node.id
        elif isinstance(node, ast.alias):
            yield node.name.rpartition(".")[2]
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):  # getattr(spark, "sparkContext")
            yield node.value


def test_what_spark_connect_lacks_is_used_in_the_listed_places_alone() -> None:
    found = {
        (path.relative_to(PACKAGE).as_posix(), name)
        for path in PACKAGE.rglob("*.py")
        for name in names_used(ast.parse(path.read_text()))
        if name in CLASSIC_ONLY
    }
    assert sorted(found - ALLOWED) == []
    assert sorted(ALLOWED - found) == []


def test_a_use_is_found_in_every_spelling() -> None:
    source = "from pyspark import SparkContext\nspark._jvm\nrdd\ngetattr(spark, 'sparkContext')"
    assert set(names_used(ast.parse(source))) & CLASSIC_ONLY == {"SparkContext", "_jvm", "rdd", "sparkContext"}


def test_the_settings_of_a_session_are_read_in_one_place() -> None:
    readers = {
        path.relative_to(PACKAGE).as_posix()
        for path in PACKAGE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute)
        and node.attr in ("get", "getAll")
        and ast.unparse(node.value).endswith(".conf")
    }
    assert readers == {"spark/session_settings.py"}
