"""The exported graph: its names and shapes, its operators, and that it gives what Keras gives."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from seg_stream.export.interface import keras_alpha, read_interface
from seg_stream.export.keras_to_onnx import keras_to_onnx
from seg_stream.export.parity import measure_parity, onnx_runtime, require_parity
from seg_stream.pipeline.errors import UserError
from seg_stream.pipeline.types import FloatImage

if TYPE_CHECKING:
    import keras
    import onnx
    from keras import layers
else:
    pytest.importorskip("tensorflow", reason="needs the export extra (TensorFlow)")
    keras = pytest.importorskip("keras", reason="needs the export extra (Keras)")
    onnx = pytest.importorskip("onnx", reason="needs the export extra (onnx)")
    layers = keras.layers


def export(model: keras.Model, **options: Any) -> onnx.ModelProto:
    return keras_to_onnx(model, read_interface(model, **options))


def run(graph: onnx.ModelProto, input_nchw: FloatImage) -> FloatImage:
    return onnx_runtime(graph.SerializeToString())(input_nchw)


def small(*body: Any, channels: int = 1, activation: str = "sigmoid") -> keras.Model:
    """A chain of layers on a 64x64 picture with a 1x1 head."""
    head = layers.Conv2D(channels, 1, activation=activation)
    return keras.Sequential([keras.Input((64, 64, 3)), *body, head])


def operators(graph: onnx.ModelProto) -> Counter[str]:
    return Counter(node.op_type for node in graph.graph.node)


def attributes(graph: onnx.ModelProto, op_type: str) -> list[dict[str, Any]]:
    return [
        {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
        for node in graph.graph.node
        if node.op_type == op_type
    ]


def assert_parity(
    model: keras.Model, graph: onnx.ModelProto, photographs: list[FloatImage], **options: Any
) -> None:
    interface = read_interface(model, **options)
    network = onnx_runtime(graph.SerializeToString())
    parity = measure_parity(network, lambda x: keras_alpha(model, interface, x), photographs)
    require_parity(parity)
    assert parity.max_abs_error < 5e-6


def test_the_articles_unet_keeps_one_resize_for_each_upsampling(
    article_model: keras.Model, photographs: list[FloatImage]
) -> None:
    graph = export(article_model)
    assert operators(graph) == {
        "Mul": 1,  # the division by 255
        "Conv": 24,
        "Relu": 23,
        "MaxPool": 4,
        "Resize": 4,
        "Concat": 4,
        "Sigmoid": 1,
        "ReduceMean": 1,  # of the three sigmoid channels
    }
    assert_parity(article_model, graph, photographs)


def test_the_slim_net_has_no_batch_norm_and_no_transpose_left(
    slim_model: keras.Model, photographs: list[FloatImage]
) -> None:
    graph = export(slim_model)
    assert operators(graph) == {
        "Mul": 1,  # the Rescaling
        "Add": 2,  # its offset and the residual sum
        "Conv": 5,
        "ConvTranspose": 2,
        "Relu": 5,
        "Resize": 1,
        "Concat": 1,
        "MaxPool": 1,
        "Sigmoid": 1,
    }
    assert_parity(slim_model, graph, photographs)


@pytest.mark.parametrize("which", ["article_model", "slim_model"])
def test_every_resize_is_the_form_that_is_exact(which: str, request: pytest.FixtureRequest) -> None:
    graph = export(request.getfixturevalue(which))
    constants = {t.name: onnx.numpy_helper.to_array(t) for t in graph.graph.initializer}
    for node in graph.graph.node:
        if node.op_type == "Resize":
            assert node.input[1] == "", "no region of interest"
            np.testing.assert_array_equal(constants[node.input[2]], [1, 1, 2, 2])
    for resize in attributes(graph, "Resize"):
        assert resize["mode"] == b"nearest"
        assert resize["coordinate_transformation_mode"] == b"asymmetric"
        assert resize["nearest_mode"] == b"floor"


def test_names_shapes_and_opset_are_the_contract(slim_model: keras.Model) -> None:
    graph = export(slim_model)
    onnx.checker.check_model(graph, full_check=True)
    (source,), (target,) = graph.graph.input, graph.graph.output
    assert (source.name, target.name) == ("input", "alpha")
    for value, channels in ((source, 3), (target, 1)):
        tensor = value.type.tensor_type
        assert tensor.elem_type == onnx.TensorProto.FLOAT
        assert [dim.dim_value for dim in tensor.shape.dim] == [1, channels, 64, 64]
    assert {entry.domain: entry.version for entry in graph.opset_import}[""] >= 17


def test_plain_pixels_go_in_whatever_the_model_takes(photographs: list[FloatImage]) -> None:
    unit = small()
    pixels = small(layers.Rescaling(1 / 255))
    pixels.set_weights(unit.get_weights())
    np.testing.assert_allclose(
        run(export(unit), photographs[0]), run(export(pixels), photographs[0]), atol=1e-6
    )
    expected = unit(np.transpose(photographs[0], (0, 2, 3, 1)) / 255)
    np.testing.assert_allclose(
        run(export(unit), photographs[0])[:, 0], np.asarray(expected)[..., 0], atol=1e-6
    )


def test_three_sigmoid_channels_are_averaged(photographs: list[FloatImage]) -> None:
    model = small(channels=3)
    expected = np.asarray(model(np.transpose(photographs[0], (0, 2, 3, 1)) / 255)).mean(-1)
    np.testing.assert_allclose(run(export(model), photographs[0])[:, 0], expected, atol=1e-6)


@pytest.mark.parametrize("person_class", [0, 1, 2])
def test_a_softmax_gives_the_persons_class(
    person_class: int, photographs: list[FloatImage]
) -> None:
    model = small(channels=3, activation="softmax")
    graph = export(model, person_class=person_class)
    expected = np.asarray(model(np.transpose(photographs[0], (0, 2, 3, 1)) / 255))
    np.testing.assert_allclose(
        run(graph, photographs[0])[:, 0], expected[..., person_class], atol=1e-6
    )


@pytest.mark.parametrize(
    "body",
    [
        [layers.MaxPooling2D((2, 4)), layers.UpSampling2D((2, 4))],
        [layers.MaxPooling2D(4), layers.UpSampling2D(4)],
        [layers.MaxPooling2D(2), layers.UpSampling2D(2, interpolation="bilinear")],
        [keras.Sequential([keras.Input((None, None, 3)), layers.MaxPooling2D()]),
         keras.Sequential([keras.Input((None, None, 3)), layers.UpSampling2D()])],
        [layers.Conv2D(4, 3, padding="same"), layers.PReLU(shared_axes=(1, 2))],
    ],
    ids=["2x4", "4x4", "bilinear", "inside nested models", "PReLU"],
)  # fmt: skip
def test_other_layers_export_without_tile_or_transpose(
    body: list[Any], photographs: list[FloatImage]
) -> None:
    model = small(*body)
    graph = export(model)
    counts = operators(graph)
    assert not counts.keys() & {"Tile", "Transpose", "Reshape", "Unsqueeze"}
    assert counts["Resize"] == ("PReLU" not in type(body[-1]).__name__)
    assert_parity(model, graph, photographs)


def test_an_open_size_is_fixed_by_the_export() -> None:
    model = keras.Sequential(
        [
            keras.Input((None, None, 3)),
            layers.MaxPooling2D(),
            layers.UpSampling2D(),
            layers.Conv2D(1, 1, activation="sigmoid"),
        ]
    )
    graph = export(model, size=(32, 48))
    assert run(graph, np.zeros((1, 3, 32, 48), np.float32)).shape == (1, 1, 32, 48)
    assert operators(graph) == {"Mul": 1, "MaxPool": 1, "Resize": 1, "Conv": 1, "Sigmoid": 1}


def test_the_keras_model_is_left_as_it_was(article_model: keras.Model) -> None:
    pixels = np.ones((1, 64, 64, 3), np.float32)
    before = np.asarray(article_model(pixels, training=False))
    export(article_model)
    kinds = Counter(type(layer) for layer in article_model.layers)
    assert kinds[layers.UpSampling2D] == 4
    np.testing.assert_array_equal(before, article_model(pixels, training=False))


def test_half_pixel_nearest_is_refused() -> None:
    model = small(layers.MaxPooling2D(), layers.Resizing(64, 64, interpolation="nearest"))
    with pytest.raises(UserError, match="use UpSampling2D"):
        export(model)


def test_an_operation_that_onnx_lacks_is_named() -> None:
    with pytest.raises(UserError, match="Erfinv, which ONNX does not have"):
        export(small(layers.Lambda(lambda x: keras.ops.erfinv(x * 0.001))))
