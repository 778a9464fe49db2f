"""Counting a network's operations, against counts done by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from seg_stream.benchmarks.operations import count_operations
from seg_stream.engines.models import DEFAULT, find_model

onnx = pytest.importorskip("onnx", reason="counting needs the extra 'export'")
helper, numpy_helper, FLOAT = onnx.helper, onnx.numpy_helper, onnx.TensorProto.FLOAT


def save(
    path: Path, nodes: list[object], weights: dict[str, tuple[int, ...]], out: list[int]
) -> Path:
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", FLOAT, [1, 3, 8, 8])],
        [helper.make_tensor_value_info("y", FLOAT, out)],
        [numpy_helper.from_array(np.zeros(s, np.float32), n) for n, s in weights.items()],
    )
    opset = [helper.make_opsetid("", 17)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=8), path)
    return path


def test_a_convolution_and_a_depthwise_one(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["a"], strides=[2, 2], pads=[1, 1, 1, 1]),
        helper.make_node("Conv", ["a", "d", "b"], ["y"], group=16, pads=[1, 1, 1, 1]),
    ]
    weights = {"w": (16, 3, 3, 3), "d": (16, 1, 3, 3), "b": (16,)}
    found = count_operations(save(tmp_path / "m.onnx", nodes, weights, [1, 16, 4, 4]))
    assert found.multiply_adds == 16 * 3 * 9 * 16 + 16 * 9 * 16
    assert found.parameters == 16 * 27 + 16 * 9 + 16
    assert found.bytes == 4 * ((192 + 432 + 256) + (256 + 144 + 256))


def test_a_transposed_convolution_counts_its_input(tmp_path: Path) -> None:
    node = helper.make_node("ConvTranspose", ["x", "w"], ["y"], strides=[2, 2], pads=[1, 1, 1, 1])
    found = count_operations(save(tmp_path / "m.onnx", [node], {"w": (3, 5, 4, 4)}, [1, 5, 16, 16]))
    assert found.multiply_adds == 3 * 5 * 16 * 64


def test_the_shipped_model_is_counted_and_small() -> None:
    found = count_operations(find_model(DEFAULT))
    assert 50e6 < found.multiply_adds < 400e6
    assert 0.5e6 < found.parameters < 2e6


def test_what_is_not_counted_is_refused(tmp_path: Path) -> None:
    node = helper.make_node("MatMul", ["x", "w"], ["y"])
    with pytest.raises(ValueError, match="MatMul"):
        count_operations(save(tmp_path / "m.onnx", [node], {"w": (8, 8)}, [1, 3, 8, 8]))
