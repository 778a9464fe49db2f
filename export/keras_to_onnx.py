"""Step 4: trace the Keras model into an ONNX graph of fixed shape."""

from __future__ import annotations

from typing import TYPE_CHECKING

from seg_stream.export.folding import drop_identity_reshapes, fold_batch_norm
from seg_stream.export.interface import Interface
from seg_stream.export.upsampling import finish_resizes, with_resize
from seg_stream.pipeline.errors import SegStreamError, UserError

if TYPE_CHECKING:
    import keras
    import onnx
    import tensorflow as tf

OPSET = 17
"""Read by ONNX Runtime 1.20 and TensorRT 10.12, and by all that came after them."""


def keras_to_onnx(model: keras.Model, interface: Interface) -> onnx.ModelProto:
    """Convert a model into a graph that takes plain pixels and gives the person's probability.

    Args:
        model: a Functional model of standard Keras layers.
        interface: how it is fed and read.

    Returns:
        A checked graph with the input `input`, (1, 3, H, W) float32, RGB 0..255, and the output
        `alpha`, (1, 1, H, W) float32, 0..1. Scaling is inside; batch norms are folded into the
        convolutions; each upsampling is one `Resize`.

    Raises:
        UserError: the model uses an operation that ONNX or TensorRT does not have.
        SegStreamError: the graph came out wrong.
    """
    import tensorflow as tf
    import tf2onnx

    traced = with_resize(model)

    def alpha_nchw(input_nchw: tf.Tensor) -> dict[str, tf.Tensor]:
        pixels = tf.transpose(input_nchw, (0, 2, 3, 1))
        if interface.input_range == 1:
            pixels = pixels / 255.0
        output = tf.transpose(traced(pixels, training=False), (0, 3, 1, 2))
        if len(interface.person_channels) == output.shape[1]:
            alpha = output if output.shape[1] == 1 else tf.reduce_mean(output, 1, keepdims=True)
        else:
            (channel,) = interface.person_channels
            alpha = output[:, channel : channel + 1]
        return {"alpha": alpha}

    shape = (1, 3, interface.height, interface.width)
    graph: onnx.ModelProto
    graph, _ = tf2onnx.convert.from_function(
        tf.function(alpha_nchw),
        input_signature=(tf.TensorSpec(shape, tf.float32, name="input"),),
        opset=OPSET,
    )
    _refuse_unknown_operations(graph)
    finish_resizes(graph)
    fold_batch_norm(graph)
    drop_identity_reshapes(graph)
    _check(graph, interface)
    return graph


def _refuse_unknown_operations(graph: onnx.ModelProto) -> None:
    import onnx

    unknown = {n.op_type for n in graph.graph.node if not onnx.defs.has(n.op_type, n.domain)}
    if unknown:
        raise UserError(
            f"The model uses {', '.join(sorted(unknown))}, which ONNX does not have; replace the "
            "layer that needs it."
        )


def _check(graph: onnx.ModelProto, interface: Interface) -> None:
    import onnx

    try:
        onnx.checker.check_model(graph, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise SegStreamError(f"The exported graph is not valid ONNX ({error}).") from error
    found = {
        value.name: (
            value.type.tensor_type.elem_type,
            tuple(dim.dim_value for dim in value.type.tensor_type.shape.dim),
        )
        for value in (*graph.graph.input, *graph.graph.output)
    }
    size = (interface.height, interface.width)
    expected = {
        "input": (onnx.TensorProto.FLOAT, (1, 3, *size)),
        "alpha": (onnx.TensorProto.FLOAT, (1, 1, *size)),
    }
    if found != expected:
        raise SegStreamError(f"The exported graph has {found} where {expected} was expected.")
