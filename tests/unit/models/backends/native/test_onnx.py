from __future__ import annotations

import json
import pickle
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, Schema, TensorSpec
from onnx import ModelProto, TensorProto, helper

from spark_infer.config import ScoreOptions
from spark_infer.core.convert import project
from spark_infer.core.outputs import to_batch
from spark_infer.core.prediction_columns import signature_outputs
from spark_infer.errors import DeviceError, InputValueError, ModelRefusedError
from spark_infer.models.backends import load
from spark_infer.models.backends.choose_backend import choose
from spark_infer.models.mlmodel import read_mlmodel
from tests.unit.models.backends.native.specs import spec_of
from tests.unit.models.conformance.cases.onnx import graph

FLOAT, LONG, TEXT, BOOL = TensorProto.FLOAT, TensorProto.INT64, TensorProto.STRING, TensorProto.BOOL


def doubled(shape: list[Any] | None = None, kind: int = FLOAT) -> ModelProto:
    told = (kind, ["rows", 2] if shape is None else shape)
    return graph([helper.make_node("Add", ["x", "x"], ["y"])], {"x": told}, {"y": told})


def columns(inputs: dict[str, str], outputs: Sequence[ColSpec | TensorSpec] = ()) -> ModelSignature:
    listed: list[ColSpec | TensorSpec] = [ColSpec(kind, name) for name, kind in inputs.items()]
    return ModelSignature(Schema(listed), Schema(list(outputs)) if outputs else None)


def tensors(*specs: tuple[str | None, str, tuple[int, ...]]) -> ModelSignature:
    return ModelSignature(Schema([TensorSpec(np.dtype(dtype), shape, name) for name, dtype, shape in specs]))


def save(folder: Path, model: ModelProto, signature: ModelSignature | None = None, **how: Any) -> Path:
    mlflow.onnx.save_model(model, folder / "model", signature=signature, pip_requirements=["onnxruntime"], **how)
    return folder / "model"


def predict(folder: Path, frame: pd.DataFrame, **options: Any) -> pa.RecordBatch:
    batch = pa.RecordBatch.from_pandas(frame, preserve_index=False)
    spec = spec_of(folder, batch.schema, **options)
    model = load(spec, folder)
    schema = signature_outputs(spec.mlmodel.signature) or model.outputs()
    assert schema is not None
    return to_batch(model.predict(project(batch, spec.binding)), schema, batch.num_rows)


def test_a_model_without_its_external_data_is_refused_by_name(tmp_path: Path) -> None:
    model = graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        {"x": (FLOAT, ["rows", 2])},
        {"y": (FLOAT, ["rows", 300])},
        w=np.ones((2, 300), np.float32),
    )
    folder = save(tmp_path, model)
    (data,) = folder.glob("*.data")
    data.unlink()
    with pytest.raises(ModelRefusedError, match=f"keeps weights in '{data.name}', and that file is not in the model"):
        choose(read_mlmodel(folder), ScoreOptions(), folder)


@pytest.mark.parametrize(
    ("model", "signature", "problem"),
    [
        (doubled(), columns({"a": "double"}), "input 'x' has shape [?, 2], the signature has 1 column(s) for it"),
        (doubled(), columns({"a": "long", "b": "long"}), "input 'x' takes tensor(float), its column(s) are long"),
        (doubled(), columns({"a": "string", "b": "double"}), "takes tensor(float), its column(s) are string, double"),
        (doubled(kind=TensorProto.DOUBLE), columns({"a": "float", "b": "float"}), "takes tensor(double)"),
        (doubled(), tensors((None, "float32", (-1, 3))), "input 'x' has shape [?, 2], the signature says [-1, 3]"),
        (doubled(), tensors((None, "int64", (-1, 2))), "input 'x' takes tensor(float), the signature says int64"),
        (doubled(), tensors((None, "float32", (-1, 2, 1))), "the signature says [-1, 2, 1]"),
        (doubled(), tensors(("z", "float32", (-1, 2))), "the graph's input 'x' is not in the signature"),
        (doubled(["rows"]), columns({"a": "double", "b": "double"}), "input 'x' has shape [?]"),
        (doubled([4, 2]), tensors((None, "float32", (-1, 2))), "takes exactly 4 rows at a time: export it with"),
    ],
)
def test_a_signature_that_does_not_fit_the_graph_is_refused_before_anything_loads(
    model: ModelProto, signature: ModelSignature, problem: str, tmp_path: Path
) -> None:
    folder = save(tmp_path, model, signature)
    with pytest.raises(ModelRefusedError) as caught:
        choose(read_mlmodel(folder), ScoreOptions(), folder)
    assert problem in str(caught.value)


