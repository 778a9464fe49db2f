"""Step 2: find out how the model is fed and how the person is read from its output."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from seg_stream.pipeline.errors import UserError
from seg_stream.pipeline.types import FloatImage

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True)
class Interface:
    """How to feed a Keras model and how to read it."""

    height: int
    width: int
    input_range: int
    """255 if the model takes RGB pixels as they are, 1 if it takes them divided by 255."""
    person_channels: tuple[int, ...]
    """The person's probability is the mean of these channels of the output."""


def read_interface(
    model: keras.Model,
    size: tuple[int, int] | None = None,
    input_range: int | None = None,
    person_class: int = 1,
) -> Interface:
    """Describe a model of one (N, H, W, 3) input and one (N, H, W, C) output.

    Args:
        model: a Functional model.
        size: (height, width) for a model that leaves them open; must agree with one that does not.
        input_range: 255 or 1; None takes 255 if the first layer is a `Rescaling`, else 1.
        person_class: the channel of a softmax output that is the person.

    Raises:
        UserError: a layer computes in half precision, the input is not an RGB picture, its size is
            unknown or contradicts `size`, or the output is not a mask of the same size with a
            sigmoid or a softmax.
    """
    half = [x for x in model.layers if x.compute_dtype in ("float16", "bfloat16")]
    if half:
        raise UserError(
            f"The layer {half[0].name} computes in {half[0].compute_dtype}; save the model under "
            "the dtype policy float32, as half precision is the export's to make."
        )
    height, width = _input_size(model, size)
    shape = model.compute_output_shape((1, height, width, 3))
    if len(shape) != 4 or tuple(shape[1:3]) != (height, width):
        raise UserError(
            f"The model turns a picture of {width}x{height} into an output of shape {shape}; it "
            f"must be a mask of the same size, (1, {height}, {width}, channels)."
        )
    return Interface(
        height=height,
        width=width,
        input_range=input_range or (255 if _starts_with_rescaling(model) else 1),
        person_channels=_person_channels(model, shape[3], person_class),
    )


def keras_alpha(model: keras.Model, interface: Interface, input_nchw: FloatImage) -> FloatImage:
    """Run the Keras model itself: the reference for every exported form of it.

    Args:
        model: the model that `interface` describes.
        interface: how to feed and to read it.
        input_nchw: (1, 3, H, W) float32, RGB 0..255.

    Returns:
        (1, 1, H, W) float32, probability of the person.
    """
    pixels = np.transpose(input_nchw, (0, 2, 3, 1))
    if interface.input_range == 1:
        pixels = pixels / np.float32(255)
    output = np.asarray(model(pixels, training=False))
    alpha_nhwc = output[..., list(interface.person_channels)].mean(axis=-1, keepdims=True)
    return np.transpose(alpha_nhwc, (0, 3, 1, 2))


def _input_size(model: keras.Model, size: tuple[int, int] | None) -> tuple[int, int]:
    shape = tuple(model.inputs[0].shape)
    if len(shape) != 4 or shape[3] != 3 or shape[0] not in (None, 1):
        raise UserError(
            f"The model's input has the shape {shape}; it must be (None, height, width, 3), one "
            "RGB picture."
        )
    if size is None:
        if None in shape[1:3]:
            raise UserError(
                "The model leaves the size of its input open; say it with --size, for example "
                "--size 256x256."
            )
        return shape[1], shape[2]
    for wanted, fixed in zip(size, shape[1:3], strict=True):
        if fixed not in (None, wanted):
            raise UserError(
                f"The model's input is {shape[2]}x{shape[1]}, not {size[1]}x{size[0]}; leave "
                "--size away or give the model's own."
            )
    return size


def _starts_with_rescaling(model: keras.Model) -> bool:
    import keras

    layers = [layer for layer in model.layers if not isinstance(layer, keras.layers.InputLayer)]
    if layers and isinstance(layers[0], keras.Model):
        return _starts_with_rescaling(layers[0])
    return bool(layers) and isinstance(layers[0], keras.layers.Rescaling)


def _person_channels(model: keras.Model, channels: int, person_class: int) -> tuple[int, ...]:
    activation = _last_activation(model)
    if activation == "sigmoid" and channels in (1, 3):
        return tuple(range(channels))  # three: the article's U-Net, each one the whole mask
    if activation == "softmax" and channels > 1:
        if not 0 <= person_class < channels:
            raise UserError(
                f"The model has {channels} classes, so --person-class must be 0 to "
                f"{channels - 1}, not {person_class}."
            )
        return (person_class,)
    raise UserError(
        f"The model ends in {channels} channels of {activation}; the person's probability can be "
        "read from one or three sigmoid channels or from a softmax over two classes or more."
    )


def _last_activation(model: keras.Model) -> str:
    """Name of what the output tensor comes out of: an activation, else the layer's class."""
    import keras

    layer = model.outputs[0]._keras_history.operation
    if isinstance(layer, keras.Model):
        return _last_activation(layer)
    activation = getattr(layer, "activation", None)
    return str(getattr(activation, "__name__", type(layer).__name__)).lower()
