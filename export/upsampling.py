"""Step 3: make every nearest upsampling one ONNX `Resize`.

Keras runs `UpSampling2D` as two repetitions, which become Unsqueeze, Tile and Reshape between
Transposes. TensorFlow's `ResizeNearestNeighbor` with neither aligned corners nor half-pixel
centres copies the same pixels for whole factors, and tf2onnx turns it into one `Resize` of mode
nearest, asymmetric, floor: the form that is exact and that TensorRT reads.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from seg_stream.pipeline.errors import UserError

if TYPE_CHECKING:
    import keras
    import onnx
    import tensorflow as tf


EXACT = 1024
"""Multiples of one part in so many are exact as float32, and so are sizes times them."""


def with_resize(model: keras.Model) -> keras.Model:
    """Return the model with its nearest upsamplings replaced; all other layers are shared.

    `UpSampling2D` of another interpolation already is one `Resize` and stays.
    """
    import keras

    return keras.models.clone_model(model, clone_function=_resizing_layer, recursive=True)


def finish_resizes(model: onnx.ModelProto) -> None:
    """Make each `Resize` one that TensorRT reads without a word, in place.

    tf2onnx gives each an empty region of interest, which none of these modes uses: it goes.

    Raises:
        UserError: a nearest `Resize` is of TensorFlow's half-pixel kind, which TensorRT refuses.
    """
    for node in [node for node in model.graph.node if node.op_type == "Resize"]:
        node.input[1] = ""
        if any(attribute.s == b"tf_half_pixel_for_nn" for attribute in node.attribute):
            raise UserError(
                "The model resizes with nearest half-pixel interpolation, which TensorRT cannot "
                "read; use UpSampling2D in place of that layer."
            )
    _round_scales_up(model)


def _round_scales_up(model: onnx.ModelProto) -> None:
    """Let 96 rows times 5/3 be 160, not 159: sizes are rounded down, and 5/3 may have been too."""
    from onnx import numpy_helper

    used = {node.input[2] for node in model.graph.node if node.op_type == "Resize"}
    for tensor in model.graph.initializer:
        if tensor.name in used:
            scales = numpy_helper.to_array(tensor)
            exact = scales * EXACT == np.rint(scales * EXACT)
            larger = np.where(exact, scales, np.nextafter(scales, np.float32(np.inf)))
            tensor.CopyFrom(numpy_helper.from_array(larger, tensor.name))


def _resizing_layer(layer: keras.Layer) -> keras.Layer:
    import keras
    import tensorflow as tf

    if not isinstance(layer, keras.layers.UpSampling2D) or layer.interpolation != "nearest":
        return layer

    def resize(images: tf.Tensor) -> tf.Tensor:
        _, height, width, _ = images.shape
        return tf.raw_ops.ResizeNearestNeighbor(
            images=images,
            size=(height * layer.size[0], width * layer.size[1]),
            align_corners=False,
            half_pixel_centers=False,
        )

    return keras.layers.Lambda(resize, output_shape=layer.compute_output_shape, name=layer.name)
