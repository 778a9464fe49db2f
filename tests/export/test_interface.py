"""How a model is found to be fed and read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from seg_stream.export.interface import Interface, keras_alpha, read_interface
from seg_stream.pipeline.errors import UserError

if TYPE_CHECKING:
    import keras
    from keras import layers
else:
    pytest.importorskip("tensorflow", reason="needs the export extra (TensorFlow)")
    keras = pytest.importorskip("keras", reason="needs the export extra (Keras)")
    layers = keras.layers


def model_of(*body: Any, shape: tuple[int | None, ...] = (32, 48, 3)) -> keras.Model:
    return keras.Sequential([keras.Input(shape), *body])


def head(channels: int = 1, activation: str | None = "sigmoid") -> keras.Layer:
    return layers.Conv2D(channels, 1, activation=activation)


def test_a_model_without_rescaling_takes_0_to_1() -> None:
    assert read_interface(model_of(head())) == Interface(32, 48, 1, (0,))


def test_a_model_that_starts_with_rescaling_takes_pixels() -> None:
    assert read_interface(model_of(layers.Rescaling(1 / 255), head())).input_range == 255
    nested = model_of(layers.Rescaling(1 / 255), head(4, "relu"))
    assert read_interface(model_of(nested, head())).input_range == 255


def test_a_later_rescaling_does_not_count() -> None:
    model = model_of(head(4, "relu"), layers.Rescaling(2.0), head())
    assert read_interface(model).input_range == 1


@pytest.mark.parametrize("said", [1, 255])
def test_the_range_that_was_said_wins(said: int) -> None:
    for model in (model_of(head()), model_of(layers.Rescaling(1 / 255), head())):
        assert read_interface(model, input_range=said).input_range == said


@pytest.mark.parametrize(
    ("body", "channels"),
    [
        ([head(1)], (0,)),
        ([head(3)], (0, 1, 2)),
        ([head(2, "softmax")], (1,)),
        ([head(1, None), layers.Activation("sigmoid")], (0,)),
        ([head(4, None), layers.Softmax()], (1,)),
        ([model_of(head(1))], (0,)),
    ],
)
def test_the_head_says_where_the_person_is(body: list[Any], channels: tuple[int, ...]) -> None:
    assert read_interface(model_of(*body)).person_channels == channels


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ([head(1, None)], "1 channels of linear"),
        ([head(2)], "2 channels of sigmoid"),
        ([head(1, "softmax")], "1 channels of softmax"),
        ([head(4)], "4 channels of sigmoid"),
        ([head(), layers.MaxPooling2D()], "must be a mask of the same size"),
        ([layers.Flatten(), layers.Dense(1, activation="sigmoid")], "must be a mask"),
    ],
)
def test_a_head_that_does_not_fit_is_refused(body: list[Any], words: str) -> None:
    with pytest.raises(UserError, match=words):
        read_interface(model_of(*body))


@pytest.mark.parametrize("person_class", [-1, 2])
def test_a_class_that_is_not_there_is_refused(person_class: int) -> None:
    with pytest.raises(UserError, match="--person-class must be 0 to 1"):
        read_interface(model_of(head(2, "softmax")), person_class=person_class)


def test_an_open_size_must_be_said() -> None:
    model = model_of(head(), shape=(None, None, 3))
    with pytest.raises(UserError, match="say it with --size"):
        read_interface(model)
    assert read_interface(model, size=(16, 24)) == Interface(16, 24, 1, (0,))


def test_a_size_that_contradicts_the_model_is_refused() -> None:
    with pytest.raises(UserError, match="is 48x32, not 32x48"):
        read_interface(model_of(head()), size=(48, 32))
    assert read_interface(model_of(head()), size=(32, 48)).width == 48


@pytest.mark.parametrize("shape", [(32, 48, 1), (3, 32, 48), (48, 3)])
def test_an_input_that_is_not_an_rgb_picture_is_refused(shape: tuple[int, ...]) -> None:
    body = layers.Dense(1, activation="sigmoid")
    with pytest.raises(UserError, match="one RGB picture"):
        read_interface(model_of(body, shape=shape))


def test_half_precision_is_refused() -> None:
    body = layers.Conv2D(4, 3, padding="same", dtype="mixed_float16", name="half")
    with pytest.raises(UserError, match="layer half computes in float16"):
        read_interface(model_of(body, head()))


def test_the_reference_is_the_keras_model() -> None:
    model = model_of(head(3))
    input_nchw = np.random.default_rng(0).integers(0, 256, (1, 3, 32, 48)).astype(np.float32)
    alpha = keras_alpha(model, read_interface(model), input_nchw)
    expected = np.asarray(model(input_nchw.transpose(0, 2, 3, 1) / 255)).mean(-1)
    assert alpha.shape == (1, 1, 32, 48)
    assert alpha.dtype == np.float32
    np.testing.assert_allclose(alpha[:, 0], expected, atol=1e-6)
