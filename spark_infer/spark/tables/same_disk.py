"""Whether a `file:` path means the same folder to Spark as to this process."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from spark_infer.spark.server import is_connect

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

_FOUND: dict[str, bool] = {}


def same_disk(spark: SparkSession) -> bool:
    """Whether Spark's driver has the disk of this process; costs one question for each Spark Connect session.

    The server of a Spark Connect session may run on another machine, where the same path is another folder. It is asked
    for a file that exists here alone.
    """
    if not is_connect(spark):
        return True
    session = str(spark.session_id)  # type: ignore[attr-defined,unused-ignore]
    if session not in _FOUND:
        _FOUND[session] = _sees_our_file(spark)
    return _FOUND[session]


def _sees_our_file(spark: SparkSession) -> bool:
    with tempfile.TemporaryDirectory(prefix="spark_infer-") as folder:
        ours = Path(folder) / "here.txt"
        ours.touch()
        try:
            spark.read.text(f"file://{ours}").schema  # noqa: B018 - Spark Connect looks only when the schema is asked for
        except Exception:  # not there, or the server may not read it
            return False
    return True
