"""Which models may run is decided from their origin, digest and files, before anything of them is imported."""

from __future__ import annotations

import io
import lzma
import pickle
import tarfile
import warnings
import zipfile
import zlib
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import joblib
import mlflow
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import skops.io
from mlflow.models import infer_signature
from mlflow.pyfunc.model import PythonModel
from sklearn.linear_model import LinearRegression

from spark_infer.config import ScoreOptions
from spark_infer.config.validate_options import validated
from spark_infer.errors import ConfigError, ModelRefusedError
from spark_infer.models.files.store import ModelStore
from spark_infer.models.recipe import make_recipe
from spark_infer.models.ref import ModelRef
from spark_infer.models.registry.resolve import resolve
from spark_infer.models.trust.pickles import pickles_in
from tests.unit.models.registry.logged import Logged

LINE = LinearRegression().fit(np.arange(20.0).reshape(10, 2), np.arange(10.0))


class Hostile:
    """Says that it was unpickled."""

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return exec, ("raise SystemExit('unpickled')",)


def zipped(content: bytes, depth: int = 1) -> bytes:
    for _ in range(depth):
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w") as archive:
            archive.writestr("inside/data.bin", content)
        content = packed.getvalue()
    return content


def tarred(content: bytes) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        member = tarfile.TarInfo("inside")
        member.size = len(content)
        archive.addfile(member, io.BytesIO(content))
    return packed.getvalue()


def saved(save: Callable[[Any], object]) -> bytes:
    content = io.BytesIO()
    save(content)
    return content.getvalue()


OBJECTS = np.array([{}, Hostile()], dtype=object)
HOSTILE = [pickle.dumps(Hostile(), number) for number in range(5)]


def broken_zip(content: bytes, old: bytes, new: bytes) -> bytes:
    """A zip that Python refuses and PyTorch reads."""
    return zipped(content).replace(old, new, 1)


def padded_npy() -> bytes:
    header = b"{'descr': '|O', 'fortran_order': False, 'shape': (1,)}"
    padded = b" " * 1200 + header + b"\n"
    return b"\x93NUMPY\x01\x00" + len(padded).to_bytes(2, "little") + padded + HOSTILE[4]


def old_tar(content: bytes) -> bytes:
    """As tar wrote archives before there was a magic number."""
    packed = bytearray(tarred(content))
    packed[257:265] = bytes(8)
    packed[148:156] = b" " * 8
    packed[148:156] = b"%06o\0 " % sum(packed[:512])
    return bytes(packed)


def much_of_nothing() -> bytes:
    """Half a gigabyte of zeros: the same compressed megabyte again and again."""
    packer = zlib.compressobj(1)
    megabyte = bytes(2**20)
    first = packer.compress(megabyte) + packer.flush(zlib.Z_FULL_FLUSH)
    again = packer.compress(megabyte) + packer.flush(zlib.Z_FULL_FLUSH)
    return first + again * 511


PICKLES = {
    "a number that pickletools does not read": HOSTILE[4][:2] + b"I0x10\n0" + HOSTILE[4][2:],
    "such a number in text": b"I0x10\n0" + HOSTILE[0],
    "after another pickle": pickle.dumps(1, 0) + HOSTILE[0],
    "of PyTorch before it wrote zips": pickle.dumps(0x1950A86A20F9469CFC6C, 2) + HOSTILE[2],
    "a zip with another checksum": broken_zip(HOSTILE[4], zlib.crc32(HOSTILE[4]).to_bytes(4, "little"), b"abcd"),
    "a zip with another name inside": broken_zip(HOSTILE[4], b"inside", b"insidf"),
    "a zip behind other bytes": b"#!/bin/sh\n" + zipped(HOSTILE[0]),
    "lzma with a small dictionary": lzma.compress(
        HOSTILE[4], format=lzma.FORMAT_ALONE, filters=[{"id": lzma.FILTER_LZMA1, "dict_size": 4096}]
    ),
    "the old format of joblib": b"ZF" + hex(len(HOSTILE[4])).encode().ljust(19) + zlib.compress(HOSTILE[4]),
    "objects of NumPy behind blanks": padded_npy(),
    "an old tar": old_tar(HOSTILE[0]),
    "zlib, larger than what is looked at": much_of_nothing(),
    **{f"protocol {number}": pickle.dumps(LINE, number) for number in range(6)},
    **{f"hostile, protocol {number}": pickle.dumps(Hostile(), number) for number in range(6)},
    "hostile, cut off": pickle.dumps(Hostile(), 4)[:-1],
    "hostile, after much else": pickle.dumps([b"x" * 2_000_000, Hostile()], 4),
    "joblib": saved(lambda file: joblib.dump(LINE, file)),
    **{
        f"joblib, {kind}": saved(partial(joblib.dump, LINE, compress=(kind, 3)))
        for kind in ("zlib", "gzip", "bz2", "xz", "lzma")
    },
    "objects of NumPy": saved(lambda file: np.save(file, OBJECTS)),
    "objects in an npz": saved(lambda file: np.savez(file, a=np.arange(3), b=OBJECTS)),
    "zipped": zipped(pickle.dumps(LINE)),
    "zipped twice": zipped(pickle.dumps(LINE), 2),
    "zipped too often": zipped(b"text", 6),
    "tarred": tarred(pickle.dumps(LINE)),
    "lz4, which is not looked into": b"\x04\x22\x4d\x18" + b"\x00" * 20,
    "a zip that breaks off": zipped(b"x" * 100)[:60] + zipped(b"x" * 100)[-90:],
}
OTHERS = {
    "empty": b"",
    "requirements.txt": b"click\nnumpy\npandas\ncloudpickle==3.1\n",
    "conda.yaml": b"channels:\n- conda-forge\ndependencies:\n- python=3.11\n",
    "MLmodel": b"artifact_path: model\nflavors:\n  python_function: {}\n",
    "input_example.json": b'{"columns": ["a"], "data": [[1.0]]}',
    "text": b".",
    "helper.py": b"import os\nimport sys\n",
    "names.py": b"import numpy as np\nimport pandas as pd\n",
    "labels.txt": b"cat\ndog\nbird\n",
    "flowers.txt": "Iris-setosa\nLöwenzahn\n".encode(),
    "roses.txt": b"iris\nrose\n",
    "other requirements.txt": b"interpret\nnumpy\n",
    "xgboost.bin": b"binf" + bytes(range(200)),
    "model.skops": saved(lambda file: skops.io.dump(LINE, file)),
    "numbers.npy": saved(lambda file: np.save(file, np.arange(1000))),
    "numbers.npz": saved(lambda file: np.savez(file, a=np.arange(3))),
}


