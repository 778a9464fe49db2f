"""The U-Net of the original article, in Keras 3.

Source: O. Ronneberger, P. Fischer, T. Brox, "U-Net: Convolutional Networks for Biomedical Image
Segmentation", MICCAI 2015, in the Keras form with padded convolutions and dropout.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import keras

LEVELS = 4
VOTES = [[[[-2.0] * 3, [2.0] * 3]]]
"""How the head of two classes starts: the last two features speak against and for the person.

Nothing but these two rectified features reaches the head. With random weights they often start dead
or are pulled both ways by the three channels, and the network answers a constant for hundreds of
steps. A bias of 1 keeps both alive, equal votes let the head start at one half.
"""


def unet(
    pretrained_weights: str | Path | None = None,
    input_size: tuple[int, int, int] = (512, 512, 3),
    num_class: int = 2,
    width: int = 64,
) -> keras.Model:
    """Build and compile the U-Net; with the defaults it has 31,032,843 parameters.

    Two classes are trained on the article's three-channel mask pictures: the head is then three
    sigmoid channels, each the probability of the person, with binary cross-entropy. More classes
    give a softmax over `num_class` channels with categorical cross-entropy.

    Args:
        pretrained_weights: a `.weights.h5` file of this very network, or None for random weights.
        input_size: (height, width, channels); height and width are multiples of 16.
        num_class: number of classes, 2 or more.
        width: filters of the first level; each of the four levels below doubles them.

    Returns:
        A compiled model from (N, H, W, channels) float32 in 0..1 to (N, H, W, 3) for two classes,
        else (N, H, W, num_class), float32 in 0..1.

    Raises:
        ValueError: an argument is out of range, or the weights are missing or do not fit.
    """
    _check_arguments(input_size, num_class, width)
    weights = None if pretrained_weights is None else _weights_file(Path(pretrained_weights))
    import keras
    from keras import layers

    def conv(
        tensor: keras.KerasTensor, filters: int, size: int, **initial: str
    ) -> keras.KerasTensor:
        return layers.Conv2D(
            filters,
            size,
            activation="relu",
            padding="same",
            kernel_initializer="he_normal",
            **initial,
        )(tensor)

    inputs = x = keras.Input(input_size)
    skips = []
    for level in range(LEVELS):
        x = conv(conv(x, width << level, 3), width << level, 3)
        if level == LEVELS - 1:
            x = layers.Dropout(0.5)(x)
        skips.append(x)
        x = layers.MaxPooling2D(2)(x)
    x = conv(conv(x, width << LEVELS, 3), width << LEVELS, 3)
    x = layers.Dropout(0.5)(x)
    for level in reversed(range(LEVELS)):
        x = conv(layers.UpSampling2D(2, interpolation="nearest")(x), width << level, 2)
        x = layers.Concatenate()([skips[level], x])
        x = conv(conv(x, width << level, 3), width << level, 3)
    if num_class == 2:
        x = conv(x, num_class, 3, bias_initializer="ones")
        outputs = layers.Conv2D(
            3, 1, activation="sigmoid", kernel_initializer=keras.initializers.Constant(VOTES)
        )(x)
        loss = "binary_crossentropy"
    else:
        x = conv(x, num_class, 3)
        outputs = layers.Conv2D(num_class, 1, activation="softmax")(x)
        loss = "categorical_crossentropy"

    model = keras.Model(inputs, outputs, name="unet")
    model.compile(optimizer=keras.optimizers.Adam(1e-4), loss=loss, metrics=["accuracy"])
    if weights:
        _load_weights(model, weights)
    return model


def _check_arguments(input_size: tuple[int, int, int], num_class: int, width: int) -> None:
    if len(input_size) != 3 or min(input_size) < 1:
        raise ValueError(
            f"input_size is {input_size}; it must be (height, width, channels), each 1 or more."
        )
    if input_size[0] % 2**LEVELS or input_size[1] % 2**LEVELS:
        raise ValueError(
            f"input_size is {input_size}; height and width must be multiples of {2**LEVELS}, "
            "because the network halves them four times."
        )
    if num_class < 2:
        raise ValueError(f"num_class is {num_class}; it must be 2 or more.")
    if width < 1:
        raise ValueError(f"width is {width}; it must be 1 or more.")


def _weights_file(path: Path) -> Path:
    if not path.name.endswith(".weights.h5"):
        raise ValueError(f"{path} is not a weights file; its name must end in .weights.h5.")
    if not path.is_file():
        raise ValueError(f"The weights file {path} does not exist; check the path.")
    return path


def _load_weights(model: keras.Model, path: Path) -> None:
    try:
        model.load_weights(path)
    except (ValueError, KeyError, OSError) as error:
        raise ValueError(
            f"The weights in {path} do not fit this U-Net; build it with the input_size, "
            "num_class and width that they were trained with."
        ) from error
