"""picklescan finds what does harm in a model's pickles, and the model is refused before it is unpickled."""

from __future__ import annotations

import io
import logging
import os
import pickle
import sys
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import cloudpickle
import joblib
import mlflow
import numpy as np
import pyarrow as pa
import pytest
import skops.io
import torch
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from spark_infer.config import ScoreOptions
from spark_infer.errors import EnvironmentProblem, ModelRefusedError
from spark_infer.models.files.store import ModelStore
from spark_infer.models.recipe import make_recipe
from spark_infer.models.registry.resolve import resolve
from spark_infer.models.trust.pickle_scan import dangers_in

ROWS, ANSWERS = np.arange(20.0).reshape(10, 2), np.arange(10) > 4
PIPELINE = make_pipeline(FunctionTransformer(np.log1p), StandardScaler(), RandomForestClassifier(3)).fit(ROWS, ANSWERS)


class Hostile:
    """Leaves a file where it was unpickled."""

    def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
        return os.system, ("touch unpickled",)


def by_value(value: float) -> float:
    return value + 1


cloudpickle.register_pickle_by_value(sys.modules[__name__])
BY_VALUE = cloudpickle.dumps(by_value)
cloudpickle.unregister_pickle_by_value(sys.modules[__name__])


def saved(save: Callable[[Any], object]) -> bytes:
    content = io.BytesIO()
    save(content)
    return content.getvalue()


def added(archive: bytes, name: str, content: bytes) -> bytes:
    """An archive with one more member."""
    packed = io.BytesIO(archive)
    with zipfile.ZipFile(packed, "a") as members:
        members.writestr(name, content)
    return packed.getvalue()


HOSTILE = pickle.dumps(Hostile(), 4)
SKOPS = saved(lambda file: skops.io.dump(PIPELINE, file))
DANGEROUS = {
    **{f"protocol {number}": pickle.dumps(Hostile(), number) for number in range(6)},
    **{
        f"joblib, {kind}": saved(partial(joblib.dump, {"a": Hostile()}, compress=(kind, 3)))
        for kind in ("zlib", "gzip", "bz2", "xz", "lzma")
    },
    "joblib": saved(partial(joblib.dump, {"a": Hostile()})),
    "PyTorch": saved(partial(torch.save, {"weights": torch.zeros(2), "a": Hostile()})),
    "PyTorch before it wrote zips": saved(partial(torch.save, Hostile(), _use_new_zipfile_serialization=False)),
    "beside a skops model": added(SKOPS, "notes", HOSTILE),
    "in a zip in a zip": added(b"", "a", added(b"", "b", HOSTILE)),
    "objects of NumPy": saved(lambda file: np.save(file, np.array([{}, Hostile()], dtype=object))),
    "objects in an npz": saved(lambda file: np.savez(file, a=np.arange(3), b=np.array([Hostile()], dtype=object))),
    "after a harmless pickle": pickle.dumps(PIPELINE) + HOSTILE,
    "deep in a model": pickle.dumps([PIPELINE, {"a": [Hostile()]}]),
}
NOT_SCANNED = {
    "a zip behind a harmless pickle": pickle.dumps(PIPELINE) + added(b"", "a", HOSTILE),
    "joblib, behind an array": saved(partial(joblib.dump, [np.arange(5), Hostile()])),
    "a number that pickletools does not read": HOSTILE[:2] + b"I0x10\n0" + HOSTILE[2:],
    "lz4": b"\x04\x22\x4d\x18" + bytes(20),
    "a zip that breaks off": added(b"", "a", bytes(100))[:60] + added(b"", "a", bytes(100))[-90:],
}
HARMLESS = {
    **{f"protocol {number}.pkl": pickle.dumps(PIPELINE, number) for number in range(6)},
    "cloudpickle.pkl": cloudpickle.dumps(PIPELINE),
    "plain.pkl": pickle.dumps({"a": [1, "b", None]}),
    "model.skops": SKOPS,
    "weights.pt": saved(partial(torch.save, torch.nn.Linear(2, 1).state_dict())),
    "model.pt": saved(partial(torch.save, torch.nn.Sequential(torch.nn.Linear(2, 1), torch.nn.ReLU()))),
    "objects.npy": saved(lambda file: np.save(file, np.array(["a", None], dtype=object))),
    "numbers.npz": saved(lambda file: np.savez(file, a=np.arange(3))),
    "helper.py": b"import os\nos.system('true')\n",
    "requirements.txt": b"numpy\n",
}


@pytest.mark.parametrize("name", DANGEROUS)
def test_a_dangerous_pickle_is_found_whatever_holds_it(
    name: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "notes.txt").write_bytes(DANGEROUS[name])
    with caplog.at_level(logging.DEBUG):
        *_, found = dangers_in(tmp_path)
    assert found.startswith("notes.txt")
    assert found.endswith(f": {os.system.__module__}.system")
    assert caplog.records == []


@pytest.mark.parametrize("name", NOT_SCANNED)
def test_what_nobody_can_look_through_is_refused_too(name: str, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_bytes(NOT_SCANNED[name])
    found, *_ = dangers_in(tmp_path)
    assert "cannot be" in found or "not looked into" in found


def test_functions_that_a_pickle_holds_by_value_are_dangerous(tmp_path: Path) -> None:
    (tmp_path / "model.pkl").write_bytes(BY_VALUE)
    (found,) = dangers_in(tmp_path)
    assert "cloudpickle.cloudpickle._make_function" in found


def test_models_of_frameworks_pass(tmp_path: Path) -> None:
    for name, content in HARMLESS.items():
        (tmp_path / name).write_bytes(content)
    assert dangers_in(tmp_path) == []


@pytest.fixture
def hostile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A scikit-learn model whose pickle leaves a file in the current folder."""
    monkeypatch.chdir(tmp_path)
    mlflow.sklearn.save_model(
        LinearRegression().fit(ROWS, ROWS[:, 0]),
        tmp_path / "model",
        serialization_format="cloudpickle",
        input_example=ROWS[:1],
        pip_requirements=["scikit-learn"],
    )
    (tmp_path / "model" / "model.pkl").write_bytes(HOSTILE)
    return tmp_path


def refused(folder: Path, store: ModelStore) -> None:
    """Prepare the model as each door does, with the pickles scanned."""
    ref = resolve(str(folder / "model"), store=store)

    def load(spec: object) -> Any:
        raise AssertionError("the model is loaded")

    schema = pa.schema([("a", pa.list_(pa.float64()))])
    options = ScoreOptions(scan_pickle=True)
    make_recipe(ref, schema, options, folder=store.path(ref.digest), load_model=load, keep=[])


def test_a_model_with_a_dangerous_pickle_is_refused_and_not_unpickled(hostile: Path, store: ModelStore) -> None:
    with pytest.raises(ModelRefusedError, match="and scan_pickle is set") as error:
        refused(hostile, store)
    assert error.value.details == (f"model.pkl: {os.system.__module__}.system",)
    assert not (hostile / "unpickled").exists()
    pickle.loads(HOSTILE)
    assert (hostile / "unpickled").exists()  # so it would have been


def test_a_missing_scanner_is_an_error_that_names_the_extra(
    hostile: Path, store: ModelStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "picklescan.scanner", None)
    with pytest.raises(EnvironmentProblem) as error:
        refused(hostile, store)
    assert "pip install 'spark-infer[scan]'" in error.value.next_step
