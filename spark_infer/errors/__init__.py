"""The errors of spark_infer, in two families.

    SparkInferError
    ├── PlanError                  refused before any Spark task started; nothing changed on disk
    │   ├── ConfigError            an option or a job file is wrong
    │   ├── EnvironmentProblem     Python, Java, Spark or a jar on this machine does not fit
    │   ├── ModelNotFoundError     the URI names no model, version, alias or folder
    │   ├── RegistryUnavailableError   the MLflow server or store does not answer
    │   ├── ModelRefusedError      the model's files cannot be served, or are not what they claim
    │   ├── SchemaMismatchError    the table does not fit the signature; every problem listed
    │   ├── ResourcesError         no executor can give a task the cores or GPUs it asks for
    │   ├── StepError              a preprocess or postprocess step cannot be imported or used
    │   ├── SourceError            the source table cannot be found or read
    │   ├── TargetError            the target exists, is the source, or does not fit the write mode
    │   │   └── BookmarkMovedError     another command has added new rows while this one was planned
    │   ├── UnfinishedRunError     an unfinished run of this job planned something else
    │   └── LedgerRefusedError     a LedgerError that was found before anything ran
    └── RunError                   failed while running; says what was and was not written
        ├── DeadlineError          a step or the whole job took longer than it may
        ├── StoppedError           the time of `max_runtime` is over; nothing went wrong, and the same command goes on
        ├── DeviceError            the GPU asked for is not seen by the worker or by the model's framework
        ├── ModelFilesError        the model's files on a node are missing or damaged
        ├── ModelLoadError         the model did not load on a worker
        ├── InputValueError        a value of the table has no place in the model's input type
        ├── PredictError           the model raised
        │   └── ModelProcessError      the process of an isolated model failed for a batch
        │       ├── ModelCrashedError      it ended
        │       ├── ModelHungError         it was ended, because it took too long; a DeadlineError too
        │       └── ModelMemoryError       one row took more memory than it may have
        ├── PredictionShapeError   the model returned the wrong rows, columns or types
        │   └── RowOrderError          the model answers its rows in another order
        ├── TooFewRowsError        there are fewer rows than `min_rows` asks for
        ├── TooManyBadRowsError    more rows are without a prediction than the job allows
        ├── TooManyGroupsError     `aggregate` makes more groups than a summary may have
        ├── WorkerLostError        a worker process died without an exception
        ├── UnexpectedPredictionsError   predictions are not as `expect` says
        ├── StepFailedError        a preprocess or postprocess step raised, or changed the row count
        │   └── UndecodableError       images or sounds of some rows cannot be decoded
        ├── SourceReadError        a file of the source is damaged or vanished, or its features have a key twice
        │   └── SparkMustReadError     a file that only Spark reads as it should; a run goes on without the direct plane
        ├── WriteError             the target could not be written
        │   └── CommitConflictError    another writer changed the table in a way that the commit cannot go with
        └── LedgerError            the account of an unfinished run is damaged, or another command gave the run up
            └── TakenOverError         another driver of the run puts its rows in their place

Every message says what happened, where, what was allowed and what to do next, in at most a few
lines, and holds no row values. All errors pickle.
"""

from __future__ import annotations

from spark_infer.errors.error import (
    MOST_PROBLEMS,
    SparkInferError,
)
from spark_infer.errors.next_steps import (
    did_you_mean,
    install_extra,
    nearest,
    nearest_names,
)
from spark_infer.errors.plan import (
    BookmarkMovedError,
    ConfigError,
    EnvironmentProblem,
    ModelNotFoundError,
    ModelRefusedError,
    PlanError,
    RegistryUnavailableError,
    ResourcesError,
    SchemaMismatchError,
    SourceError,
    StepError,
    TargetError,
    Together,
    UnfinishedRunError,
)
from spark_infer.errors.run import (
    CommitConflictError,
    DeadlineError,
    DeviceError,
    InputValueError,
    LedgerError,
    LedgerRefusedError,
    ModelCrashedError,
    ModelFilesError,
    ModelHungError,
    ModelLoadError,
    ModelMemoryError,
    ModelProcessError,
    PredictError,
    PredictionShapeError,
    RowOrderError,
    RunError,
    SourceReadError,
    SparkMustReadError,
    StepFailedError,
    StoppedError,
    TakenOverError,
    TooFewRowsError,
    TooManyBadRowsError,
    TooManyGroupsError,
    UndecodableError,
    UnexpectedPredictionsError,
    WorkerLostError,
    WriteError,
)

__all__ = [
    "MOST_PROBLEMS",
    "BookmarkMovedError",
    "CommitConflictError",
    "ConfigError",
    "DeadlineError",
    "DeviceError",
    "EnvironmentProblem",
    "InputValueError",
    "LedgerError",
    "LedgerRefusedError",
    "ModelCrashedError",
    "ModelFilesError",
    "ModelHungError",
    "ModelLoadError",
    "ModelMemoryError",
    "ModelNotFoundError",
    "ModelProcessError",
    "ModelRefusedError",
    "PlanError",
    "PredictError",
    "PredictionShapeError",
    "RegistryUnavailableError",
    "ResourcesError",
    "RowOrderError",
    "RunError",
    "SchemaMismatchError",
    "SourceError",
    "SourceReadError",
    "SparkInferError",
    "SparkMustReadError",
    "StepError",
    "StepFailedError",
    "StoppedError",
    "TakenOverError",
    "TargetError",
    "Together",
    "TooFewRowsError",
    "TooManyBadRowsError",
    "TooManyGroupsError",
    "UndecodableError",
    "UnexpectedPredictionsError",
    "UnfinishedRunError",
    "WorkerLostError",
    "WriteError",
    "did_you_mean",
    "install_extra",
    "nearest",
    "nearest_names",
]
