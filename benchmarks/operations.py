"""Count what a network computes and moves for one frame, from its ONNX graph."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import onnx

WEIGHTS_AT = {
    "Conv": 1, "ConvTranspose": 1, "ConvInteger": 1, "QLinearConv": 3, "Gemm": 1, "MatMul": 1
}  # fmt: skip
"""The operations that are counted, and which of their inputs holds the weights."""
REFUSED = ("Einsum", "MatMulInteger", "QLinearMatMul", "LSTM", "GRU", "Loop", "If", "Scan")


@dataclass(frozen=True)
class Operations:
    """Of one run of a network: multiply-adds of its convolutions and matrices, parameters, bytes.

    `bytes` is the input, weights and output of each of them, read or written once, in the type they
    have in the graph: what a machine must move that keeps nothing between two layers.
    """

    multiply_adds: int
    parameters: int
    bytes: int


def count_operations(model: Path) -> Operations:
    """Count them, with the shapes of a run on a black picture: the graph may leave some open.

    Raises:
        ValueError: a side of the input is open, or the graph has an operation that is not counted.
    """
    import onnx

    proto = onnx.load(str(model))
    _give_constants_names(proto.graph)
    nodes = [node for node in proto.graph.node if node.op_type in WEIGHTS_AT]
    if refused := [node.op_type for node in proto.graph.node if node.op_type in REFUSED]:
        raise ValueError(f"{model} has {refused[0]}, which is not counted; use another network.")
    weights = {
        tensor.name: np.asarray(onnx.numpy_helper.to_array(tensor))
        for tensor in proto.graph.initializer
    }
    tensors = weights | _run(proto, _tensors_of(nodes) - weights.keys(), model)
    total = moved = 0
    for node in nodes:
        parts = [tensors[name] for name in _parts(node)]
        total += _multiply_adds(node.op_type, *(part.shape for part in parts))
        moved += sum(part.nbytes for part in parts)
    parameters = sum(array.size for array in weights.values() if array.ndim > 0)
    return Operations(total, parameters, moved)


def _multiply_adds(
    kind: str, source: tuple[int, ...], kernel: tuple[int, ...], target: tuple[int, ...]
) -> int:
    if kind in ("Gemm", "MatMul"):
        # Each of the output's numbers is a sum over the side that both factors share.
        return math.prod(target) * math.prod(source[-2:]) // target[-2]
    # Each weight meets every position of the output, or, transposed, of the input.
    places = source[2:] if kind == "ConvTranspose" else target[2:]
    return math.prod(kernel) * math.prod(places) * target[0]


def _parts(node: onnx.NodeProto) -> tuple[str, str, str]:
    """The names of a node's input, weights and output."""
    return node.input[0], node.input[WEIGHTS_AT[node.op_type]], node.output[0]


def _tensors_of(nodes: list[onnx.NodeProto]) -> set[str]:
    return {name for node in nodes for name in _parts(node)}


def _give_constants_names(graph: onnx.GraphProto) -> None:
    """Make initializers of the weights that some converters leave in Constant nodes."""
    for node in [node for node in graph.node if node.op_type == "Constant"]:
        if node.attribute and node.attribute[0].name == "value":
            tensor = node.attribute[0].t
            tensor.name = node.output[0]
            graph.initializer.append(tensor)
            graph.node.remove(node)


def _run(proto: onnx.ModelProto, names: set[str], model: Path) -> dict[str, npt.NDArray[Any]]:
    """Run the graph once on zeros, and keep these tensors."""
    import onnx
    import onnxruntime

    wanted = sorted(names - {value.name for value in proto.graph.input})
    del proto.graph.output[:]
    proto.graph.output.extend(onnx.ValueInfoProto(name=name) for name in wanted)
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(
        proto.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    fed = {value.name: _zeros(value, model) for value in session.get_inputs()}
    return fed | dict(zip(wanted, session.run(wanted, fed), strict=True)) if wanted else fed


def _zeros(value: Any, model: Path) -> npt.NDArray[Any]:
    batch, *sides = value.shape
    if not all(isinstance(side, int) for side in sides):
        raise ValueError(f"{model} leaves the size of its input open; give it one first.")
    types = {"tensor(float)": np.float32, "tensor(float16)": np.float16, "tensor(uint8)": np.uint8}
    return np.zeros((batch if isinstance(batch, int) else 1, *sides), types[value.type])
