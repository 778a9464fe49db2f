"""A transposed convolution into one or two channels, as a convolution whose pixels are then spread.

TensorRT-RTX pads the few channels of a map to eight, here at the full size and in FP32, and turns
all of them before it takes the one that is wanted. A convolution of 3x3 gives the same sums for the
four pixels of each square as channels, at half the size; `DepthToSpace` puts them in their places
together with what comes after.

Source: W. Shi et al., "Real-Time Single Image and Video Super-Resolution Using an Efficient
Sub-Pixel Convolutional Neural Network", CVPR 2016; "Is the deconvolution layer the same as a
convolutional layer?", arXiv:1609.07009.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from seg_stream.pipeline.types import FloatImage

if TYPE_CHECKING:
    import onnx

MOST_CHANNELS = 2
"""With more, their squares no longer fit into the eight channels that are there anyway."""

_DOUBLING = {"kernel_shape": [4, 4], "strides": [2, 2], "pads": [1] * 4}
_DEFAULTS = {"dilations": [1, 1], "group": 1, "output_padding": [0, 0], "auto_pad": b"NOTSET"}


def spread_last(model: onnx.ModelProto) -> None:
    """Replace each transposed convolution that doubles the size into few channels, in place."""
    import onnx

    graph = model.graph
    weights = {tensor.name: tensor for tensor in graph.initializer}
    for node in list(graph.node):
        if node.op_type != "ConvTranspose" or not all(n in weights for n in node.input[1:]):
            continue
        weight, *bias = (onnx.numpy_helper.to_array(weights[name]) for name in node.input[1:])
        if weight.dtype != np.float32 or weight.shape[1] > MOST_CHANNELS or not _doubles(node):
            continue
        name = node.name or node.output[0]
        names = [f"{name}_subpixel_weight", f"{name}_subpixel_bias"][: 1 + len(bias)]
        values = [subpixel(weight), *(np.tile(each, 4) for each in bias)]
        for each, value in zip(names, values, strict=True):
            graph.initializer.append(onnx.numpy_helper.from_array(value, each))
        squares = f"{node.output[0]}_squares"
        spread = onnx.helper.make_node(
            "DepthToSpace", [squares], [node.output[0]], f"{name}_spread", blocksize=2
        )
        conv = onnx.helper.make_node(
            "Conv", [node.input[0], *names], [squares], name, kernel_shape=[3, 3], pads=[1] * 4
        )
        at = list(graph.node).index(node)
        graph.node.remove(node)
        graph.node.insert(at, conv)
        graph.node.insert(at + 1, spread)


def subpixel(weight: FloatImage) -> FloatImage:
    """The convolution's weights, (4 * out, in, 3, 3), of a transposed one's, (in, out, 4, 4).

    Of pixel (2 * i + a) a transposed convolution of stride 2 and padding 1 takes input i + t - 1
    times weight a + 3 - 2 * t, for t of 0, 1, 2.
    """
    inputs, outputs = weight.shape[:2]
    made = np.zeros((2, 2, outputs, inputs, 3, 3), np.float32)
    taps = [(a, t, a + 3 - 2 * t) for a in (0, 1) for t in (0, 1, 2) if 0 <= a + 3 - 2 * t < 4]
    for a, s, row in taps:
        for b, t, column in taps:
            made[a, b, :, :, s, t] = weight[:, :, row, column].T
    return made.reshape(4 * outputs, inputs, 3, 3)


def _doubles(node: onnx.NodeProto) -> bool:
    import onnx

    given = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
    if "output_shape" in given or any(given.get(k) != v for k, v in _DOUBLING.items()):
        return False
    return all(given.get(name, value) == value for name, value in _DEFAULTS.items())
