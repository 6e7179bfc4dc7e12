"""ONNX nodes for an ensemble of trees; the one file that imports onnx.

One `TreeEnsemble` node (https://onnx.ai/onnx/operators/onnx_aionnxml_TreeEnsemble.html) holds all trees and adds up in
doubles, as scikit-learn and LightGBM do; values that a library rounds to float32 are rounded before it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from spark_infer.models.compile.trees.ensemble import Ensemble, Tree

OPSETS = {"": 18, "ai.onnx.ml": 5}
IR_VERSION = 10

_LESS_OR_EQUAL, _LESS = 0, 1
_SUM = 1
_KINDS = {"float64": TensorProto.DOUBLE, "float32": TensorProto.FLOAT}


def empty_model(name: str, width: int, dtype: str) -> ModelProto:
    """Make a model with one input, a matrix, and nothing in it yet."""
    graph = helper.make_graph([], "compiled", [helper.make_tensor_value_info(name, _KINDS[dtype], [None, width])], [])
    opsets = [helper.make_opsetid(domain, version) for domain, version in OPSETS.items()]
    return helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION)


def append_trees(model: ModelProto, ensemble: Ensemble, *, source: str, flat: bool) -> list[str]:
    """Put an ensemble behind a matrix of a model, in place of the model's outputs.

    Args:
        model: What is changed.
        ensemble: The trees.
        source: Name of the matrix.
        flat: Whether an only number for each row is returned without a second dimension.

    Returns:
        Names of the new outputs: what ``predict`` returns, and for a classifier what ``predict_proba`` returns.
    """
    nodes = _Nodes(model)
    sums = _sums(nodes, ensemble, source)
    outputs = {"values": _linked(nodes, ensemble, sums)}
    if ensemble.classes is not None:
        outputs = _labelled(nodes, ensemble, sums, outputs["values"])
    elif flat and len(ensemble.base) == 1:
        outputs = {"values": nodes.add("Reshape", outputs["values"], nodes.constant(np.array([-1])))}
    return nodes.returned(outputs, ensemble)


def keep_outputs(model: ModelProto, names: Sequence[str]) -> bytes:
    """Return a model as bytes, with these of its outputs alone; what leads to others is never run."""
    kept = [each for each in model.graph.output if each.name in names]
    del model.graph.output[:]
    model.graph.output.extend(kept)
    content: bytes = model.SerializeToString()
    return content


class _Nodes:
    """The end of a graph that grows, node by node."""

    def __init__(self, model: ModelProto) -> None:
        self._model = model
        self._count = 0
        domains = {each.domain: each for each in model.opset_import}
        for domain, version in OPSETS.items():
            if domain not in domains:
                model.opset_import.append(helper.make_opsetid(domain, version))
            elif domains[domain].version < version:
                domains[domain].version = version
        model.ir_version = IR_VERSION

    def add(self, kind: str, *inputs: str, domain: str = "", **attributes: Any) -> str:
        """Add a node with one output and return the output's name."""
        self._count += 1
        name = f"trees_{self._count}"
        node: NodeProto = helper.make_node(kind, list(inputs), [name], name=name, domain=domain, **attributes)
        self._model.graph.node.append(node)
        return name

    def constant(self, values: npt.NDArray[Any]) -> str:
        """Add a constant and return its name."""
        self._count += 1
        name = f"trees_{self._count}"
        self._model.graph.initializer.append(numpy_helper.from_array(np.asarray(values), name))
        return name

    def returned(self, outputs: dict[str, str], ensemble: Ensemble) -> list[str]:
        """Make the only outputs of the graph."""
        del self._model.graph.output[:]
        for name, source in outputs.items():
            self._model.graph.node.append(helper.make_node("Identity", [source], [name], name=name))
            kind = TensorProto.DOUBLE
            if name == "label":
                assert ensemble.classes is not None
                kind = helper.np_dtype_to_tensor_dtype(_plain(ensemble.classes).dtype)
            self._model.graph.output.append(helper.make_tensor_value_info(name, kind, None))
        return list(outputs)


def _sums(nodes: _Nodes, ensemble: Ensemble, source: str) -> str:
    if ensemble.single:
        source = nodes.add("Cast", source, to=TensorProto.FLOAT)
    sums = nodes.add(
        "TreeEnsemble",
        nodes.add("Cast", source, to=TensorProto.DOUBLE),
        domain="ai.onnx.ml",
        n_targets=len(ensemble.base),
        aggregate_function=_SUM,
        post_transform=0,
        **_attributes(ensemble),
    )
    if ensemble.divisor != 1.0:
        sums = nodes.add("Div", sums, nodes.constant(np.array([ensemble.divisor])))
    if ensemble.base.any():
        sums = nodes.add("Add", sums, nodes.constant(ensemble.base))
    return sums


