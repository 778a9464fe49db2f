"""Step 5: fold what batch norms leave behind into the convolutions, in the ONNX graph.

tf2onnx folds a batch norm after a plain convolution; after a depthwise or a transposed one a `Mul`
and an `Add` by one constant per channel are left.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from seg_stream.pipeline.types import FloatImage

if TYPE_CHECKING:
    import onnx


def fold_batch_norm(model: onnx.ModelProto) -> None:
    """Fold each constant `Mul` and `Add` per channel into the convolution before it, in place."""
    import onnx

    graph = model.graph
    constants = {tensor.name: tensor for tensor in graph.initializer}
    convolutions = [n for n in graph.node if n.op_type in ("Conv", "ConvTranspose")]
    for number, conv in enumerate(convolutions):
        weight = onnx.numpy_helper.to_array(constants[conv.input[1]])
        channel_axis = 0 if conv.op_type == "Conv" else 1
        channels = weight.shape[channel_axis]
        if len(conv.input) == 3:
            bias = onnx.numpy_helper.to_array(constants[conv.input[2]])
        else:
            bias = np.zeros(channels, np.float32)
        if conv.op_type == "ConvTranspose" and _groups(conv) != 1:
            continue
        folded = False
        while (node := _only_user(graph, conv.output[0])) is not None:
            constant = _per_channel(node, conv.output[0], constants, channels)
            if constant is None:
                break
            if node.op_type == "Mul":
                per_filter = [1] * weight.ndim
                per_filter[channel_axis] = channels
                weight = weight * constant.reshape(per_filter)
                bias = bias * constant
            else:
                bias = bias + constant
            conv.output[0] = node.output[0]
            graph.node.remove(node)
            folded = True
        if folded:
            names = (f"folded_weight_{number}", f"folded_bias_{number}")
            graph.initializer.append(onnx.numpy_helper.from_array(weight, names[0]))
            graph.initializer.append(onnx.numpy_helper.from_array(bias, names[1]))
            conv.input[1:] = names
    _drop_unused_constants(graph)


def drop_identity_reshapes(model: onnx.ModelProto) -> None:
    """Remove each `Reshape` that keeps the shape of what it is given, in place."""
    import onnx

    graph = onnx.shape_inference.infer_shapes(model).graph
    shapes = {
        value.name: [dim.dim_value for dim in value.type.tensor_type.shape.dim]
        for value in (*graph.input, *graph.value_info, *graph.output)
    }
    producers = {name: node for node in model.graph.node for name in node.output}
    for node in [n for n in model.graph.node if n.op_type == "Reshape"]:
        source, target = node.input[0], node.output[0]
        if shapes.get(source) != shapes.get(target) or source not in producers:
            continue
        if _only_user(model.graph, source) is None:
            continue
        outputs = producers[source].output
        outputs[list(outputs).index(source)] = target
        producers[target] = producers[source]
        model.graph.node.remove(node)
    _drop_unused_constants(model.graph)


def _only_user(graph: onnx.GraphProto, name: str) -> onnx.NodeProto | None:
    """The node that alone reads a value, or None when several do or it leaves the graph."""
    users = [node for node in graph.node if name in node.input]
    leaves = any(output.name == name for output in graph.output)
    return users[0] if len(users) == 1 and not leaves else None


def _per_channel(
    node: onnx.NodeProto, name: str, constants: dict[str, onnx.TensorProto], channels: int
) -> FloatImage | None:
    """The constant, (channels,) float32, that a `Mul` or `Add` joins with a convolution's output.

    None when the node is of another kind, or its constant is not one number per channel.
    """
    import onnx

    if node.op_type not in ("Mul", "Add"):
        return None
    others = [constants[other] for other in node.input if other != name and other in constants]
    if len(others) != 1:
        return None
    value = onnx.numpy_helper.to_array(others[0])
    if value.size != 1 and (value.size != channels or value.shape[-3:] != (channels, 1, 1)):
        return None
    return np.broadcast_to(value.reshape(-1), (channels,)).astype(np.float32)


def _groups(conv: onnx.NodeProto) -> int:
    return next((attribute.i for attribute in conv.attribute if attribute.name == "group"), 1)


def _drop_unused_constants(graph: onnx.GraphProto) -> None:
    used = {name for node in graph.node for name in node.input}
    for tensor in [tensor for tensor in graph.initializer if tensor.name not in used]:
        graph.initializer.remove(tensor)