@pytest.mark.parametrize(
    ("outputs", "told"),
    [
        ([ColSpec("float", "z")], "it promises 'z'"),
        ([ColSpec("float"), ColSpec("float")], "it promises 2 output(s) without names"),
    ],
)
def test_a_promised_output_that_the_graph_lacks_is_refused(outputs: list[ColSpec], told: str, tmp_path: Path) -> None:
    folder = save(tmp_path, doubled(), columns({"a": "double", "b": "double"}, outputs))
    with pytest.raises(ModelRefusedError) as caught:
        choose(read_mlmodel(folder), ScoreOptions(), folder)
    assert caught.value.details == (told, "the graph returns ['y']")


def test_an_output_without_a_name_is_the_graphs_own(tmp_path: Path) -> None:
    signature = columns({"a": "double", "b": "double"}, [TensorSpec(np.dtype("float32"), (-1, 2))])
    rows = pd.DataFrame({"a": [1.0, 2.0], "b": [3.0, 4.0]})
    assert predict(save(tmp_path, doubled(), signature), rows).to_pydict() == {"prediction": [[2, 6], [4, 8]]}


def test_a_graph_of_one_row_is_run_row_by_row_as_its_pyfunc_must_be(tmp_path: Path) -> None:
    folder = save(tmp_path, doubled([1, 2]), tensors(("x", "float32", (-1, 2))))
    values = np.array([[1, 2], [3, 4], [5, 6]], np.float32)
    scored = predict(folder, pd.DataFrame({"x": list(values)}))
    pyfunc = mlflow.pyfunc.load_model(str(folder))
    assert scored["y"].to_pylist() == [pyfunc.predict({"x": row[None]})["y"][0].tolist() for row in values]
    spec = spec_of(folder, pa.schema({"x": pa.list_(pa.float32())}))
    assert "one row at a time" in load(spec, folder).how


def test_rows_of_any_length_are_predicted_with_those_of_their_length(tmp_path: Path) -> None:
    folder = save(tmp_path, doubled(["rows", "n"]), tensors(("x", "float32", (-1, -1))))
    values: list[list[float]] = [[1.0, 2, 3], [4], [], [5, 6, 7], [8]]
    batch = pa.RecordBatch.from_pydict({"x": pa.array(values, pa.list_(pa.float32()))})
    spec = spec_of(folder, batch.schema)
    found = to_batch(load(spec, folder).predict(batch), pa.schema([("y", pa.list_(pa.float32()))]), 5)
    assert found["y"].to_pylist() == [[2 * value for value in row] for row in values]
    with pytest.raises(InputValueError, match="null or of another size"):
        load(spec, folder).predict(pa.RecordBatch.from_pydict({"x": pa.array([[1.0], None], pa.list_(pa.float32()))}))


def test_columns_reach_inputs_of_one_column_each_and_answers_of_several_numbers_come_back(tmp_path: Path) -> None:
    """As skl2onnx exports a pipeline over mixed columns; MLflow's pyfunc refuses both sides of it."""
    model = graph(
        [
            helper.make_node("Concat", ["a", "b"], ["both"], axis=1),
            helper.make_node("Identity", ["city"], ["where"]),
        ],
        {"a": (FLOAT, ["rows", 1]), "b": (FLOAT, ["rows", 1]), "city": (TEXT, ["rows", 1])},
        {"both": (FLOAT, ["rows", 2]), "where": (TEXT, ["rows", 1])},
    )
    folder = save(tmp_path, model, columns({"a": "double", "b": "double", "city": "string"}))
    rows = pd.DataFrame({"city": ["Oslo", "Köln"], "b": [3.0, 4.0], "a": [1.0, 2.0]})
    scored = predict(folder, rows)
    assert scored.to_pydict() == {"both": [[1, 3], [2, 4]], "where": ["Oslo", "Köln"]}
    with pytest.raises(Exception, match="Invalid rank"):
        mlflow.pyfunc.load_model(str(folder)).predict(rows)


def zipmap(**labels: Any) -> ModelProto:
    kind = helper.make_map_type_proto(
        LONG if "classlabels_int64s" in labels else TEXT, helper.make_tensor_type_proto(FLOAT, None)
    )
    model = graph(
        [helper.make_node("ZipMap", ["x"], ["p"], domain="ai.onnx.ml", **labels)], {"x": (FLOAT, ["rows", 2])}, {}
    )
    model.graph.output.append(helper.make_value_info("p", helper.make_sequence_type_proto(kind)))
    return model


