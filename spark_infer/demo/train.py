"""Train, log and register the demo's model: will a flight that has left its gate arrive more than 15 minutes late?"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

import pyarrow as pa
import pyarrow.compute as pc

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion
    from sklearn.pipeline import Pipeline

MODEL = "flight_delay"
ALIAS = "champion"
LATE_MINUTES = 15
FIRST_HELD_OUT_MONTH = 10

CATEGORIES = ("carrier", "origin", "dest")
WHOLE_NUMBERS = ("hour", "distance", "day_of_week")
NUMBERS = ("dep_delay",)  # missing for flights that never left
FEATURES = (*CATEGORIES, *WHOLE_NUMBERS, *NUMBERS)
OUTPUT = "delayed"

_MARK = "demo_fingerprint"


@dataclass(frozen=True)
class Champion:
    """The registered version that the alias names.

    Attributes:
        version: The version's number in the registry.
        trained_on: Flights it learned from in this run; None where an earlier run's version is used again.
    """

    version: str
    trained_on: int | None


def fingerprint(flights_fingerprint: str) -> str:
    """Name what a training depends on: the flights, this code, and the versions of what trains and stores."""
    versions = ",".join(f"{name}={version(name)}" for name in ("scikit-learn", "skops", "mlflow"))
    return hashlib.sha256(f"{flights_fingerprint},{versions}".encode() + Path(__file__).read_bytes()).hexdigest()[:16]


def ensure_champion(flights: Callable[[], pa.Table], *, tracking_uri: str, artifacts: Path, mark: str) -> Champion:
    """Return the champion; train, log and register a new version only where none carries `mark`.

    Args:
        flights: Reads the flights; not called where the champion is up to date.
        tracking_uri: MLflow store that takes the run and the registered model.
        artifacts: Folder for the model's files.
        mark: What `fingerprint` returned.
    """
    import mlflow

    mlflow.set_tracking_uri(tracking_uri)
    mlflow.set_registry_uri(tracking_uri)
    client = mlflow.MlflowClient(tracking_uri, tracking_uri)
    champion = _champion(client)
    if champion is not None and champion.tags.get(_MARK) == mark and _has_files(client, champion, artifacts):
        return Champion(str(champion.version), None)
    training = training_rows(flights())
    model = train(training)
    number = _register(model, training, client=client, artifacts=artifacts)
    client.set_model_version_tag(MODEL, number, _MARK, mark)
    # Last: a run that is killed before this line leaves a version that no later run trusts.
    client.set_registered_model_alias(MODEL, ALIAS, number)
    return Champion(number, training.num_rows)


def training_rows(flights: pa.Table) -> pa.Table:
    """Return the flights before October whose arrival is known; the others are what the demo scores."""
    return flights.filter(pc.and_(pc.less(flights["month"], FIRST_HELD_OUT_MONTH), pc.is_valid(flights["arr_delay"])))


def train(rows: pa.Table) -> Pipeline:
    """Fit a logistic regression over one-hot carriers and airports and scaled numbers; under two seconds."""
    from sklearn.compose import ColumnTransformer
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import Pipeline, make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    columns = ColumnTransformer(
        [
            ("categories", OneHotEncoder(handle_unknown="ignore"), list(CATEGORIES)),
            ("numbers", make_pipeline(SimpleImputer(strategy="median"), StandardScaler()), [*WHOLE_NUMBERS, *NUMBERS]),
        ]
    )
    pipeline = Pipeline([("columns", columns), ("classifier", LogisticRegression(max_iter=300))])
    late = pc.greater(rows["arr_delay"], LATE_MINUTES).cast(pa.int64())
    return pipeline.fit(rows.select(FEATURES).to_pandas(), late.to_numpy())


def _register(model: Pipeline, training: pa.Table, *, client: MlflowClient, artifacts: Path) -> str:
    import mlflow
    from mlflow.models import ModelSignature
    from mlflow.types.schema import ColSpec, DataType, Schema, TensorSpec

    columns: list[ColSpec | TensorSpec] = [ColSpec(DataType.string, name) for name in CATEGORIES]
    columns += [ColSpec(DataType.long, name) for name in WHOLE_NUMBERS]
    columns += [ColSpec(DataType.double, name, required=False) for name in NUMBERS]
    signature = ModelSignature(inputs=Schema(columns), outputs=Schema([ColSpec(DataType.long, OUTPUT)]))
    with mlflow.start_run(experiment_id=_experiment(client, artifacts)):
        mlflow.log_params({"model": "logistic regression", "training_rows": training.num_rows})
        logged = mlflow.sklearn.log_model(
            model,
            name=MODEL,
            registered_model_name=MODEL,
            signature=signature,
            input_example=training.select(FEATURES).slice(0, 5).to_pandas(),
            # Named here, because MLflow finds them out by loading the model in another process.
            pip_requirements=[f"{name}=={version(name)}" for name in ("scikit-learn", "skops", "pandas", "numpy")],
            # skops refuses types it does not know to be harmless; the encoder's categories bring this one.
            skops_trusted_types=["numpy.dtype"],
        )
    return str(logged.registered_model_version)


def _experiment(client: MlflowClient, artifacts: Path) -> str:
    """Return the experiment whose files go to our folder; MLflow's default is ./mlruns.

    MLflow keeps the folder as an absolute path, so a demo that was moved gets an experiment of its own.
    """
    name = f"{MODEL} in {artifacts.resolve()}"
    found = client.get_experiment_by_name(name)
    if found is not None:
        return str(found.experiment_id)
    return str(client.create_experiment(name, artifact_location=artifacts.resolve().as_uri()))


def _champion(client: MlflowClient) -> ModelVersion | None:
    from mlflow.exceptions import MlflowException

    try:
        return client.get_model_version_by_alias(MODEL, ALIAS)
    except MlflowException:  # no such model or alias yet
        return None


def _has_files(client: MlflowClient, champion: ModelVersion, artifacts: Path) -> bool:
    """Tell whether the version's files are there, in this demo's folder and not in one it was copied from."""
    address = urlsplit(client.get_model_version_download_uri(MODEL, champion.version))
    folder = Path(unquote(address.path))
    return folder.is_relative_to(artifacts.resolve()) and (folder / "MLmodel").is_file()