@pytest.mark.parametrize("name", PICKLES)
def test_a_pickle_is_found_whatever_holds_it(tmp_path: Path, name: str) -> None:
    (tmp_path / "notes.txt").write_bytes(PICKLES[name])
    (found,) = pickles_in(tmp_path)
    assert found.startswith("notes.txt")


def test_other_files_of_models_are_no_pickles(tmp_path: Path) -> None:
    for name, content in OTHERS.items():
        (tmp_path / name).write_bytes(content)
    assert pickles_in(tmp_path) == []


@pytest.fixture
def hostile(tmp_path: Path) -> Path:
    """A model whose pickle ends the process that loads it."""
    folder = tmp_path / "hostile"
    rows = pd.DataFrame({"x": [1.0]})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        mlflow.pyfunc.save_model(
            folder,
            python_model=Doubles(),
            signature=infer_signature(rows, rows["x"].rename("y")),
            pip_requirements=["pandas"],
        )
    (folder / "python_model.pkl").write_bytes(pickle.dumps(Hostile()))
    return folder


class Doubles(PythonModel):
    def predict(self, context, model_input, params=None):  # type: ignore[no-untyped-def]  # MLflow reads type hints
        return model_input["x"] * 2


def recipe(ref: ModelRef, store: ModelStore, **options: Any) -> object:
    """As each door prepares a model; no output asks for the model itself."""
    schema = pa.schema([("x", pa.float64()), ("a", pa.float64()), ("b", pa.float64())])

    def load(spec: object) -> Any:
        raise AssertionError("the model is loaded")

    return make_recipe(
        ref, schema, validated(ScoreOptions, options), folder=store.path(ref.digest), load_model=load, keep=[]
    )


def test_a_model_with_a_pickle_is_refused_and_not_unpickled(hostile: Path, store: ModelStore) -> None:
    ref = resolve(str(hostile), store=store)
    with pytest.raises(ModelRefusedError, match="holds 1 pickle, and refuse_pickle is set") as refused:
        recipe(ref, store, refuse_pickle=True)
    assert refused.value.details == ("python_model.pkl",)
    assert recipe(ref, store)


def test_only_a_registered_version_is_taken_where_trust_is_in_the_registry(
    hostile: Path, logged: Logged, store: ModelStore
) -> None:
    with pytest.raises(ModelRefusedError, match=r"does not come from a model registry: it is .*hostile"):
        recipe(resolve(str(hostile), store=store), store, trust="registry")
    registered = resolve("models:/churn@champion", tracking_uri=logged.tracking_uri, store=store)
    assert recipe(registered, store, trust="registry", result_type="double")


def test_only_the_digests_that_are_listed_are_taken(hostile: Path, store: ModelStore) -> None:
    ref = resolve(str(hostile), store=store)
    with pytest.raises(ModelRefusedError, match="is not among the 1 that are allowed") as refused:
        recipe(ref, store, trust="digests", digests=["0" * 64])
    assert ref.digest in refused.value.details[0]
    assert recipe(ref, store, trust="digests", digests=["0" * 64, ref.digest])


@pytest.mark.parametrize(
    "options",
    [{"trust": "digests"}, {"digests": ["0" * 64]}, {"trust": "digests", "digests": ["abc"]}, {"trust": "me"}],
    ids=str,
)
def test_a_policy_that_says_nothing_is_an_error(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        validated(ScoreOptions, options)
