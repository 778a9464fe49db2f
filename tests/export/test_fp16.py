"""The FP16 graph: its types and operators, what it gives, and what the gate does about it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from seg_stream.engines.model_info import METADATA_KEY, ModelInfo
from seg_stream.engines.models import find_model
from seg_stream.export.fp16 import layer_name, to_fp16
from seg_stream.export.fp16_gate import MIN_IOU, as_input, checked_fp16, compare, person
from seg_stream.export.fp16_run import LayerwiseNetwork
from seg_stream.export.parity import ParityError, onnx_runtime
from seg_stream.export.photographs import read_photographs
from seg_stream.pipeline.errors import UserError
from seg_stream.pipeline.types import FloatImage

if TYPE_CHECKING:
    import keras
    import onnx
else:
    onnx = pytest.importorskip("onnx", reason="needs the export extra (onnx)")

FLOAT, HALF = onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16
SHIPPED = ["portrait-lite", "portrait"]
SIDE = 32


def shipped(name: str) -> onnx.ModelProto:
    return onnx.load(find_model(name))


def info_of(model: onnx.ModelProto) -> ModelInfo:
    return ModelInfo.from_json(
        next(prop.value for prop in model.metadata_props if prop.key == METADATA_KEY)
    )


def types(model: onnx.ModelProto) -> dict[str, int]:
    graph = onnx.shape_inference.infer_shapes(model).graph
    values = (*graph.input, *graph.value_info, *graph.output)
    found = {value.name: value.type.tensor_type.elem_type for value in values}
    return found | {tensor.name: tensor.data_type for tensor in graph.initializer}


def chain(*steps: tuple[str, float | None] | onnx.NodeProto) -> onnx.ModelProto:
    """A model of one operator after the other, each named like its output, on (1, 3, 32, 32)."""
    nodes, weights, value = [], [], "input"
    for number, step in enumerate(steps):
        if not isinstance(step, tuple):
            node = step
            node.input[0] = value
        else:
            kind, constant = step
            inputs = [value] if constant is None else [value, f"weight{number}"]
            node = onnx.helper.make_node(kind, inputs, [f"{kind}{number}"], f"{kind}{number}")
            if constant is not None:
                weights.append(onnx.helper.make_tensor(inputs[1], FLOAT, [], [constant]))
        nodes.append(node)
        value = node.output[0]
    nodes[-1].output[0] = "alpha"
    shape = [1, 3, SIDE, SIDE]
    graph = onnx.helper.make_graph(
        nodes,
        "chain",
        [onnx.helper.make_tensor_value_info("input", FLOAT, shape)],
        [onnx.helper.make_tensor_value_info("alpha", FLOAT, None)],
        weights,
    )
    model = onnx.helper.make_model(
        graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8
    )
    return onnx.shape_inference.infer_shapes(model)


def pictures(count: int = 2) -> list[FloatImage]:
    rng = np.random.default_rng(4)
    return [rng.uniform(0, 255, (1, 3, SIDE, SIDE)).astype(np.float32) for _ in range(count)]


INFO = ModelInfo(name="chain")


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_model_is_fp16_throughout_between_two_casts(name: str) -> None:
    model = shipped(name)
    half = to_fp16(model)
    before = Counter(node.op_type for node in model.graph.node)
    after = Counter(node.op_type for node in half.graph.node)
    assert after - before == Counter({"Cast": 2})
    assert not before - after
    kinds = types(half)
    for value in (*half.graph.input, *half.graph.output):
        assert value.type.tensor_type.elem_type == FLOAT
    assert [v.name for v in half.graph.input] == [v.name for v in model.graph.input]
    assert [v.name for v in half.graph.output] == [v.name for v in model.graph.output]
    scales = {node.input[2] for node in half.graph.node if node.op_type == "Resize"}
    for node in half.graph.node:
        if node.op_type != "Cast":
            assert all(kinds[name] == HALF for name in node.output), node.name
            for name_in in filter(None, node.input):
                assert kinds[name_in] == (FLOAT if name_in in scales else HALF), node.name
    assert info_of(half) == info_of(model)


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_model_passes_the_gate_with_nearly_every_layer_in_fp16(name: str) -> None:
    pytest.importorskip("skimage", reason="needs scikit-image for its photographs")
    model = shipped(name)
    _, _, height, width = (d.dim_value for d in model.graph.input[0].type.tensor_type.shape.dim)
    _, report = checked_fp16(model, info_of(model), read_photographs(None, height, width)[:2])
    assert report.agreement.iou >= MIN_IOU
    assert 0 < report.agreement.max_abs_error < 0.05
    assert len(report.kept) <= 1, "a cheap one where a mask is at its threshold"
    assert report.layers + len(report.kept) == len(model.graph.node)


def test_the_model_given_is_not_changed() -> None:
    model = shipped("portrait-lite")
    before = model.SerializeToString()
    to_fp16(model)
    assert model.SerializeToString() == before


def test_an_exported_keras_model_becomes_fp16(
    slim_model: keras.Model, photographs: list[FloatImage]
) -> None:
    from seg_stream.export.interface import read_interface
    from seg_stream.export.keras_to_onnx import keras_to_onnx

    graph = keras_to_onnx(slim_model, read_interface(slim_model))
    kinds = types(half := to_fp16(graph))
    for node in half.graph.node:
        assert kinds[node.output[0]] == HALF or "alpha" in node.output
    assert sum(node.op_type == "Cast" for node in half.graph.node) == 2
    network, reference = LayerwiseNetwork(half), LayerwiseNetwork(graph)
    for photograph in photographs:
        np.testing.assert_allclose(network(photograph), reference(photograph), atol=0.02)


def test_what_is_prone_to_overflow_stays_in_fp32() -> None:
    """The article's U-Net ends in the mean of three sigmoids."""
    mean = onnx.helper.make_node("ReduceMean", ["sigmoids"], ["mean"], "mean", axes=[1])
    half, report = checked_fp16(chain(("Mul", 0.02), ("Sigmoid", None), mean), INFO, pictures())
    assert report.kept == {"mean": "prone to overflow"}
    assert report.layers == 2
    assert [node.op_type for node in half.graph.node] == [
        "Cast", "Mul", "Sigmoid", "Cast", "ReduceMean",
    ]  # fmt: skip