def test_a_zipmap_of_numbers_is_a_map_and_becomes_the_struct_that_a_signature_promises(tmp_path: Path) -> None:
    rows = pd.DataFrame({"a": [0.25, 1.0], "b": [0.75, 0.0]})
    model = zipmap(classlabels_int64s=[7, 9])
    (tmp_path / "free").mkdir()
    free = predict(save(tmp_path / "free", model, columns({"a": "double", "b": "double"})), rows)
    assert free.schema.field("p").type == pa.map_(pa.int64(), pa.float32())
    assert free.to_pydict() == {"p": [[(7, 0.25), (9, 0.75)], [(7, 1.0), (9, 0.0)]]}
    outputs = [{"type": "object", "name": "p", "properties": {name: {"type": "double"} for name in ("7", "9")}}]
    promised = ModelSignature(columns({"a": "double", "b": "double"}).inputs, Schema.from_json(json.dumps(outputs)))
    scored = predict(save(tmp_path, model, promised), rows)
    assert scored.to_pydict() == {"p": [{"7": 0.25, "9": 0.75}, {"7": 1.0, "9": 0.0}]}


def test_a_null_truth_value_is_an_error_that_names_the_column(tmp_path: Path) -> None:
    model = graph([helper.make_node("Not", ["x"], ["y"])], {"x": (BOOL, ["rows", 2])}, {"y": (BOOL, ["rows", 2])})
    folder = save(tmp_path, model, columns({"a": "boolean", "b": "boolean"}))
    batch = pa.record_batch({"a": [True, False], "b": [True, None]})
    spec = spec_of(folder, batch.schema)
    with pytest.raises(InputValueError, match="Column 'b' holds a null"):
        load(spec, folder).predict(batch)


def test_longs_beyond_a_float_round_twice_as_a_frame_of_doubles_does(tmp_path: Path) -> None:
    # Floats stand 2**37 apart there. The number is just above the middle, and as a double it is the middle itself.
    rows = pd.DataFrame({"a": [2**60 + 2**36 + 1], "b": [0.0]})
    folder = save(tmp_path, doubled(), columns({"a": "long", "b": "double"}))
    scored = predict(folder, rows)
    expected = mlflow.pyfunc.load_model(str(folder))._model_impl.predict(rows)["y"].tolist()
    assert scored["y"].to_pylist() == [expected]
    assert expected[0] != 2 * float(np.float32(np.int64(2**60 + 2**36 + 1)))


def test_threads_are_the_tasks_and_do_not_spin(tmp_path: Path) -> None:
    asked = {"intra_op_num_threads": 16, "inter_op_num_threads": 16, "graph_optimization_level": 1}
    folder = save(tmp_path, doubled(), columns({"a": "double", "b": "double"}), onnx_session_options=asked)
    spec = spec_of(folder, pa.schema({"a": pa.float64(), "b": pa.float64()}), threads=2)
    options = load(spec, folder)._session.get_session_options()  # type: ignore[attr-defined]
    assert (options.intra_op_num_threads, options.inter_op_num_threads) == (2, 1)
    assert options.get_session_config_entry("session.intra_op.allow_spinning") == "0"
    assert int(options.graph_optimization_level) == 1


def test_a_model_that_asks_for_another_execution_provider_goes_through_pyfunc(tmp_path: Path) -> None:
    folder = save(tmp_path, doubled(), onnx_execution_providers=["OpenVINOExecutionProvider", "CPUExecutionProvider"])
    choice = choose(read_mlmodel(folder), ScoreOptions(), folder)
    assert choice.backend == "pyfunc"
    assert choice.reason == "it asks for the execution provider 'OpenVINOExecutionProvider'"


def test_a_gpu_that_onnxruntime_does_not_see_is_an_error_that_says_so(tmp_path: Path) -> None:
    folder = save(tmp_path, doubled(), columns({"a": "double", "b": "double"}))
    spec = spec_of(folder, pa.schema({"a": pa.float64(), "b": pa.float64()}), device="cuda:0")
    with pytest.raises(DeviceError, match="onnxruntime does not see the GPU"):
        load(spec, folder)


def test_a_worker_needs_neither_mlflow_nor_pandas_nor_onnx(tmp_path: Path) -> None:
    folder = save(tmp_path, doubled(), columns({"a": "double", "b": "double"}))
    spec = spec_of(folder, pa.schema({"a": pa.float64(), "b": pa.float64()}))
    (tmp_path / "spec").write_bytes(pickle.dumps(spec))
    script = """
import pickle, sys
class Absent:
    def find_spec(name, path=None, target=None):
        if name.partition(".")[0] in ("mlflow", "pandas", "onnx"):
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Absent)
from pathlib import Path
import pyarrow as pa
from spark_infer.models.backends import load
model = load(pickle.loads(Path(sys.argv[1], "spec").read_bytes()), Path(sys.argv[1], "model"))
print(model.predict(pa.record_batch({"a": [1.0], "b": [2.0]}))["y"].tolist())
"""
    done = subprocess.run([sys.executable, "-c", script, tmp_path], capture_output=True, text=True, check=True)
    assert done.stdout == "[[2.0, 4.0]]\n"
