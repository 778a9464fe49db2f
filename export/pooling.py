"""A 2x2 max pooling of a skip connection, so that TensorRT-RTX need not copy what is pooled.

A convolution there writes a skip connection straight into its part of the concatenation. The
library's own pooling cannot read a tensor whose pixels lie apart, so each is copied for it once
more. The kernels that TensorRT-RTX writes itself can: it gives one to minus the minimum of four
strided slices of minus the tensor, which is the same number exactly. (Of the maximum of the slices
it makes one too, but then writes the concatenation anew.)
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import onnx

_WHOLE = {"kernel_shape": [2, 2], "strides": [2, 2], "pads": [0] * 4, "dilations": [1, 1]}


def pool_in_place(model: onnx.ModelProto) -> None:
    """Replace each 2x2 max pooling of a tensor that is concatenated too, in place.

    Others stay: nothing is copied for them. So do those of odd sizes. No number changes, so what
    was found out about the graph before still holds.
    """
    import onnx

    # Before opset 10 a slice has no steps.
    if any(each.domain in ("", "ai.onnx") and each.version < 10 for each in model.opset_import):
        return

    graph = model.graph
    typed = onnx.shape_inference.infer_shapes(model).graph
    shapes = {
        value.name: [dim.dim_value for dim in value.type.tensor_type.shape.dim]
        for value in (*typed.input, *typed.value_info)
    }
    concatenated = {name for node in graph.node if node.op_type == "Concat" for name in node.input}
    nodes, replaced = list[onnx.NodeProto](), False
    for node in graph.node:
        shape = shapes.get(node.input[0], []) if node.input else []
        halves = len(shape) == 4 and all(side and not side % 2 for side in shape[2:])
        if node.op_type == "MaxPool" and node.input[0] in concatenated and halves and _whole(node):
            nodes.extend(_slices(node))
            replaced = True
        else:
            nodes.append(node)
    if not replaced:
        return
    copies = [onnx.NodeProto.FromString(node.SerializeToString()) for node in nodes]
    del graph.node[:]
    graph.node.extend(copies)
    for name, values in _constants().items():
        graph.initializer.append(onnx.numpy_helper.from_array(np.array(values, np.int64), name))


def _whole(pooling: onnx.NodeProto) -> bool:
    """Whether it takes each square of 2x2 once and gives nothing but their maxima."""
    import onnx

    if len(pooling.output) != 1 or any(a.name == "auto_pad" for a in pooling.attribute):
        return False
    given = {a.name: onnx.helper.get_attribute_value(a) for a in pooling.attribute}
    default = {"strides": [1, 1], "pads": [0] * 4, "dilations": [1, 1]}
    return all(
        list(given.get(name, default.get(name, []))) == want for name, want in _WHOLE.items()
    )


def _constants() -> dict[str, list[int]]:
    corners = {f"pool_from_{y}_{x}": [y, x] for y in (0, 1) for x in (0, 1)}
    end = np.iinfo(np.int32).max
    return {**corners, "pool_to": [end, end], "pool_axes": [2, 3], "pool_steps": [2, 2]}


def _slices(pooling: onnx.NodeProto) -> list[onnx.NodeProto]:
    import onnx

    def node(kind: str, inputs: list[str], output: str) -> onnx.NodeProto:
        return onnx.helper.make_node(kind, inputs, [output], f"{name}_{kind}_{output[-3:]}")

    name = pooling.name or pooling.output[0]
    source, target = pooling.input[0], pooling.output[0]
    minus, least = f"{target}_minus", f"{target}_least"
    corners = [start for start in _constants() if start.startswith("pool_from")]
    parts = [f"{target}_{start[-3:]}" for start in corners]
    return [
        node("Neg", [source], minus),
        *(
            node("Slice", [minus, start, "pool_to", "pool_axes", "pool_steps"], part)
            for start, part in zip(corners, parts, strict=True)
        ),
        node("Min", parts, least),
        node("Neg", [least], target),
    ]