def _linked(nodes: _Nodes, ensemble: Ensemble, sums: str) -> str:
    match ensemble.link:
        case "sigmoid":
            scaled = sums if ensemble.scale == 1.0 else nodes.add("Mul", sums, nodes.constant(np.array(ensemble.scale)))
            return nodes.add("Sigmoid", scaled)
        case "softmax":
            return nodes.add("Softmax", sums, axis=1)
        case "exp":
            return nodes.add("Exp", sums)
        case "signed_square":
            return nodes.add("Mul", sums, nodes.add("Abs", sums))
        case "argmax":
            return nodes.add("Cast", nodes.add("ArgMax", sums, axis=1, keepdims=0), to=TensorProto.DOUBLE)
        case _:
            return sums


def _labelled(nodes: _Nodes, ensemble: Ensemble, sums: str, scores: str) -> dict[str, str]:
    assert ensemble.classes is not None
    if len(ensemble.base) == 1:
        above = scores if ensemble.above == "half" else sums
        limit = nodes.constant(np.array(0.5 if ensemble.above == "half" else 0.0))
        kind = "GreaterOrEqual" if ensemble.above == "zero_or_more" else "Greater"
        second = nodes.add("Reshape", nodes.add(kind, above, limit), nodes.constant(np.array([-1])))
        index = nodes.add("Cast", second, to=TensorProto.INT64)
        first = nodes.add("Sub", nodes.constant(np.array(1.0)), scores)
        scores = nodes.add("Concat", first, scores, axis=1)
    else:
        index = nodes.add("ArgMax", scores, axis=1, keepdims=0)
    label = nodes.add("Gather", nodes.constant(_plain(ensemble.classes)), index)
    return {"label": label, "probabilities": scores}


def _plain(classes: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Labels in a type that ONNX has: text stays objects, small integers become long."""
    if classes.dtype.kind in "OU":
        return classes.astype(object)
    return classes.astype(np.int64) if classes.dtype.kind in "iu" else classes


def _attributes(ensemble: Ensemble) -> dict[str, Any]:
    """Lay the trees out as the operator wants them: inner nodes and leaves apart, each leaf with one value."""
    parts = [part for tree in ensemble.trees for part in _by_value(tree)]
    inner = np.cumsum([0, *(max(1, int((tree.left >= 0).sum())) for tree in parts)])
    leaves = np.cumsum([0, *(int((tree.left < 0).sum()) for tree in parts)])
    laid = [_laid(tree, *start) for tree, *start in zip(parts, inner[:-1], leaves[:-1], strict=True)]
    columns = {name: np.concatenate([each[name] for each in laid]) for name in laid[0]}
    mode = _LESS if ensemble.strict else _LESS_OR_EQUAL
    modes = np.full(len(columns["nodes_featureids"]), mode, np.uint8)
    splits, weights = columns.pop("nodes_splits"), columns.pop("leaf_weights")
    return {
        **{name: values.astype(np.int64).tolist() for name, values in columns.items()},
        "nodes_modes": numpy_helper.from_array(modes),
        "nodes_splits": numpy_helper.from_array(splits),
        "leaf_weights": numpy_helper.from_array(weights),
        "tree_roots": inner[:-1].tolist(),
    }


def _by_value(tree: Tree) -> list[Tree]:
    """Split a tree whose leaves hold several values into one for each value."""
    return [
        replace(tree, value=tree.value[:, [index]], target=tree.target + index) for index in range(tree.value.shape[1])
    ]


def _laid(tree: Tree, first_node: int, first_leaf: int) -> dict[str, npt.NDArray[Any]]:
    leaf = tree.left < 0
    inner = ~leaf
    if not inner.any():  # one leaf alone: a node whose both ways lead to it
        left, right = np.zeros(1, np.int64), np.zeros(1, np.int64)
        inner = np.ones(1, bool)
        place = np.array([first_leaf])
    else:
        place = np.where(leaf, np.cumsum(leaf) - 1 + first_leaf, np.cumsum(inner) - 1 + first_node)
        left, right = tree.left[inner], tree.right[inner]
    return {
        "nodes_featureids": tree.feature[inner],
        "nodes_splits": tree.threshold[inner],
        "nodes_missing_value_tracks_true": tree.nan_left[inner],
        "nodes_truenodeids": place[left],
        "nodes_falsenodeids": place[right],
        "nodes_trueleafs": leaf[left],
        "nodes_falseleafs": leaf[right],
        "leaf_weights": tree.value[leaf, 0],
        "leaf_targetids": np.full(int(leaf.sum()), tree.target),
    }
