"""The article's U-Net: its size, its wiring, its head, its weights files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from seg_stream.training.losses import matte_loss
from seg_stream.training.networks.unet import unet

if TYPE_CHECKING:
    import keras
else:
    pytest.importorskip("tensorflow", reason="needs the train extra (TensorFlow)")
    keras = pytest.importorskip("keras", reason="needs the train extra (Keras)")

SMALL: dict[str, Any] = {"input_size": (32, 48, 3), "width": 2}


def layers_of(model: keras.Model, kind: type) -> list[Any]:
    return [layer for layer in model.layers if isinstance(layer, kind)]


def test_the_default_network_has_the_articles_parameters() -> None:
    model = unet()
    assert model.count_params() == 31_032_843
    assert model.input_shape == (None, 512, 512, 3)
    assert model.output_shape == (None, 512, 512, 3)


@pytest.mark.parametrize("width", [1, 4, 16])
def test_width_sets_the_filters_of_every_level(width: int) -> None:
    model = unet(input_size=(32, 32, 3), width=width)
    filters = [layer.filters // width for layer in layers_of(model, keras.layers.Conv2D)[:10]]
    assert filters == [1, 1, 2, 2, 4, 4, 8, 8, 16, 16]


def test_the_skip_comes_before_the_upsampled_tensor() -> None:
    model = unet(**SMALL)
    joins = layers_of(model, keras.layers.Concatenate)
    sources = [[t._keras_history.operation for t in join.input] for join in joins]
    assert len(joins) == 4
    assert isinstance(sources[0][0], keras.layers.Dropout), "the deepest skip is the dropped tensor"
    for skip, upsampled in sources:
        assert isinstance(upsampled, keras.layers.Conv2D)
        assert upsampled.kernel_size == (2, 2)
        assert getattr(skip, "kernel_size", None) in (None, (3, 3))


def test_convolutions_dropout_and_upsampling_are_the_articles() -> None:
    model = unet(**SMALL)
    convolutions = layers_of(model, keras.layers.Conv2D)
    assert len(convolutions) == 24
    for layer in convolutions[:-1]:
        assert layer.activation is keras.activations.relu
        assert isinstance(layer.kernel_initializer, keras.initializers.HeNormal)
        assert layer.padding == "same"
    assert [layer.rate for layer in layers_of(model, keras.layers.Dropout)] == [0.5, 0.5]
    assert all(
        layer.interpolation == "nearest" for layer in layers_of(model, keras.layers.UpSampling2D)
    )


@pytest.mark.parametrize(
    ("num_class", "channels", "activation", "loss"),
    [(2, 3, "sigmoid", "binary_crossentropy"), (5, 5, "softmax", "categorical_crossentropy")],
)
def test_the_head_follows_the_number_of_classes(
    num_class: int, channels: int, activation: str, loss: str
) -> None:
    model = unet(num_class=num_class, **SMALL)
    before, head = layers_of(model, keras.layers.Conv2D)[-2:]
    assert (before.filters, before.kernel_size) == (num_class, (3, 3))
    assert (head.filters, head.kernel_size) == (channels, (1, 1))
    assert head.activation.__name__ == activation
    assert model.loss == loss
    assert isinstance(model.optimizer, keras.optimizers.Adam)
    assert float(model.optimizer.learning_rate) == pytest.approx(1e-4)


def squares(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Bright squares on noise, and where they are."""
    alpha = np.zeros((8, 32, 32, 1), np.float32)
    for i, (row, column) in enumerate(rng.integers(4, 16, (8, 2))):
        alpha[i, row : row + 14, column : column + 14] = 1
    noise = rng.uniform(0, 0.5, (8, 32, 32, 3)).astype(np.float32)
    return noise + 0.5 * alpha, alpha


@pytest.mark.parametrize("seed", range(5))
def test_its_head_starts_alive_and_of_one_mind(seed: int) -> None:
    keras.utils.set_random_seed(seed)
    model = unet(**SMALL)
    pixels = np.random.default_rng(seed).random((4, 32, 48, 3), dtype=np.float32)
    features = np.asarray(keras.Model(model.input, model.layers[-2].output)(pixels))
    assert (features > 0).mean((0, 1, 2)).min() > 0.2, "a feature that is never positive is dead"
    against, person = np.asarray(model.layers[-1].kernel)[0, 0]
    assert (person > 0).all()
    assert (against < 0).all()


def test_it_learns_in_a_few_dozen_steps() -> None:
    keras.utils.set_random_seed(3)
    model = unet(input_size=(32, 32, 3), width=4)
    model.compile(keras.optimizers.AdamW(1e-3, clipnorm=1.0), loss=matte_loss)
    rng = np.random.default_rng(0)
    for _ in range(40):
        model.train_on_batch(*squares(rng))
    pixels, alpha = squares(rng)
    found = np.asarray(model(pixels)).mean(-1, keepdims=True)
    assert found[alpha == 1].mean() - found[alpha == 0].mean() > 0.4


def test_a_weights_file_gives_the_same_network_again(tmp_path: Path) -> None:
    path = tmp_path / "unet.weights.h5"
    first = unet(**SMALL)
    first.save_weights(path)
    second = unet(path, **SMALL)
    pixels = np.random.default_rng(0).random((1, 32, 48, 3), dtype=np.float32)
    np.testing.assert_array_equal(first(pixels), second(pixels))


def test_weights_that_do_not_fit_are_named(tmp_path: Path) -> None:
    path = tmp_path / "unet.weights.h5"
    unet(**SMALL).save_weights(path)
    with pytest.raises(ValueError, match=r"unet\.weights\.h5 do not fit"):
        unet(path, input_size=(32, 48, 3), width=3)
    with pytest.raises(ValueError, match="do not fit"):
        unet(path, num_class=3, **SMALL)
    path.write_bytes(b"no HDF5")
    with pytest.raises(ValueError, match="do not fit"):
        unet(path, **SMALL)


def test_missing_weights_are_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"absent\.weights\.h5 does not exist"):
        unet(tmp_path / "absent.weights.h5", **SMALL)
    with pytest.raises(ValueError, match=r"must end in \.weights\.h5"):
        unet(tmp_path / "absent.h5", **SMALL)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_class": 1}, "num_class is 1"),
        ({"width": 0}, "width is 0"),
        ({"input_size": (100, 512, 3)}, "multiples of 16"),
        ({"input_size": (512, 8, 3)}, "multiples of 16"),
        ({"input_size": (512, 512)}, r"\(height, width, channels\)"),
        ({"input_size": (0, 512, 3)}, "each 1 or more"),
    ],
)
def test_arguments_out_of_range_are_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        unet(**arguments)
