"""A pooling beside a concatenation becomes slices, and gives the same numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnxruntime
import pytest

from seg_stream.export.pooling import pool_in_place

if TYPE_CHECKING:
    import onnx
else:
    onnx = pytest.importorskip("onnx", reason="needs the export extra (onnx)")

helper = onnx.helper
SQUARE: dict[str, Any] = {"kernel_shape": [2, 2], "strides": [2, 2]}


def graph_of(side: int = 8, outputs: int = 1, join: bool = True, **pooling: Any) -> Any:
    """A pooling of `x` (1, 4, side, side), and a concatenation of `x` with itself."""
    values = ["pooled", "indices"][:outputs]
    nodes = [helper.make_node("MaxPool", ["x"], values, "pool", **pooling)]
    if join:
        nodes.append(helper.make_node("Concat", ["x", "x"], ["both"], "join", axis=1))
    names = [("pooled", onnx.TensorProto.FLOAT)] + [("both", onnx.TensorProto.FLOAT)] * join
    graph = helper.make_graph(
        nodes,
        "test",
        [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, (1, 4, side, side))],
        [helper.make_tensor_value_info(name, kind, None) for name, kind in names],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def run(model: onnx.ModelProto, x: Any) -> list[Any]:
    session = onnxruntime.InferenceSession(model.SerializeToString())
    return list(session.run(None, {"x": x}))


@pytest.mark.parametrize("more", [{}, {"pads": [0, 0, 0, 0], "dilations": [1, 1], "ceil_mode": 1}])
def test_slices_give_the_same_numbers(more: Any) -> None:
    model = graph_of(**SQUARE, **more)
    x = np.random.default_rng(5).normal(size=(1, 4, 8, 8)).astype(np.float32)
    before = run(model, x)
    pool_in_place(model)
    onnx.checker.check_model(onnx.shape_inference.infer_shapes(model, strict_mode=True))
    kinds = [node.op_type for node in model.graph.node]
    assert kinds == ["Neg", *["Slice"] * 4, "Min", "Neg", "Concat"]
    assert len({node.name for node in model.graph.node}) == len(kinds)
    for one, other in zip(run(model, x), before, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(
    "pooling",
    [
        {**SQUARE, "join": False},
        {**SQUARE, "side": 7},
        {**SQUARE, "outputs": 2},
        {**SQUARE, "pads": [1, 1, 1, 1]},
        {**SQUARE, "kernel_shape": [3, 3]},
        {**SQUARE, "auto_pad": "SAME_UPPER"},
        {"kernel_shape": [2, 2]},
    ],
)
def test_any_other_pooling_stays(pooling: Any) -> None:
    model = graph_of(**pooling)
    before = model.SerializeToString()
    pool_in_place(model)
    assert model.SerializeToString() == before


def test_a_graph_from_before_slices_had_steps_is_left_alone() -> None:
    model = graph_of(**SQUARE)
    model.opset_import[0].version = 9
    before = model.SerializeToString()
    pool_in_place(model)
    assert model.SerializeToString() == before
