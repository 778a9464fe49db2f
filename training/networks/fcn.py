"""The fully convolutional networks that the article names as neighbours: FCN-32s, 16s and 8s.

Source: J. Long, E. Shelhamer, T. Darrell, "Fully Convolutional Networks for Semantic Segmentation",
CVPR 2015: VGG-16 with its dense layers as convolutions, the scores of three depths summed, not
concatenated, and transposed convolutions that start as bilinear interpolation.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import keras

VGG16 = ((1, 2), (2, 2), (4, 3), (8, 3), (8, 3))
"""Filters in units of the width, and convolutions, of each of VGG-16's blocks."""
DENSE = 64
"""Filters of the two layers that were dense, in units of the width: 4,096 at width 64."""


def fcn(
    stride: int, input_size: tuple[int, int, int] = (256, 256, 3), width: int = 64
) -> keras.Model:
    """Build FCN-32s, FCN-16s or FCN-8s, which differ in how fine the summed scores are.

    Args:
        stride: 32, 16 or 8.
        input_size: (height, width, 3), both sides divisible by 32.
        width: filters of VGG's first block; 64 is the paper's.

    Returns:
        A model from pixels 0..255 RGB, float32 (N, H, W, 3), to the person's probability, float32
        (N, H, W, 1) in 0..1.

    Raises:
        ValueError: an argument is out of range.
    """
    import keras
    from keras import layers

    if stride not in (8, 16, 32):
        raise ValueError(f"stride is {stride}; it must be 8, 16 or 32")
    if input_size[0] % 32 or input_size[1] % 32:
        raise ValueError(f"input_size is {input_size[:2]}; both sides must be divisible by 32")
    if width < 1:
        raise ValueError(f"width is {width}; it must be at least 1")

    inputs = layers.Input(input_size, name="pixels")
    x = layers.Rescaling(1 / 127.5, offset=-1.0)(inputs)
    pools: list[Any] = []
    for multiple, convolutions in VGG16:
        for _ in range(convolutions):
            x = _conv(x, multiple * width, 3)
        x = layers.MaxPooling2D(2)(x)
        pools.append(x)
    for kernel in (7, 1):
        x = layers.Dropout(0.5)(_conv(x, DENSE * width, kernel))
    x = _score(x)
    for pool, skip_stride in ((pools[3], 16), (pools[2], 8)):
        if stride <= skip_stride:
            x = layers.Add()([_bilinear(x, 2), _score(pool)])
    x = _bilinear(x, stride)
    outputs = layers.Activation("sigmoid", dtype="float32", name="alpha")(x)
    return keras.Model(inputs, outputs, name=f"fcn{stride}s_{width}")


fcn32s = partial(fcn, 32)
fcn16s = partial(fcn, 16)
fcn8s = partial(fcn, 8)


def _conv(x: Any, filters: int, kernel: int) -> Any:
    from keras import layers

    return layers.Conv2D(
        filters, kernel, padding="same", activation="relu", kernel_initializer="he_normal"
    )(x)


def _score(x: Any) -> Any:
    from keras import layers

    return layers.Conv2D(1, 1, kernel_initializer="zeros")(x)


def _bilinear(x: Any, factor: int) -> Any:
    """A transposed convolution whose weights start as bilinear interpolation."""
    import numpy as np
    from keras import initializers, layers

    size = 2 * factor
    ramp = 1 - np.abs(np.arange(size) + 0.5 - factor) / factor
    kernel = np.outer(ramp, ramp)[..., None, None]
    return layers.Conv2DTranspose(
        1,
        size,
        strides=factor,
        padding="same",
        use_bias=False,
        kernel_initializer=initializers.Constant(kernel),
    )(x)
