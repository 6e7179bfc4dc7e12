"""Which model a job scores with: one of MLflow, or plain Python."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from pydantic import Field, model_validator

from spark_infer.config.frozen import Frozen, PathText, rule
from spark_infer.config.score import MOST_SECONDS


class ModelConfig(Frozen):
    """Which model."""

    plain_key: ClassVar[str] = "uri"
    free_names: ClassVar[tuple[str, ...]] = ("arguments",)

    uri: PathText = Field(
        min_length=1,
        description="`models:/name@alias`, `models:/name/3`, `runs:/…`, a folder, or `python:module:name`; not needed "
        "beside `python`.",
    )
    python: str | None = Field(
        default=None,
        description="`package.module:name` of a plain Python function or class, in place of `uri`: it takes batches of "
        "the columns that `score.inputs` names. docs/python-models.md says more.",
    )
    arguments: dict[str, Any] = Field(
        default_factory=dict, description="For `python`: keyword arguments for the constructor of the class."
    )
    batch_format: Literal["auto", "numpy", "pandas", "pyarrow"] = Field(
        default="auto",
        description="For `python`: what it gets: a dict of numpy arrays, a pandas frame or a `pyarrow.RecordBatch`. "
        "`auto` goes by the annotation of its parameter, else `numpy`.",
    )
    tracking_uri: str | None = Field(
        default=None, description="MLflow tracking server or store; else MLflow's own setting."
    )
    registry_uri: str | None = Field(default=None, description="MLflow registry, where it is not the tracking server.")
    download_seconds: float = Field(
        default=3600.0,
        gt=0,
        le=MOST_SECONDS,
        allow_inf_nan=False,
        description="How long it may take to bring the model's files, before the command stops with an error.",
    )

    @model_validator(mode="before")
    @classmethod
    def _python_is_a_uri(cls, given: Any) -> Any:
        """Write `python: package.module:name` as the URI that it is short for."""
        if isinstance(given, Mapping) and given.get("python") is not None and given.get("uri") is None:
            return {**given, "uri": f"python:{given['python']}"}
        return given

    @rule("uri", "python")
    @staticmethod
    def _one_model(uri: str, python: str | None) -> str:
        wrong = python is not None and uri != f"python:{python}"
        return "`uri` and `python` name two models: give one of them" if wrong else ""

    @rule("uri", "arguments", "batch_format")
    @staticmethod
    def _keys_of_python(uri: str, arguments: Mapping[str, Any], batch_format: str) -> str:
        wrong = (arguments or batch_format != "auto") and not uri.startswith("python:")
        return "`arguments` and `batch_format` go with `python: package.module:name`" if wrong else ""
