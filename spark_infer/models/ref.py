"""The pin of a run: one exact model."""

from __future__ import annotations

from dataclasses import dataclass

from spark_infer.models.mlmodel import MLModel


@dataclass(frozen=True, kw_only=True)
class ModelRef:
    """One exact model, resolved once on the driver; plain values only, so it travels to workers.

    Attributes:
        uri: The model URI as asked for, without secrets.
        name: Name in the registry; for a model that is in none, its name in the run or its folder's name.
        version: Exact version in the registry; else the first 12 hex digits of the digest.
        source: Where the files came from, without secrets.
        flavors: Names of the MLflow flavors the model offers.
        digest: SHA-256 over all its files; what workers ask the store for.
        size_bytes: Bytes of all its files.
        mlmodel: What its ``MLmodel`` file says.

    Example:
        >>> model = model_udf(spark, "models:/flight_delay@champion").model
        >>> print(model, model.flavors)
        flight_delay version 1 ('python_function', 'sklearn')
        >>> scored = score(flights, model)  # by this version, whatever `champion` is by now
    """

    uri: str
    name: str
    version: str
    source: str
    flavors: tuple[str, ...]
    digest: str
    size_bytes: int
    mlmodel: MLModel

    def texts(self, name_column: str | None, version_column: str | None) -> dict[str, str]:
        """Return the columns that say which model scored a row, and what they say; None leaves one out."""
        texts = {name_column: self.name, version_column: self.version}
        return {column: text for column, text in texts.items() if column is not None}

    def __str__(self) -> str:
        return f"{self.name} version {self.version}"
