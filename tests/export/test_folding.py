"""Batch norms fold into convolutions, and only where that is the same function."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnxruntime
import pytest

from seg_stream.export.folding import drop_identity_reshapes, fold_batch_norm
from seg_stream.pipeline.types import FloatImage

if TYPE_CHECKING:
    import onnx
    from onnx import helper, numpy_helper
else:
    onnx = pytest.importorskip("onnx", reason="needs the export extra (onnx)")
    helper, numpy_helper = onnx.helper, onnx.numpy_helper

RNG = np.random.default_rng(3)


def graph_of(nodes: list[onnx.NodeProto], constants: dict[str, FloatImage]) -> onnx.ModelProto:
    """A graph from `x` (1, 4, 6, 6) to `y`."""
    graph = helper.make_graph(
        nodes,
        "test",
        [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, (1, 4, 6, 6))],
        [helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, None)],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    opset = [helper.make_opsetid("", 17)]
    return helper.make_model(graph, opset_imports=opset, ir_version=8)


def run(model: onnx.ModelProto) -> FloatImage:
    session = onnxruntime.InferenceSession(model.SerializeToString())
    x = np.linspace(-1, 1, 4 * 36, dtype=np.float32).reshape(1, 4, 6, 6)
    return np.asarray(session.run(None, {"x": x})[0])


def random(*shape: int) -> FloatImage:
    return RNG.normal(size=shape).astype(np.float32)


@pytest.mark.parametrize(
    ("op_type", "weight_shape", "groups"),
    [("Conv", (5, 4, 3, 3), 1), ("Conv", (4, 1, 3, 3), 4), ("ConvTranspose", (4, 5, 2, 2), 1)],
)
@pytest.mark.parametrize("bias", [False, True])
def test_mul_and_add_fold_into_the_convolution(
    op_type: str, weight_shape: tuple[int, ...], groups: int, bias: bool
) -> None:
    channels = weight_shape[0 if op_type == "Conv" else 1]
    constants = {
        "w": random(*weight_shape),
        "b": random(channels),
        "scale": random(1, channels, 1, 1),
        "shift": random(1, channels, 1, 1),
    }
    inputs = ["x", "w", "b"] if bias else ["x", "w"]
    model = graph_of(
        [
            helper.make_node(op_type, inputs, ["c"], group=groups),
            helper.make_node("Mul", ["c", "scale"], ["m"]),
            helper.make_node("Add", ["shift", "m"], ["y"]),
        ],
        constants,
    )
    before = run(model)
    fold_batch_norm(model)
    assert [node.op_type for node in model.graph.node] == [op_type]
    assert len(model.graph.initializer) == 2
    np.testing.assert_allclose(run(model), before, atol=1e-5)


def test_weights_that_two_convolutions_share_stay_right() -> None:
    model = graph_of(
        [
            helper.make_node("Conv", ["x", "w"], ["c"]),
            helper.make_node("Mul", ["c", "scale"], ["m"]),
            helper.make_node("Conv", ["m", "w"], ["y"]),
        ],
        {"w": random(4, 4, 1, 1), "scale": random(1, 4, 1, 1)},
    )
    before = run(model)
    fold_batch_norm(model)
    assert [node.op_type for node in model.graph.node] == ["Conv", "Conv"]
    np.testing.assert_allclose(run(model), before, atol=1e-5)


def test_a_convolution_that_something_else_reads_stays() -> None:
    model = graph_of(
        [
            helper.make_node("Conv", ["x", "w"], ["c"]),
            helper.make_node("Mul", ["c", "scale"], ["m"]),
            helper.make_node("Add", ["m", "c"], ["y"]),
        ],
        {"w": random(4, 4, 1, 1), "scale": random(1, 4, 1, 1)},
    )
    before = run(model)
    fold_batch_norm(model)
    assert len(model.graph.node) == 3
    np.testing.assert_array_equal(run(model), before)


@pytest.mark.parametrize("shape", [(1, 1, 6, 6), (1, 1, 1, 6), (1, 4, 6, 6), (2, 4, 1, 1)])
def test_a_constant_that_is_not_one_number_per_channel_stays(shape: tuple[int, ...]) -> None:
    model = graph_of(
        [
            helper.make_node("Conv", ["x", "w"], ["c"]),
            helper.make_node("Mul", ["c", "scale"], ["y"]),
        ],
        {"w": random(4, 4, 1, 1), "scale": random(*shape)},
    )
    before = run(model)
    fold_batch_norm(model)
    assert len(model.graph.node) == 2
    np.testing.assert_array_equal(run(model), before)


@pytest.mark.parametrize(("shape", "left"), [((1, 4, 6, 6), 1), ((1, 4, 36, 1), 2)])
def test_only_a_reshape_that_keeps_the_shape_goes(shape: tuple[int, ...], left: int) -> None:
    model = graph_of(
        [
            helper.make_node("Relu", ["x"], ["r"]),
            helper.make_node("Reshape", ["r", "shape"], ["y"]),
        ],
        {},
    )
    model.graph.initializer.append(numpy_helper.from_array(np.array(shape, np.int64), "shape"))
    before = run(model)
    drop_identity_reshapes(model)
    assert len(model.graph.node) == left
    np.testing.assert_array_equal(run(model), before)
