from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from spark_infer.errors import ModelRefusedError
from spark_infer.models.backends.graph import check_external, port, read_graph

WEIGHTS = numpy_helper.from_array(np.arange(600, dtype=np.float32).reshape(2, 300), "w")


def branching() -> onnx.ModelProto:
    """A graph with an open, a fixed and a nameless dimension, an output of maps, and weights in a branch."""
    branch = helper.make_graph(
        [helper.make_node("MatMul", ["x", "v"], ["inner"])],
        "branch",
        [],
        [helper.make_tensor_value_info("inner", TensorProto.FLOAT, [None, 300])],
        [numpy_helper.from_array(np.ones((2, 300), np.float32), "v")],
    )
    maps = helper.make_map_type_proto(TensorProto.INT64, helper.make_tensor_type_proto(TensorProto.FLOAT, None))
    graph = helper.make_graph(
        [
            helper.make_node("MatMul", ["x", "w"], ["y"]),
            helper.make_node("If", ["flag"], ["z"], then_branch=branch, else_branch=branch),
            helper.make_node("ZipMap", ["two"], ["m"], domain="ai.onnx.ml", classlabels_int64s=[0, 1]),
        ],
        "made",
        [
            helper.make_tensor_value_info("x", TensorProto.FLOAT, ["rows", 2]),
            helper.make_tensor_value_info("two", TensorProto.FLOAT, [None, 2]),
            helper.make_tensor_value_info("flag", TensorProto.BOOL, []),
            helper.make_tensor_value_info("w", TensorProto.FLOAT, [2, 300]),
        ],
        [
            helper.make_tensor_value_info("y", TensorProto.FLOAT, ["rows", 300]),
            helper.make_tensor_value_info("z", TensorProto.FLOAT, None),
            helper.make_value_info("m", helper.make_sequence_type_proto(maps)),
        ],
        [WEIGHTS],
    )
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 3)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8)


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    """The model in a folder, its weights in the file weights.bin."""
    path = tmp_path / "model.onnx"
    onnx.save_model(branching(), path, save_as_external_data=True, location="weights.bin", convert_attribute=True)
    return path


def test_a_graph_tells_of_itself_what_onnxruntime_tells(saved: Path) -> None:
    session = onnxruntime.InferenceSession(saved)
    graph = read_graph(saved)
    assert graph.inputs == tuple(port(each.name, each.type, each.shape) for each in session.get_inputs())
    assert [(each.name, each.kind) for each in graph.outputs] == [
        (each.name, each.type) for each in session.get_outputs()
    ]
    assert [each.shape for each in graph.inputs] == [(None, 2), (None, 2), ()]
    assert [each.shape for each in graph.outputs] == [(None, 300), None, None]


def test_the_files_of_weights_are_found_in_branches_too(saved: Path, tmp_path: Path) -> None:
    assert read_graph(saved).external == ("weights.bin",)
    # Only the branch keeps weights outside.
    model = onnx.load(saved, load_external_data=False)
    model.graph.ClearField("initializer")
    model.graph.initializer.append(WEIGHTS)
    onnx.save_model(model, tmp_path / "other.onnx")
    assert read_graph(tmp_path / "other.onnx").external == ("weights.bin",)


def test_weights_that_are_missing_are_named(saved: Path, tmp_path: Path) -> None:
    graph = read_graph(saved)
    check_external(graph, saved, tmp_path)
    (tmp_path / "weights.bin").unlink()
    with pytest.raises(ModelRefusedError, match=r"'model.onnx' keeps weights in 'weights.bin', and that file is not"):
        check_external(graph, saved, tmp_path)


@pytest.mark.parametrize("location", ["../weights.bin", "/etc/hostname", "link/weights.bin"])
def test_weights_outside_the_model_folder_are_refused(location: str, tmp_path: Path) -> None:
    (tmp_path / "weights.bin").write_bytes(bytes(2400))
    (tmp_path / "model").mkdir()
    (tmp_path / "model/link").symlink_to(tmp_path)
    model = branching()
    onnx.external_data_helper.set_external_data(model.graph.initializer[0], location)
    path = tmp_path / "model/model.onnx"
    path.write_bytes(model.SerializeToString())
    with pytest.raises(ModelRefusedError, match="outside the model folder"):
        check_external(read_graph(path), path, tmp_path / "model")


def _nested(depth: int) -> bytes:
    # Graph in node in attribute in graph …; each as a field of bytes with its length.
    inner = b""
    for _ in range(depth):
        for number in (6, 5, 1):
            inner = bytes([number << 3 | 2]) + _length(inner) + inner
    return b"\x3a" + _length(inner) + inner


def _length(data: bytes) -> bytes:
    size, out = len(data), b""
    while size > 127:
        size, out = size >> 7, out + bytes([size & 127 | 128])
    return out + bytes([size])


@pytest.mark.parametrize(
    "made",
    [
        lambda whole: b"",
        lambda whole: b"not a model",
        lambda whole: whole[: len(whole) // 2],
        lambda whole: b"\x3a" + b"\xff" * 12,
        lambda whole: _nested(5000),
    ],
    ids=["empty", "text", "cut", "endless number", "nested too deep"],
)
def test_what_is_no_onnx_file_is_refused(made: Callable[[bytes], bytes], tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(made(branching().SerializeToString()))
    with pytest.raises(ModelRefusedError, match=r"'model.onnx' is no ONNX model"):
        read_graph(path)
