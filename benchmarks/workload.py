"""A workload: one table, one model, and what a job has to write."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

SEED = 0


@dataclass(frozen=True, kw_only=True)
class Workload:
    """What every engine is given: plain values, which travel to other processes as JSON.

    Attributes:
        name: A key of `catalog.SPECS`.
        source: Folder of Parquet files with an `id` (int64) and the other columns.
        rows: Rows in all files together.
        files: How many files.
        features: The columns that the model reads, in its order.
        feeds: What the model takes: `matrix`, `frame` (pandas), `tensor` (one array column), or `images` or `sounds`
            (one column of encoded files, decoded to a tensor).
        dtype: Of the matrix or the tensor.
        method: What is called: `predict` or `predict_proba`.
        raw_type: Spark's name for what the model returns, as `spark_udf` has to be told.
        outputs: Name and Spark type of each column that is written beside the kept ones.
        labels: The names of the classes, where an output is a label.
        keep: The columns of the source that are written too.
        tolerance: How far a float may lie from the reference's; 0 asks for the same bits.
        model_uri: The model in the registry.
        udf_uri: The same model for `spark_udf`: behind a pyfunc that decodes, where the column is encoded files.
        model_folder: A local copy of the same model, for engines that load it by hand.
        tracking_uri: The MLflow store that holds it.
        spark_conf: Settings of the Spark session that belong to the workload.
        batch_rows: Rows of a predict call of every engine but ours that lets one choose: the fastest of those tried.
    """

    name: str
    source: str
    rows: int
    files: int
    features: tuple[str, ...]
    feeds: str
    dtype: str
    method: str
    raw_type: str
    outputs: tuple[tuple[str, str], ...]
    labels: tuple[str, ...]
    keep: tuple[str, ...]
    tolerance: float
    model_uri: str
    udf_uri: str
    model_folder: str
    tracking_uri: str
    spark_conf: tuple[tuple[str, str], ...]
    batch_rows: int

    @property
    def columns(self) -> list[str]:
        """The columns that an engine has to read: the kept ones and the features, each once."""
        return list(dict.fromkeys([*self.keep, *self.features]))

    def paths(self) -> list[Path]:
        """The files of the source, in order."""
        return sorted(Path(self.source).glob("*.parquet"))

    def facts(self) -> dict[str, int | str]:
        """Return what a report says about the workload."""
        return {
            "name": self.name,
            "rows": self.rows,
            "features": len(self.features),
            "kept": len(self.keep),
            "seed": SEED,
            "files": self.files,
            "bytes": sum(file.stat().st_size for file in self.paths()),
            "model_bytes": sum(file.stat().st_size for file in Path(self.model_folder).rglob("*") if file.is_file()),
        }

    def to_json(self) -> dict[str, Any]:
        """Return plain values that `from_json` turns back."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Workload:
        """Make a workload of what `to_json` returned; lists become tuples, so that it can be a key."""
        return cls(**{name: _frozen(value) for name, value in values.items()})


def _frozen(value: Any) -> Any:
    return tuple(_frozen(item) for item in value) if isinstance(value, list | tuple) else value
