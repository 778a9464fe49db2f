"""The gate: what is the same passes, what is different does not."""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import pytest

from seg_stream.export.parity import (
    Network,
    Parity,
    ParityError,
    mask_iou,
    measure_parity,
    onnx_runtime,
    require_parity,
)
from seg_stream.pipeline.types import FloatImage

if TYPE_CHECKING:
    import keras

PICTURE = np.zeros((1, 3, 4, 4), np.float32)


def alpha_of(*values: float) -> FloatImage:
    return np.array(values, np.float32).reshape(1, 1, 1, -1)


def always(alpha: FloatImage) -> Network:
    return lambda _: alpha


def test_iou_counts_pixels_above_a_half() -> None:
    assert mask_iou(alpha_of(0.9, 0.9, 0.1, 0.5), alpha_of(0.9, 0.1, 0.9, 0.4)) == 1 / 3


def test_two_empty_masks_agree() -> None:
    assert mask_iou(alpha_of(0.1, 0.2), alpha_of(0.3, 0.4)) == 1.0
    assert mask_iou(alpha_of(0.1, 0.2), alpha_of(0.3, 0.6)) == 0.0


def test_the_worst_photograph_counts() -> None:
    pictures = [np.full_like(PICTURE, value) for value in (0, 1, 2)]
    parity = measure_parity(
        lambda x: alpha_of(0.9, 0.2 + 0.1 * x.max()), always(alpha_of(0.9, 0.2)), pictures
    )
    assert parity.photographs == 3
    assert parity.max_abs_error == pytest.approx(0.2)
    assert parity.iou == 1.0
    assert parity.person_fraction == 0.5


@pytest.mark.parametrize("broken", [float("nan"), float("inf")])
def test_nan_and_infinity_are_refused(broken: float) -> None:
    good, bad = alpha_of(0.9, 0.1), alpha_of(0.9, broken)
    for one, other in ((good, bad), (bad, good), (bad, bad)):
        parity = measure_parity(always(one), always(other), [PICTURE])
        with pytest.raises(ParityError, match="NaN or infinity"):
            require_parity(parity)


@pytest.mark.parametrize(
    ("error", "iou", "passes"),
    [(1e-4, 0.999, True), (0.0, 1.0, True), (1.1e-4, 1.0, False), (0.0, 0.9989, False)],
)
def test_the_limits(error: float, iou: float, passes: bool) -> None:
    parity = Parity(photographs=4, max_abs_error=error, iou=iou, person_fraction=0.3)
    if passes:
        require_parity(parity)
    else:
        with pytest.raises(
            ParityError, match=rf"{re.escape(f'{error:.2e}')}.*{iou:.5f}.*on 4 photographs"
        ):
            require_parity(parity)


def test_other_shapes_and_no_photographs_are_errors() -> None:
    with pytest.raises(ParityError, match="shape"):
        measure_parity(always(alpha_of(0, 1)), always(alpha_of(0, 1, 1)), [PICTURE])
    with pytest.raises(ValueError, match="no photographs"):
        measure_parity(always(alpha_of(0)), always(alpha_of(0)), [])


def test_an_altered_graph_is_refused(
    article_model: keras.Model, photographs: list[FloatImage]
) -> None:
    onnx = pytest.importorskip("onnx", reason="needs the export extra (onnx)")
    from seg_stream.export.interface import keras_alpha, read_interface
    from seg_stream.export.keras_to_onnx import keras_to_onnx

    interface = read_interface(article_model)
    graph = keras_to_onnx(article_model, interface)

    def gate() -> None:
        network = onnx_runtime(graph.SerializeToString())
        require_parity(
            measure_parity(network, partial(keras_alpha, article_model, interface), photographs)
        )

    gate()
    # A form that parses everywhere and takes wrong pixels.
    for node in graph.graph.node:
        for attribute in node.attribute:
            if node.op_type == "Resize" and attribute.name == "coordinate_transformation_mode":
                attribute.s = b"half_pixel"
    onnx.checker.check_model(graph, full_check=True)
    with pytest.raises(ParityError, match="differs from the Keras model"):
        gate()
