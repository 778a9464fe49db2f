"""DeepLab v3+, the other neighbour that the article names.

Source: L.-C. Chen et al., "Encoder-Decoder with Atrous Separable Convolution for Semantic Image
Segmentation", ECCV 2018: an atrous spatial pyramid on the body's features at a 16th of the
picture's size, and a decoder that joins them with features at a quarter. The body is MobileNet v2
(Sandler et al., 2018), as in the authors' mobile variant.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import keras

RATES = (6, 12, 18)
"""Dilations of the pyramid at a 16th of the picture's size, as in the paper."""

MOMENTUM = 0.9
"""Of the batch norms' moving statistics; with Keras's 0.999 in the body they come too late for runs
of a few hundred steps, and the network finds nobody."""


def deeplabv3plus(input_size: tuple[int, int, int] = (256, 256, 3), width: int = 64) -> keras.Model:
    """Build the network.

    Args:
        input_size: (height, width, 3), both sides divisible by 16.
        width: filters of the pyramid and the decoder are four times this (256 in the paper), and
            the body is MobileNet v2 with its filters times `width / 64`.

    Returns:
        A model from pixels 0..255 RGB, float32 (N, H, W, 3), to the person's probability, float32
        (N, H, W, 1) in 0..1.

    Raises:
        ValueError: an argument is out of range.
    """
    import keras
    from keras import layers

    height, across, _ = input_size
    if height % 16 or across % 16:
        raise ValueError(f"input_size is {input_size[:2]}; both sides must be divisible by 16")
    if width < 1:
        raise ValueError(f"width is {width}; it must be at least 1")
    filters = 4 * width

    inputs = layers.Input(input_size, name="pixels")
    scaled = layers.Rescaling(1 / 127.5, offset=-1.0)(inputs)
    body = keras.applications.MobileNetV2(
        input_tensor=scaled, alpha=width / 64, include_top=False, weights=None
    )
    for layer in body.layers:
        if isinstance(layer, layers.BatchNormalization):
            layer.momentum = MOMENTUM
    low, x = (body.get_layer(name).output for name in ("block_2_add", "block_12_add"))

    branches = [_conv(x, filters)]
    branches += [_separable(x, filters, rate) for rate in RATES]
    mean = _conv(layers.GlobalAveragePooling2D(keepdims=True)(x), filters)
    branches.append(layers.UpSampling2D((height // 16, across // 16))(mean))
    x = layers.Dropout(0.1)(_conv(layers.Concatenate()(branches), filters))

    x = layers.UpSampling2D(4, interpolation="bilinear")(x)
    x = layers.Concatenate()([x, _conv(low, max(1, 48 * width // 64))])
    x = _separable(_separable(x, filters), filters)
    x = layers.Conv2D(1, 1, name="logits")(x)
    x = layers.UpSampling2D(4, interpolation="bilinear")(x)
    outputs = layers.Activation("sigmoid", dtype="float32", name="alpha")(x)
    return keras.Model(inputs, outputs, name=f"deeplabv3plus_{width}")


def _conv(x: Any, filters: int) -> Any:
    from keras import layers

    x = layers.Conv2D(filters, 1, use_bias=False, kernel_initializer="he_normal")(x)
    return layers.ReLU()(layers.BatchNormalization(momentum=MOMENTUM)(x))


def _separable(x: Any, filters: int, rate: int = 1) -> Any:
    from keras import layers

    x = layers.DepthwiseConv2D(3, padding="same", dilation_rate=rate, use_bias=False)(x)
    return _conv(layers.ReLU()(layers.BatchNormalization(momentum=MOMENTUM)(x)), filters)
