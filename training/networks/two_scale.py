"""`unet_lite` at two scales at once: outlines from the one, what is a person from both.

The larger the picture that a small network looks at, the less of it fits into what it sees at once,
and the more it takes a roof or a picture on a wall for a person. So a second one looks at less
detail, and where the two disagree over whole cells of 16x16 pixels, they meet half-way. After the
idea of A. Tao et al., "Hierarchical Multi-Scale Attention for Semantic Segmentation", 2020, without
the attention: nothing in it has to be learned, and each can be trained by itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from seg_stream.training.networks.efficientnet_lite import CONTEXT, scaled
from seg_stream.training.networks.unet_lite import STRIDE, check_sides, score

if TYPE_CHECKING:
    import keras

CELL = 16
"""Over cells of so many pixels of the larger picture the second network is heard."""
SHARE = 0.5
"""How much the second network counts there."""


def two_scale(input_size: tuple[int, int, int] = (224, 384, 3), width: int = 16) -> keras.Model:
    """Build the network.

    Args:
        input_size: (height, width, 3), both sides divisible by 32.
        width: of both, see `unet_lite`.

    Returns:
        A model from pixels 0..255 RGB, float32 (N, H, W, 3), to the person's probability, float32
        (N, H, W, 1) in 0..1.

    Raises:
        ValueError: a side is not divisible by 32, or the width is not positive.
    """
    import keras
    from keras import layers

    check_sides(input_size, width)
    height, columns = input_size[:2]
    inputs = layers.Input(input_size, name="pixels")
    picture = scaled(inputs)
    detail = score(picture, width)
    # Not layers.Resizing: unless told otherwise, it puts all layers after it into training.
    small = keras.ops.image.resize(picture, context_sides(height, columns))
    context = keras.ops.image.resize(score(small, width, prefix=CONTEXT), (height, columns))
    apart = layers.AveragePooling2D(CELL)(layers.Subtract()([context, detail]))
    coarse = layers.UpSampling2D(CELL, interpolation="bilinear")(apart)
    logits = layers.Add()([detail, layers.Rescaling(SHARE)(coarse)])
    outputs = layers.Activation("sigmoid", dtype="float32", name="alpha")(logits)
    return keras.Model(inputs, outputs, name=f"two_scale_{width}")


def context_sides(height: int, width: int) -> tuple[int, int]:
    """Height and width of what the second network sees: two thirds, rounded down to 32s.

    The picture is squeezed for it, as a frame is for either; 32 stays 32.
    """
    rows, columns = (max(STRIDE, side * 2 // 3 // STRIDE * STRIDE) for side in (height, width))
    return rows, columns


def join(detail: keras.Model, context: keras.Model, width: int = 16) -> keras.Model:
    """Make one network of two `unet_lite` of that width, one trained at each of the sizes.

    Raises:
        ValueError: their sizes do not go together, or they are other networks.
    """
    sides, near = detail.input_shape[1:3], context.input_shape[1:3]
    if near != context_sides(*sides):
        height, columns = context_sides(*sides)
        raise ValueError(f"the second is for {near[1]}x{near[0]}, expected {columns}x{height}")
    model = two_scale((*sides, 3), width)
    given = {
        prefix + layer.name: layer
        for part, prefix in ((detail, ""), (context, CONTEXT))
        for layer in part.layers
        if layer.weights
    }
    wanted = {layer.name for layer in model.layers if layer.weights}
    if odd := sorted(wanted ^ given.keys()):
        raise ValueError(f"they are not both unet_lite; they differ from it in {odd[0]}")
    for name, layer in given.items():
        model.get_layer(name).set_weights(layer.get_weights())
    return model
