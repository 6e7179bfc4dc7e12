"""The names that Spark passes over when it lists a folder of data."""

from __future__ import annotations

_SUMMARIES = ("_metadata", "_common_metadata")


def is_hidden(name: str) -> bool:
    """Whether a file of this name is no data; Spark: HadoopFSUtils.shouldFilterOutPathName."""
    return name.startswith(".") or name.endswith("._COPYING_") or (name.startswith("_") and "=" not in name)


def is_hidden_folder(name: str) -> bool:
    """Whether nothing in a folder of this name is data: Spark looks into those named like Parquet's summary files."""
    return is_hidden(name) and not name.startswith(_SUMMARIES)
