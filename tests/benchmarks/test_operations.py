"""Counting a network's operations, against counts done by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from seg_stream.benchmarks.operations import count_operations
from seg_stream.engines.models import DEFAULT, find_model

onnx = pytest.importorskip("onnx", reason="counting needs the extra 'export'")
PEERS = Path(__file__).resolve().parents[3] / "shared" / "peers"
PEER_NAMES = ("selfie_segmentation", "sinet")
needs_peers = pytest.mark.skipif(not PEERS.is_dir(), reason="needs ../shared/peers")
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


def test_matrices_count_the_side_that_is_summed(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("GlobalAveragePool", ["x"], ["a"]),
        helper.make_node("Flatten", ["a"], ["b"]),
        helper.make_node("Gemm", ["b", "w", "c"], ["d"], transB=1),
        helper.make_node("MatMul", ["d", "m"], ["y"]),
    ]
    weights = {"w": (7, 3), "c": (7,), "m": (7, 2)}
    found = count_operations(save(tmp_path / "m.onnx", nodes, weights, [1, 2]))
    assert found.multiply_adds == 3 * 7 + 7 * 2
    assert found.parameters == 21 + 7 + 14
    assert found.bytes == 4 * ((3 + 21 + 7) + (7 + 14 + 2))


def test_shapes_that_only_a_run_knows_are_counted(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Shape", ["x"], ["s"]),
        helper.make_node("Add", ["s", "more"], ["t"]),
        helper.make_node("Resize", ["x", "", "", "t"], ["big"], mode="nearest"),
        helper.make_node("Conv", ["big", "w"], ["y"], pads=[1, 1, 1, 1]),
    ]
    path = save(tmp_path / "m.onnx", nodes, {"w": (5, 3, 3, 3)}, [])
    model = onnx.load(path)
    more = numpy_helper.from_array(np.array([0, 0, 8, 8], np.int64), "more")
    model.graph.initializer.append(more)
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_param = "batch"
    del model.graph.output[0].type.tensor_type.shape.dim[:]
    onnx.save(model, path)
    assert count_operations(path).multiply_adds == 5 * 27 * 16 * 16


@needs_peers
def test_the_peers_are_counted() -> None:
    selfie, sinet = (count_operations(PEERS / f"{name}.onnx") for name in PEER_NAMES)
    assert 50e6 < selfie.multiply_adds < 70e6
    assert 100e6 < sinet.multiply_adds < 150e6
    assert 0.08e6 < sinet.parameters < 0.1e6


def test_what_cannot_be_counted_is_refused(tmp_path: Path) -> None:
    node = helper.make_node("Einsum", ["x", "w"], ["y"], equation="bchw,wk->bchk")
    with pytest.raises(ValueError, match="Einsum"):
        count_operations(save(tmp_path / "m.onnx", [node], {"w": (8, 8)}, [1, 3, 8, 8]))
    node = helper.make_node("Conv", ["x", "w"], ["y"])
    path = save(tmp_path / "open.onnx", [node], {"w": (5, 3, 3, 3)}, [1, 5, 6, 6])
    model = onnx.load(path)
    model.graph.input[0].type.tensor_type.shape.dim[2].dim_param = "height"
    onnx.save(model, path)
    with pytest.raises(ValueError, match="leaves the size of its input open"):
        count_operations(path)
