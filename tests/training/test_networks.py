"""Every architecture: shapes, sizes, wiring, and that its export gives the same."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

if TYPE_CHECKING:
    import keras
else:
    pytest.importorskip("tensorflow", reason="needs the train extra (TensorFlow)")
    keras = pytest.importorskip("keras", reason="needs the train extra (Keras)")

from seg_stream.export.interface import keras_alpha, read_interface
from seg_stream.export.keras_to_onnx import keras_to_onnx
from seg_stream.export.parity import onnx_runtime
from seg_stream.training.networks import ARCHITECTURES
from seg_stream.training.networks.efficientnet_lite import (
    LITE0,
    LITE2,
    Stage,
    body,
    freeze_generic,
    load_imagenet,
)
from seg_stream.training.networks.fcn import fcn
from seg_stream.training.networks.two_scale import two_scale
from seg_stream.training.networks.unet_lite import unet_lite

PARAMETERS = {
    "unet": 1_941_387,
    "unet_lite": 1_305_585,
    "unet_lite2": 3_836_161,
    "two_scale": 2_611_170,
    "fcn32s": 8_399_057,
    "fcn16s": 8_396_130,
    "fcn8s": 8_395_443,
    "deeplabv3plus": 318_361,
}
"""At the default widths: 16, or 32 for `unet_lite2` and DeepLab."""


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_its_size_and_its_export(name: str) -> None:
    arch = ARCHITECTURES[name]
    model = arch.build((64, 96, 3), arch.width)
    assert model.count_params() == PARAMETERS[name]
    assert model.output_shape[:3] == (None, 64, 96)
    norms = [each for each in model.layers if isinstance(each, keras.layers.BatchNormalization)]
    assert all(each.momentum <= 0.9 for each in norms), "too late for short runs"
    for variable in model.trainable_variables:  # zero scores would make parity empty
        if not np.any(np.asarray(variable)):
            shape = variable.shape
            variable.assign(np.random.default_rng(0).normal(0, 0.1, shape).astype(np.float32))
    interface = read_interface(model)
    assert interface.input_range == arch.input_range
    graph = keras_to_onnx(model, interface)
    picture = np.random.default_rng(1).uniform(0, 255, (1, 3, 64, 96)).astype(np.float32)
    expected = keras_alpha(model, interface, picture)
    assert expected.std() > 1e-4
    np.testing.assert_allclose(
        onnx_runtime(graph.SerializeToString())(picture), expected, atol=1e-4
    )
    kinds = {node.op_type for node in graph.graph.node}
    assert "Transpose" not in kinds


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_sizes_that_do_not_fit_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match=r"divisible|multiples"):
        ARCHITECTURES[name].build((72, 96, 3), 4)


def layers_of(model: keras.Model, kind: type) -> list[Any]:
    return [layer for layer in model.layers if isinstance(layer, kind)]


@pytest.mark.parametrize(("stride", "sums"), [(32, 0), (16, 1), (8, 2)])
def test_fcn_sums_scores_and_starts_as_bilinear_interpolation(stride: int, sums: int) -> None:
    model = fcn(stride, (64, 64, 3), 2)
    assert len(layers_of(model, keras.layers.Add)) == sums
    assert not layers_of(model, keras.layers.Concatenate)
    last = layers_of(model, keras.layers.Conv2DTranspose)[-1]
    flat = np.asarray(last(np.ones((1, 8, 8, 1), np.float32)))[0, stride:-stride, stride:-stride, 0]
    np.testing.assert_allclose(flat, 1.0, atol=1e-6)


def test_fcn_at_the_papers_width_is_vgg16() -> None:
    model = fcn(32, (64, 64, 3), 64)
    filters = [layer.filters for layer in layers_of(model, keras.layers.Conv2D)]
    assert filters[:13] == [64, 64, 128, 128, 256, 256, 256, 512, 512, 512, 512, 512, 512]
    assert [f for f in filters if f == 4096] == [4096, 4096]


def test_deeplab_looks_at_four_scales_and_the_whole_picture() -> None:
    model = ARCHITECTURES["deeplabv3plus"].build((128, 128, 3), 32)
    rates = [layer.dilation_rate for layer in layers_of(model, keras.layers.DepthwiseConv2D)]
    assert [rate for rate in rates if rate != (1, 1)] == [(6, 6), (12, 12), (18, 18)]
    assert len(layers_of(model, keras.layers.GlobalAveragePooling2D)) == 1


def test_unet_lite_concatenates_the_skip_before_the_upsampled_tensor() -> None:
    model = unet_lite((64, 64, 3))
    joins = layers_of(model, keras.layers.Concatenate)
    assert len(joins) == 4
    for join in joins:
        skip, upsampled = (tensor._keras_history.operation for tensor in join.input)
        assert isinstance(upsampled, keras.layers.UpSampling2D)
        assert not isinstance(skip, keras.layers.UpSampling2D)


def published(stages: Sequence[Stage] = LITE0) -> dict[str, np.ndarray]:
    """Arrays of the published shapes under the published names, drawn at random."""
    rng = np.random.default_rng(0)
    arrays: dict[str, np.ndarray] = {}

    def norm(name: str, channels: int) -> None:
        for part in ("weight", "bias", "running_mean", "running_var"):
            arrays[f"{name}.{part}"] = rng.uniform(0.5, 1.5, channels).astype(np.float32)

    def convolution(name: str, *shape: int) -> None:
        arrays[f"{name}.weight"] = rng.normal(0, 0.1, shape).astype(np.float32)

    convolution("_conv_stem", 32, 3, 3, 3)
    norm("_bn0", 32)
    channels, block = 32, 0
    for stage in stages:
        for _ in range(stage.repeats):
            prefix, inner = f"_blocks.{block}", channels * stage.expansion
            if stage.expansion > 1:
                convolution(f"{prefix}._expand_conv", inner, channels, 1, 1)
                norm(f"{prefix}._bn0", inner)
            convolution(f"{prefix}._depthwise_conv", inner, 1, stage.kernel, stage.kernel)
            norm(f"{prefix}._bn1", inner)
            convolution(f"{prefix}._project_conv", stage.filters, inner, 1, 1)
            norm(f"{prefix}._bn2", stage.filters)
            channels, block = stage.filters, block + 1
    return arrays


@pytest.mark.parametrize("stages", [LITE0, LITE2])
def test_published_weights_fill_the_whole_body(stages: Sequence[Stage]) -> None:
    inputs = keras.Input((64, 64, 3))
    model = keras.Model(inputs, body(inputs, stages))
    arrays = published(stages)
    assert load_imagenet(model, arrays) == sum(len(layer.weights) > 0 for layer in model.layers)
    kernel = np.asarray(model.get_layer("block5_depthwise").weights[0])
    np.testing.assert_array_equal(
        kernel[..., 0], arrays["_blocks.5._depthwise_conv.weight"][:, 0].transpose(1, 2, 0)
    )
    wrong = arrays | {"_conv_stem.weight": np.zeros((8, 3, 3, 3), np.float32)}
    with pytest.raises(ValueError, match="shape"):
        load_imagenet(model, wrong)


def test_a_shortened_body_keeps_the_published_numbers() -> None:
    model = unet_lite((64, 64, 3))
    names = {layer.name for layer in model.layers}
    assert "block9_project" in names
    assert "block10_project" not in names
    assert "block11_expand" in names
    load_imagenet(model, published())
    with pytest.raises(ValueError, match="repeats"):
        body(keras.Input((64, 64, 3)), LITE0, (*(stage.repeats for stage in LITE0), 1))


def test_freezing_keeps_early_and_generic_layers_only() -> None:
    model = unet_lite((64, 64, 3))
    freeze_generic(model)
    trained = {layer.name for layer in model.layers if layer.trainable and layer.weights}
    assert "block4_expand" in trained
    assert "logits" in trained
    assert not {"stem", "block0_project", "block2_project", "block4_depthwise"} & trained
    assert not {name for name in trained if name.startswith("block") and name.endswith("_norm")}


def test_both_bodies_of_two_scales_are_filled_and_kept() -> None:
    one, two = unet_lite((64, 64, 3)), two_scale((64, 96, 3))
    assert load_imagenet(two, published()) == 2 * load_imagenet(one, published())
    kernels = [np.asarray(two.get_layer(name).weights[0]) for name in ("stem", "context_stem")]
    np.testing.assert_array_equal(*kernels)
    for model in (one, two):
        freeze_generic(model)
    kept = {layer.name for layer in one.layers if not layer.trainable}
    both = {layer.name for layer in two.layers if not layer.trainable}
    assert both == kept | {f"context_{name}" for name in kept}
