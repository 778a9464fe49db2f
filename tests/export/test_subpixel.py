"""A transposed convolution into few channels, as a convolution and a spreading of its pixels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnxruntime
import pytest

from seg_stream.export.subpixel import spread_last

if TYPE_CHECKING:
    import onnx
else:
    onnx = pytest.importorskip("onnx", reason="needs the export extra (onnx)")

helper = onnx.helper
RNG = np.random.default_rng(4)
DOUBLING: dict[str, Any] = {"kernel_shape": [4, 4], "strides": [2, 2], "pads": [1] * 4}


def graph_of(channels: int = 1, bias: bool = True, side: int = 4, **attributes: Any) -> Any:
    """A transposed convolution of `x` (1, 6, 5, 7), and a sigmoid."""
    weight = RNG.normal(size=(6, channels, side, side)).astype(np.float32)
    constants = {"w": weight, "b": RNG.normal(size=channels).astype(np.float32)}
    inputs = ["x", "w", "b"] if bias else ["x", "w"]
    nodes = [
        helper.make_node("ConvTranspose", inputs, ["logits"], "last", **attributes),
        helper.make_node("Sigmoid", ["logits"], ["y"], "sigmoid"),
    ]
    graph = helper.make_graph(
        nodes,
        "test",
        [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, (1, 6, 5, 7))],
        [helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, None)],
        [onnx.numpy_helper.from_array(constants[name], name) for name in inputs[1:]],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def run(model: onnx.ModelProto) -> Any:
    session = onnxruntime.InferenceSession(model.SerializeToString())
    x = np.linspace(-1, 1, 6 * 35, dtype=np.float32).reshape(1, 6, 5, 7)
    return session.run(None, {"x": x})[0]


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("bias", [False, True])
def test_it_gives_the_same_sums(channels: int, bias: bool) -> None:
    model = graph_of(channels, bias, **DOUBLING, dilations=[1, 1], group=1)
    before = run(model)
    spread_last(model)
    onnx.checker.check_model(onnx.shape_inference.infer_shapes(model, strict_mode=True))
    assert [node.op_type for node in model.graph.node] == ["Conv", "DepthToSpace", "Sigmoid"]
    assert before.shape == (1, channels, 10, 14)
    np.testing.assert_allclose(run(model), before, atol=1e-6)


@pytest.mark.parametrize(
    "changed",
    [
        {"channels": 3},
        {"side": 2, "kernel_shape": [2, 2], "pads": [0] * 4},
        {"pads": [0, 0, 2, 2]},
        {"strides": [1, 1]},
        {"output_padding": [1, 1]},
        {"output_shape": [10, 14]},
    ],
)
def test_any_other_stays(changed: Any) -> None:
    model = graph_of(**DOUBLING | changed)
    before = model.SerializeToString()
    spread_last(model)
    assert model.SerializeToString() == before


def test_a_graph_of_an_old_opset_stays_a_valid_one() -> None:
    model = graph_of(1, True, **DOUBLING)
    model.opset_import[0].version = 9
    before = run(model)
    spread_last(model)
    onnx.checker.check_model(onnx.shape_inference.infer_shapes(model))
    np.testing.assert_allclose(run(model), before, atol=1e-6)
