"""How rows are scored: what the column, the DataFrame and the table door share."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, Field, field_validator

from spark_infer.config.compile import CompileOptions
from spark_infer.config.decode import DecodeOptions
from spark_infer.config.expect import ExpectedColumn
from spark_infer.config.frozen import LISTED, Frozen, ModuleFunction, NameList, PathText, TextList, rule
from spark_infer.config.isolation import IsolationOptions
from spark_infer.config.params import (
    plain_configuration,
    plain_params,
    refuse_unsettable,
    refuse_unwritable,
)
from spark_infer.config.places import refuse_unshareable
from spark_infer.config.steps import PostprocessStep

CASTS = ("decimal->double", "double->float", "long->double")

DEFAULT_BATCH_SIZE = 10_000
MOST_SECONDS = 366 * 86_400
DEFAULT_MAX_BATCH_BYTES = 64 * 2**20
DEFAULT_CACHE_BYTES = 4 * 2**30
ERROR_COLUMN = "prediction_error"


def _sha256(digest: str) -> str:
    if not re.fullmatch("[0-9a-f]{64}", digest):
        raise ValueError(
            f"a digest has 64 digits of 0-9 and a-f, unlike {digest!r}: plans and reports shorten it, "
            "`spark-infer models inspect` shows all of it"
        )
    return digest


class ScoreOptions(Frozen):
    """How rows are scored: what the column, the DataFrame and the table door share."""

    free_names: ClassVar[tuple[str, ...]] = ("params", "pyfunc_config", "extra_env")

    inputs: NameList | None = Field(
        default=None,
        min_length=1,
        description="The columns to feed a model whose signature names none (it knows them as 0, 1, …), or that has no "
        "signature, in the model's order. Those of a plain Python model may have types: `age int, income double`.",
    )
    params: dict[str, Any] = Field(
        default_factory=dict,
        description="Inference parameters of the model's signature; those of sentence embedders and "
        "of pipelines are in docs/deep-models.md.",
    )
    pyfunc_config: dict[str, Any] = Field(
        default_factory=dict,
        alias="model_config",
        description="Values that replace those of MLflow's `model_config`, with which the model was logged. "
        "Keys that it was not logged with are left out, with a warning.",
    )
    extra_env: dict[str, str] = Field(
        default_factory=dict,
        repr=False,
        description="Environment variables that the model has while it loads and predicts, on the workers and where "
        "it is tried. Their values are never shown. Libraries that a worker has imported before may not read them "
        "again.",
    )
    backend: str = Field(
        default="auto",
        description="`auto` takes the native backend of the model's flavor where it gives the same answers, else "
        "`pyfunc`; `sklearn`, `xgboost`, `lightgbm`, `catboost`, `onnx`, `pytorch`, `transformers`, "
        "`sentence_transformers`, `spark` or `pyfunc` ask for one.",
    )
    predict_method: TextList | None = Field(
        default=None,
        description="Which methods to call: `predict`, `predict_proba`, `decision_function`, or several. "
        "Without it, the one the model was logged with.",
    )
    result_type: str | None = Field(
        default=None,
        description="DDL of the outputs (`double`, `label string, score double`) for a model whose signature has "
        "none; with a signature, the types to convert to.",
    )
    allow_casts: Annotated[tuple[Literal["decimal->double", "double->float", "long->double"], ...], LISTED] = Field(
        default=(),
        description="Conversions that can lose digits and are therefore made only when asked for: `decimal->double`, "
        "`double->float`, `long->double`.",
    )
    decode: DecodeOptions | None = Field(
        default=None,
        description="Decode images or sounds into numbers first: `{image: {size: 224}}`. docs/files.md says how.",
    )
    preprocess: ModuleFunction | None = Field(
        default=None,
        description="`module:function` that turns an Arrow record batch of the source into one with the model's "
        "columns, row for row. The module must be importable; `PYTHONPATH=.` makes the current folder so.",
    )
    postprocess: tuple[PostprocessStep, ...] = Field(
        default=(), description="Steps over the model's outputs, in order."
    )
    batch_size: Annotated[int, Field(ge=1)] | Literal["auto"] | None = Field(
        default=None,
        description=f"Most rows per predict call. Without it, what suits the model: {DEFAULT_BATCH_SIZE:,}, more for "
        "scikit-learn and XGBoost, fewer for PyTorch on the CPU; the plan says how many. Sentence "
        "embedders and most pipelines of transformers choose their batches by tokens, and this is the most texts of "
        "one. `auto` has each worker measure it on its rows: from 64 rows on it doubles, up to 131,072, and keeps the "
        "smallest size within 5 % of the fastest.",
    )
    max_batch_bytes: int = Field(
        default=DEFAULT_MAX_BATCH_BYTES, ge=1, description="Bytes of input per predict call; a larger row goes alone."
    )
    deduplicate: Literal["never", "auto", "always"] = Field(
        default="never",
        description="Whether equal rows of a task are predicted once, as long as what is kept of them fits into 64 "
        "MiB; rows of eight model batches are compared at once. `auto` does it for models whose answer for a row is "
        "known to depend on that row alone (scikit-learn's own, XGBoost, LightGBM, CatBoost, sentence embedders, most "
        "pipelines of transformers), as long as it saves time; `always` takes your word for any model.",
    )
    row_order: Literal["check", "trust"] = Field(
        default="check",
        description="Some models sort their rows (Prophet does), and their answers would come to other rows. `check` "
        "refuses those that are found out: a table job tries the model with its input example in two orders, and every "
        "batch compares an output with the input of the same name. `trust` takes your word for the model.",
    )
    accelerate: Literal["auto", "off"] = Field(
        default="auto",
        description="`auto` asks models of scikit-learn, XGBoost and LightGBM in faster ways that come to the same "
        "bits: only with versions of these libraries that it was checked with, and only as long as both ways answer "
        "the first rows alike, on the driver and in each worker. `off` has the libraries themselves do everything.",
    )
    prefetch: Literal["auto", "off"] = Field(
        default="auto",
        description="`auto` reads and prepares a batch ahead where a task has a GPU or several cores: docs/gpus.md.",
    )
    compile: CompileOptions | None = Field(
        default=None,
        description="Makes another form of the model, and refuses the job unless it answers rows of the table as the "
        "original does: `onnx` (scikit-learn, XGBoost, LightGBM, models of texts), `llvm` (LightGBM), `int8` (models "
        "of texts), `bfloat16` or `float16` (PyTorch). `{to: onnx, bound: 1e-5}` says how far numbers may differ.",
    )
    trust: Literal["any", "registry", "digests"] = Field(
        default="any",
        description="Which models may run: `any`; `registry`, registered versions only (`models:/name/3`, "
        "`models:/name@alias`, `models:/name/latest`); `digests`, those that `digests` lists. Decided before any of "
        "the model's code runs.",
    )
    digests: Annotated[tuple[Annotated[str, AfterValidator(_sha256)], ...], LISTED] = Field(
        default=(), description="For `trust: digests`: the SHA-256 digests of the models that may run."
    )
    refuse_pickle: bool = Field(
        default=False,
        description="Refuse a model with a pickle among its files, since its author's code runs when it loads, or with "
        "a file that cannot be looked into. Pickles of protocols 0 and 1 that hold plain values alone pass. Python "
        "files that a model brings are not pickles: `trust` is for them.",
    )
    scan_pickle: bool = Field(
        default=False,
        description="Have picklescan (the extra `scan`, on the driver) look through the model's pickles, and refuse "
        "the model where one names what does harm (`os.system`, `eval`, …) or cannot be scanned to its end, before any "
        "of it is unpickled. Functions that cloudpickle holds by value are refused too, and arrays inside joblib's "
        "files.",
    )
    cache_bytes: int = Field(
        default=DEFAULT_CACHE_BYTES, ge=0, description="Bytes of loaded models that one Python worker may keep."
    )
    load_seconds: float | None = Field(
        default=1800.0,
        gt=0,
        le=MOST_SECONDS,
        allow_inf_nan=False,
        description="How long a worker may take to load the model before it is stopped, with its stack in the error; "
        "null for ever.",
    )
    predict_seconds: float | None = Field(
        default=1800.0,
        gt=0,
        le=MOST_SECONDS,
        allow_inf_nan=False,
        description="The same for one predict call.",
    )
    on_error: Literal["fail", "null", "quarantine"] = Field(
        default="fail",
        description="What becomes of a row that the model fails for, or a step around it: `fail` ends the job; `null` "
        "leaves the row without a prediction and says why in `error_column`; `quarantine` puts it into a table of its "
        "own. The other rows keep their predictions. Files and devices are never a row's fault; memory, deadlines and "
        "crashes are with `isolation` alone.",
    )
    error_column: str | None = Field(
        default=None,
        description="For `on_error: null`: a column with `error_class` and `error_message`, null for rows with a "
        f"prediction. By default `{ERROR_COLUMN}`, and none in `model_udf`; an empty text leaves it out.",
    )
    max_bad_rows: int | None = Field(
        default=None,
        ge=0,
        description="For `on_error` other than `fail`: more rows without a prediction stop the job, and what they are "
        "part of is not published. `score` and `model_udf` count for each task.",
    )
    max_bad_fraction: float = Field(
        default=0.1,
        ge=0,
        le=1,
        allow_inf_nan=False,
        description="The same as a share of the rows so far, of 100 at least, in each task and in the whole job. "
        "1 allows all.",
    )
    isolation: IsolationOptions | None = Field(
        default=None,
        description="`process` runs the model in a child process of each worker: a row that crashes it, hangs for "
        "`predict_seconds` or takes too much memory is a row that the model fails for, and `on_error` says what "
        "becomes of it. Without it, such a row ends the job.",
    )
    hosting: Literal["auto", "worker", "executor"] = Field(
        default="auto",
        description="Where the loaded model is: `worker` has a copy in each Python worker, `executor` one in a process "
        "that all workers of an executor feed. `auto` takes `executor` where several tasks share a GPU, or where the "
        "copies are known not to fit into the executor's memory.",
    )
    expect: dict[str, ExpectedColumn] = Field(
        default_factory=dict,
        description="What predictions have to look like, or the job stops: prediction column to `min`, `max`, "
        "`max_null_fraction` (null or NaN) and `not_constant: true`.",
    )
    model_files: PathText = Field(
        default="auto",
        description="How the model's files reach the workers: `auto` (Spark sends them; in local mode they are there), "
        "a folder that every node mounts (`/mnt/models`), or an object store's URI (`s3://bucket/models`). No secrets "
        "in the URI.",
    )

    @property
    def asked_batch_rows(self) -> int | None:
        """Rows of a model batch, where they are asked for by number."""
        return None if self.batch_size == "auto" else self.batch_size

    @property
    def checks_row_order(self) -> bool:
        """Whether the order of the answers is in question: a row that is predicted alone has no other place."""
        return self.row_order == "check" and self.batch_size != 1

    @property
    def reasons_column(self) -> str:
        """The column that says why a row has no prediction; "" for none."""
        if self.on_error != "null":
            return ""
        return ERROR_COLUMN if self.error_column is None else self.error_column

    @rule("on_error", "error_column")
    @staticmethod
    def _reasons_are_of_bad_rows(on_error: str, error_column: str | None) -> str:
        wrong = on_error != "null" and error_column is not None
        return "`error_column` goes with `on_error: null` alone; for another policy take it out" if wrong else ""

    @rule("on_error", "max_bad_rows")
    @staticmethod
    def _limits_go_with_their_policy(on_error: str, max_bad_rows: int | None) -> str:
        wrong = on_error == "fail" and max_bad_rows is not None
        why = "`max_bad_rows` goes with `on_error: null` or `quarantine`: now the first bad row ends the job"
        return why if wrong else ""

    @rule("hosting", "isolation")
    @staticmethod
    def _one_process_is_enough(hosting: str, isolation: IsolationOptions | None) -> str:
        wrong = hosting == "executor" and isolation is not None
        why = (
            "`isolation` gives each worker a process for its model, and `hosting: executor` one to all of them: leave "
            "one out (a model host that a row ends is started again, and the row is found, too)"
        )
        return why if wrong else ""

    @rule("trust", "digests")
    @staticmethod
    def _digests_go_with_their_policy(trust: str, digests: tuple[str, ...]) -> str:
        why = (
            "`trust: digests` and `digests`, a list of them, go together: give both or neither; "
            "`spark-infer models inspect` shows a model's digest"
        )
        return "" if (trust == "digests") == bool(digests) else why

    @field_validator("on_error", mode="before")
    @classmethod
    def _null_is_a_word(cls, given: Any) -> Any:
        return "null" if given is None else given  # in YAML, null without quotes is no text

    @field_validator("params", mode="before")
    @classmethod
    def _plain_values(cls, given: Any) -> Any:
        return plain_params(given)

    @field_validator("pyfunc_config", mode="before")
    @classmethod
    def _plain_configuration(cls, given: Any) -> Any:
        return plain_configuration(given)

    @field_validator("pyfunc_config")
    @classmethod
    def _can_be_written(cls, given: dict[str, Any]) -> dict[str, Any]:
        refuse_unwritable(given)
        return given

    @field_validator("extra_env")
    @classmethod
    def _can_be_set(cls, given: dict[str, str]) -> dict[str, str]:
        refuse_unsettable(given)
        return given

    @field_validator("model_files")
    @classmethod
    def _means_the_same_on_every_node(cls, given: str) -> str:
        refuse_unshareable(given)
        return given

    @field_validator("postprocess", mode="before")
    @classmethod
    def _one_step_is_a_list(cls, given: Any) -> Any:
        return (given,) if isinstance(given, str | Mapping) else given
