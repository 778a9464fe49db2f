"""Count what a network computes and moves for one frame, from its ONNX graph."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import onnx

CONVOLUTIONS = ("Conv", "ConvTranspose")


@dataclass(frozen=True)
class Operations:
    """Of one run of a network: multiply-adds of its convolutions, parameters, and bytes.

    `bytes` is each convolution's input, weights and output, read or written once, in float32: what
    a machine must move that keeps nothing between two layers.
    """

    multiply_adds: int
    parameters: int
    bytes: int


def count_operations(model: Path) -> Operations:
    """Count them.

    Raises:
        ValueError: a shape in the graph is open, or it multiplies matrices in another way.
    """
    import onnx

    graph = onnx.shape_inference.infer_shapes(onnx.load(str(model)), strict_mode=True).graph
    shapes = {value.name: _shape(value) for value in _values(graph)}
    weights = {tensor.name: tuple(tensor.dims) for tensor in graph.initializer}
    total = moved = 0
    for node in graph.node:
        if node.op_type in ("Gemm", "MatMul", "Einsum"):
            raise ValueError(f"{model} has a {node.op_type}, which is not counted")
        if node.op_type not in CONVOLUTIONS:
            continue
        kernel = weights.get(node.input[1]) or shapes[node.input[1]]
        source, target = shapes[node.input[0]], shapes[node.output[0]]
        # Each weight meets every position of the output, or, transposed, of the input.
        places = target[2:] if node.op_type == "Conv" else source[2:]
        total += math.prod(kernel) * math.prod(places) * target[0]
        moved += 4 * (math.prod(source) + math.prod(kernel) + math.prod(target))
    parameters = sum(math.prod(shape) for shape in weights.values() if len(shape) > 0)
    return Operations(total, parameters, moved)


def _values(graph: onnx.GraphProto) -> Iterable[onnx.ValueInfoProto]:
    return (*graph.input, *graph.value_info, *graph.output)


def _shape(value: onnx.ValueInfoProto) -> tuple[int, ...]:
    dims = value.type.tensor_type.shape.dim
    if any(not dim.HasField("dim_value") for dim in dims):
        raise ValueError(f"the shape of {value.name} is open")
    return tuple(dim.dim_value for dim in dims)
