"""Two small models with random weights, and a photograph of a person."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from seg_stream.export.photographs import read_photographs
from seg_stream.pipeline.types import FloatImage

if TYPE_CHECKING:
    import keras

SIZE = 64


@pytest.fixture(scope="session")
def photographs() -> list[FloatImage]:
    """Real photographs, (1, 3, 64, 64) float32, RGB 0..255; the first is of a person."""
    pytest.importorskip("skimage", reason="needs scikit-image for its photographs")
    return read_photographs(None, SIZE, SIZE)


@pytest.fixture(scope="session")
def article_model() -> keras.Model:
    """The article's U-Net at width 4: takes 0..1, ends in three sigmoid channels."""
    pytest.importorskip("tensorflow", reason="needs the export extra (TensorFlow)")
    from seg_stream.training.networks.unet import unet

    return shaken(unet(input_size=(SIZE, SIZE, 3), width=4))


@pytest.fixture(scope="session")
def slim_model() -> keras.Model:
    """Scaling, batch norm after each kind of convolution, a residual sum, a transposed end."""
    pytest.importorskip("tensorflow", reason="needs the export extra (TensorFlow)")
    import keras
    from keras import layers

    def norm(x: Any) -> Any:
        return layers.ReLU()(layers.BatchNormalization()(x))

    inputs = keras.Input((SIZE, SIZE, 3))
    x = layers.Rescaling(1 / 127.5, -1)(inputs)
    x = skip = norm(layers.Conv2D(8, 3, strides=2, padding="same", use_bias=False)(x))
    x = norm(layers.DepthwiseConv2D(3, strides=2, padding="same", use_bias=False)(x))
    x = residual = norm(layers.Conv2D(8, 1)(x))
    x = norm(layers.SeparableConv2D(8, 3, padding="same")(x))
    x = layers.Add()([residual, x])
    x = layers.Concatenate()([skip, layers.UpSampling2D(2)(x)])
    x = layers.MaxPooling2D(2)(x)
    x = norm(layers.Conv2DTranspose(4, 2, strides=2)(x))
    x = layers.Conv2DTranspose(1, 4, strides=2, padding="same")(x)
    return shaken(keras.Model(inputs, layers.Activation("sigmoid")(x), name="slim"))


def shaken(model: keras.Model) -> keras.Model:
    """Give all weights values that training could give.

    An untrained head stands at one half, where a difference in the last digit moves the mask.
    """
    rng = np.random.default_rng(7)
    for variable in model.variables:
        if variable.name in ("gamma", "moving_variance"):
            variable.assign(rng.uniform(0.5, 1.5, variable.shape))
        elif variable.name in ("beta", "moving_mean", "bias"):
            variable.assign(rng.normal(0, 0.1, variable.shape))
        elif "kernel" in variable.name:  # 2 as He et al. begin lets the picture fade at width 4
            inputs = np.prod(variable.shape[:-1])
            variable.assign(rng.normal(0, np.sqrt(3.2 / inputs), variable.shape))
    return model
