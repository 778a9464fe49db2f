"""The U shape built for a CPU: inverted residuals down, thin separable levels up.

Same idea as the article's U-Net (`unet.py`): an encoder, a decoder, and the skips concatenated
(skip, upsampled). What differs is the price: the encoder is EfficientNet-Lite, whose first
convolution already halves the picture, the decoder is separable, and a transposed convolution makes
the last doubling.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from seg_stream.training.networks.efficientnet_lite import LITE0, LITE2, Stage, body

if TYPE_CHECKING:
    import keras

DECODER = (16, 24, 40, 96)
"""Channels of the decoder's levels at width 16, from half the picture's size to a 16th."""


def unet_lite(
    input_size: tuple[int, int, int] = (160, 256, 3),
    width: int = 16,
    stages: Sequence[Stage] = LITE0,
    repeats: tuple[int, ...] = (1, 2, 2, 3, 2, 2),
) -> keras.Model:
    """Build the network.

    Args:
        input_size: (height, width, 3), both sides divisible by 32.
        width: channels of the decoder's last level; the others scale with it.
        stages: the body's.
        repeats: how many blocks of each stage of the body are used.

    Returns:
        A model from pixels 0..255 RGB, float32 (N, H, W, 3), to the person's probability, float32
        (N, H, W, 1) in 0..1.

    Raises:
        ValueError: a side is not divisible by 32, or the width is not positive.
    """
    import keras
    from keras import layers

    if input_size[0] % 32 or input_size[1] % 32:
        raise ValueError(f"input_size is {input_size[:2]}; both sides must be divisible by 32")
    if width < 1:
        raise ValueError(f"width is {width}; it must be at least 1")

    inputs = layers.Input(input_size, name="pixels")
    *skips, x = body(inputs, stages, repeats)
    for level in reversed(range(len(skips))):
        filters = max(1, DECODER[level] * width // 16)
        x = _conv(x, filters)
        x = layers.UpSampling2D(2, interpolation="nearest")(x)
        x = layers.Concatenate()([skips[level], x])
        x = _separable(x, filters)
    x = layers.Conv2DTranspose(1, 4, strides=2, padding="same", name="logits")(x)
    outputs = layers.Activation("sigmoid", dtype="float32", name="alpha")(x)
    return keras.Model(inputs, outputs, name=f"unet_lite_{width}")


def unet_lite2(input_size: tuple[int, int, int] = (224, 384, 3), width: int = 32) -> keras.Model:
    """The same on the body of EfficientNet-Lite2 but for its last stage; see `unet_lite`."""
    return unet_lite(input_size, width, LITE2, (1, 3, 3, 4, 4, 5))


def _conv(x: Any, filters: int) -> Any:
    from keras import layers

    x = layers.Conv2D(filters, 1, use_bias=False, kernel_initializer="he_normal")(x)
    return layers.ReLU()(layers.BatchNormalization(momentum=0.9)(x))


def _separable(x: Any, filters: int) -> Any:
    from keras import layers

    x = layers.DepthwiseConv2D(3, padding="same", use_bias=False)(x)
    return _conv(x, filters)
