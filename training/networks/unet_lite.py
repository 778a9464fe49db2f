"""The U shape built for a CPU: an early stride, thin levels, plain convolutions where cheap.

Same idea as the article's U-Net (`unet.py`): an encoder, a decoder, and the skips concatenated
(skip, upsampled). What differs is the price: the first convolution already halves the picture, the
shallow part of the decoder is separable, and a transposed convolution makes the last doubling.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import keras

ENCODER = ((16, 0), (32, 1), (64, 1), (96, 1), (128, 2))
"""Channels and residual convolutions of each level at width 16; each level halves the picture."""


def unet_lite(input_size: tuple[int, int, int] = (256, 256, 3), width: int = 16) -> keras.Model:
    """Build the network.

    Args:
        input_size: (height, width, 3), both sides divisible by 32.
        width: channels of the first level; the others scale with it.

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
    channels = [max(1, base * width // 16) for base, _ in ENCODER]

    inputs = layers.Input(input_size, name="pixels")
    x = layers.Rescaling(1 / 127.5, offset=-1.0)(inputs)
    skips: list[Any] = []
    for filters, (_, residuals) in zip(channels, ENCODER, strict=True):
        x = _conv(x, filters, stride=2)
        for _ in range(residuals):
            x = layers.Add()([x, _conv(x, filters)])
        skips.append(x)

    for level in reversed(range(len(ENCODER) - 1)):
        x = _conv(x, channels[level], kernel=1)
        x = layers.UpSampling2D(2, interpolation="nearest")(x)
        x = layers.Concatenate()([skips[level], x])
        x = _conv(x, channels[level]) if level >= 2 else _separable(x, channels[level])

    x = layers.Conv2DTranspose(1, 4, strides=2, padding="same", name="logits")(x)
    outputs = layers.Activation("sigmoid", dtype="float32", name="alpha")(x)
    return keras.Model(inputs, outputs, name=f"unet_lite_{width}")


def _conv(x: Any, filters: int, kernel: int = 3, stride: int = 1) -> Any:
    from keras import layers

    x = layers.Conv2D(
        filters,
        kernel,
        strides=stride,
        padding="same",
        use_bias=False,
        kernel_initializer="he_normal",
    )(x)
    return layers.ReLU()(layers.BatchNormalization(momentum=0.98)(x))


def _separable(x: Any, filters: int) -> Any:
    from keras import layers

    x = layers.DepthwiseConv2D(3, padding="same", use_bias=False)(x)
    return _conv(layers.BatchNormalization(momentum=0.98)(x), filters, kernel=1)