def test_a_kept_layer_has_a_cast_on_either_side_and_no_more() -> None:
    model = chain(("Mul", 0.01), ("Relu", None), ("Add", 0.5), ("Sigmoid", None))
    kinds = types(half := to_fp16(model, keep={"Relu1", "Add2"}))
    assert [node.op_type for node in half.graph.node] == [
        "Cast", "Mul", "Cast", "Relu", "Add", "Cast", "Sigmoid", "Cast",
    ]  # fmt: skip
    assert (kinds["Mul0"], kinds["Relu1"], kinds["Add2"]) == (HALF, FLOAT, FLOAT)
    assert kinds["weight2"] == FLOAT
    everything = to_fp16(model, keep=[layer_name(node) for node in model.graph.node])
    assert not [node for node in everything.graph.node if node.op_type == "Cast"]


def test_a_value_that_many_layers_read_is_cast_once() -> None:
    model = chain(("Relu", None), ("Sigmoid", None))
    for number in range(3):
        model.graph.node.append(
            onnx.helper.make_node("Add", ["Relu0", "alpha"], [f"extra{number}"], f"extra{number}")
        )
        model.graph.output.append(
            onnx.helper.make_tensor_value_info(f"extra{number}", FLOAT, [1, 3, SIDE, SIDE])
        )
    half = to_fp16(model, keep={"extra0", "extra1"})
    casts = Counter((n.input[0], n.op_type) for n in half.graph.node if n.op_type == "Cast")
    assert casts["Relu0", "Cast"] == 1
    session_like = LayerwiseNetwork(half)
    assert session_like(pictures()[0]).shape == (1, 3, SIDE, SIDE)


def test_constants_inside_the_graph_and_weights_beyond_fp16_are_taken_care_of() -> None:
    value = onnx.helper.make_tensor("value", FLOAT, [], [0.25])
    model = chain(("Mul", 1e6), ("Mul", 1e-6), ("Sigmoid", None))
    model.graph.node.insert(0, onnx.helper.make_node("Constant", [], ["quarter"], value=value))
    model.graph.node[2].input[1] = "quarter"
    half = to_fp16(onnx.shape_inference.infer_shapes(model))
    kinds = types(half)
    assert kinds["Mul0"] == FLOAT, "1e6 is infinite in FP16"
    assert kinds["Mul1"] == HALF
    assert not [node for node in half.graph.node if node.op_type == "Constant"]


def test_what_cannot_be_converted_is_said() -> None:
    with pytest.raises(UserError, match="FP16 already"):
        to_fp16(to_fp16(chain(("Relu", None))))
    model = chain(("Relu", None))
    unknown = onnx.helper.make_node("Abacus", ["input"], ["beads"], domain="tests")
    model.graph.node.insert(0, unknown)
    model.graph.node[1].input[0] = "beads"
    with pytest.raises(UserError, match="not valid ONNX"):
        to_fp16(model)
    model.opset_import.append(onnx.helper.make_opsetid("tests", 1))
    with pytest.raises(UserError, match="type of beads"):
        to_fp16(model)


