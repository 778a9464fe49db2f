"""The U shape built for a CPU: inverted residuals down, thin separable levels up.

Same idea as the article's U-Net (`unet.py`): an encoder, a decoder, and the skips concatenated
(skip, upsampled). What differs is the price: the encoder is EfficientNet-Lite, whose first
convolution already halves the picture, the decoder is separable, and a transposed convolution makes
the last doubling.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from seg_stream.training.networks.efficientnet_lite import LITE0, LITE2, Stage, body, scaled

if TYPE_CHECKING:
    import keras

DECODER = (16, 24, 40, 96)
"""Channels of the decoder's levels at width 16, from half the picture's size to a 16th."""

STRIDE = 32
"""The bottleneck's pixel, in pixels of the picture."""

REPEATS = (1, 2, 2, 3, 2, 2)
"""How many blocks of each stage of EfficientNet-Lite0 are used."""


def unet_lite(
    input_size: tuple[int, int, int] = (160, 256, 3),
    width: int = 16,
    stages: Sequence[Stage] = LITE0,
    repeats: tuple[int, ...] = REPEATS,
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

    check_sides(input_size, width)
    inputs = layers.Input(input_size, name="pixels")
    logits = score(scaled(inputs), width, stages, repeats)
    outputs = layers.Activation("sigmoid", dtype="float32", name="alpha")(logits)
    return keras.Model(inputs, outputs, name=f"unet_lite_{width}")


def check_sides(input_size: tuple[int, int, int], width: int) -> None:
    """Raise ValueError if a side is not divisible by 32, or the width is not positive."""
    if input_size[0] % STRIDE or input_size[1] % STRIDE:
        raise ValueError(
            f"input_size is {input_size[:2]}; both sides must be divisible by {STRIDE}"
        )
    if width < 1:
        raise ValueError(f"width is {width}; it must be at least 1")


def score(
    picture: Any,
    width: int,
    stages: Sequence[Stage] = LITE0,
    repeats: tuple[int, ...] = REPEATS,
    prefix: str = "",
) -> Any:
    """Apply encoder and decoder: from the scaled picture (N, H, W, 3) to logits (N, H, W, 1).

    The names of all layers with weights begin with `prefix`.
    """
    from keras import layers

    *skips, x = body(picture, stages, repeats, prefix)
    for level in reversed(range(len(skips))):
        filters, name = max(1, DECODER[level] * width // 16), f"{prefix}up{level}"
        x = _conv(x, filters, f"{name}_reduce")
        x = layers.UpSampling2D(2, interpolation="nearest")(x)
        x = layers.Concatenate()([skips[level], x])
        x = _separable(x, filters, name)
    return layers.Conv2DTranspose(1, 4, strides=2, padding="same", name=f"{prefix}logits")(x)


def unet_lite2(input_size: tuple[int, int, int] = (224, 384, 3), width: int = 32) -> keras.Model:
    """The same on the body of EfficientNet-Lite2 but for its last stage; see `unet_lite`."""
    return unet_lite(input_size, width, LITE2, (1, 3, 3, 4, 4, 5))


def _conv(x: Any, filters: int, name: str) -> Any:
    from keras import layers

    conv = layers.Conv2D(
        filters, 1, use_bias=False, kernel_initializer="he_normal", name=f"{name}_conv"
    )
    return layers.ReLU()(layers.BatchNormalization(momentum=0.9, name=f"{name}_norm")(conv(x)))


def _separable(x: Any, filters: int, name: str) -> Any:
    from keras import layers

    across = layers.DepthwiseConv2D(3, padding="same", use_bias=False, name=f"{name}_across")
    return _conv(across(x), filters, name)