def test_layer_by_layer_an_fp32_graph_gives_what_onnx_runtime_gives() -> None:
    model = shipped("portrait-lite")
    _, _, height, width = (d.dim_value for d in model.graph.input[0].type.tensor_type.shape.dim)
    tensor = np.random.default_rng(1).uniform(0, 255, (1, 3, height, width)).astype(np.float32)
    got = LayerwiseNetwork(model)(tensor)
    np.testing.assert_allclose(got, onnx_runtime(model.SerializeToString())(tensor), atol=1e-4)


def test_layer_by_layer_an_overflow_shows_which_onnx_runtime_hides() -> None:
    half = to_fp16(chain(("Mul", 1000.0), ("Mul", 0.001)))
    tensor = np.full((1, 3, SIDE, SIDE), 200, np.float32)
    assert np.isfinite(onnx_runtime(half.SerializeToString())(tensor)).all()
    assert np.isinf(LayerwiseNetwork(half)(tensor)).all()


def test_the_gate_keeps_what_overflows_in_fp32_and_names_it() -> None:
    model = chain(("Mul", 1000.0), ("Mul", 0.001), ("Sub", 128.0), ("Sigmoid", None))
    half, report = checked_fp16(model, INFO, pictures())
    reason = "its values are too large for FP16"
    assert report.kept == {"Mul0": reason, "Mul1": reason}, "one makes them, one reads them"
    assert report.agreement.passes
    assert types(half)["Sub2"] == HALF


def test_the_gate_finds_the_layers_that_cost_the_mask() -> None:
    """Adding a large number and taking it away again costs the small one's digits."""
    model = chain(
        ("Mul", 1 / 255), ("Add", 4000.0), ("Sub", 4000.0), ("Sub", 0.5), ("Mul", 20.0),
        ("Sigmoid", None),
    )  # fmt: skip
    half, report = checked_fp16(model, INFO, pictures())
    assert not compare(
        [LayerwiseNetwork(model)(p) for p in pictures()],
        [LayerwiseNetwork(to_fp16(model))(p) for p in pictures()],
    ).passes
    assert report.agreement.passes
    assert set(report.kept) == {"Add1", "Sub2"}
    assert types(half)["Sub3"] == HALF


def test_a_model_that_gives_no_number_does_not_pass() -> None:
    with pytest.raises(ParityError, match="does not give its FP32 mask"):
        checked_fp16(chain(("Mul", float("nan")), ("Sigmoid", None)), INFO, pictures(1))


def maps(*values: Sequence[float]) -> list[FloatImage]:
    return [np.array([value], np.float32) for value in values]


def test_agreement_is_counted_over_the_pixels_of_all_photographs() -> None:
    agreement = compare(maps([0.9] * 9 + [0.1], [0.6, 0.1]), maps([0.9] * 9 + [0.1], [0.4, 0.1]))
    assert agreement.iou == pytest.approx(9 / 10)
    assert agreement.max_abs_error == pytest.approx(0.2)
    assert not agreement.passes
    assert compare(maps([0.1]), maps([0.2])).iou == 1
    for broken in (float("nan"), float("inf")):
        assert not compare(maps([0.9]), maps([broken])).passes
    with pytest.raises(ValueError, match="no photographs"):
        compare([], [])


@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
def test_a_photograph_is_fed_and_the_person_read_as_the_model_says(
    layout: str, write_model: Callable[..., Path], tmp_path: Path
) -> None:
    info = ModelInfo.of(
        {
            "name": "other",
            "input_layout": layout,
            "output_layout": layout,
            "input_colour": "BGR",
            "input_mean": [1, 2, 3],
            "input_std": [2, 2, 2],
            "output_channel": 1,
        }
    )
    photograph = np.zeros((1, 3, 2, 5), np.float32)
    photograph[0, 0] = 21  # red
    fed: Any = as_input(photograph, info)
    pixel = fed[0, :, 0, 0] if layout == "NCHW" else fed[0, 0, 0]
    assert fed.flags.c_contiguous
    np.testing.assert_array_equal(pixel, [-0.5, -1, 9])
    model = onnx.load(write_model(tmp_path / "m.onnx", info=info, channels=3))
    bright = np.full((1, 3, 96, 96), 250, np.float32)
    alpha = person(LayerwiseNetwork(model)(as_input(bright, info)), info)
    assert alpha.shape == (96, 96)
    half, report = checked_fp16(model, info, [bright])
    assert report.kept
    assert half.graph.input[0].type.tensor_type.elem_type == FLOAT
