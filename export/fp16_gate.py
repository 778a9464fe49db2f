"""The gate of the FP16 graph: it gives the FP32 graph's masks, or layers are kept in FP32."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from seg_stream.engines.model_info import ModelInfo
from seg_stream.export.fp16 import FP16_MAX, OVERFLOW_PRONE, layer_name, to_fp16
from seg_stream.export.fp16_run import LayerwiseNetwork
from seg_stream.export.parity import THRESHOLD, ParityError
from seg_stream.pipeline.types import FloatImage

if TYPE_CHECKING:
    import onnx

MIN_IOU = 0.995

HEADROOM = 8.0
"""A layer whose values come nearer than this factor to FP16's largest number stays in FP32."""


@dataclass(frozen=True)
class Agreement:
    """How near the masks of two graphs are."""

    photographs: int
    max_abs_error: float
    """Largest difference of a probability; infinite where one is NaN or infinite."""
    iou: float
    """Intersection over union of the masks at 0.5, counted over the pixels of all photographs.

    One by one, a photograph without a person would decide: the few pixels of its mask are those
    that hover at a half.
    """

    @property
    def passes(self) -> bool:
        return bool(np.isfinite(self.max_abs_error)) and self.iou >= MIN_IOU


@dataclass(frozen=True)
class Fp16Report:
    """How the FP16 graph compares with the FP32 graph, and which layers are not in FP16."""

    agreement: Agreement
    layers: int
    """Layers in FP16."""
    kept: dict[str, str] = field(default_factory=dict)
    """Layers in FP32, by name, and why."""


def checked_fp16(
    model: onnx.ModelProto, info: ModelInfo, photographs: Iterable[FloatImage]
) -> tuple[onnx.ModelProto, Fp16Report]:
    """Turn a graph into FP16 and show on photographs that its masks are the same.

    Layers that overflow, or that cost the masks' agreement, are kept in FP32.

    Args:
        model: the graph in FP32, of one picture in and one map out.
        info: how it is fed and read.
        photographs: (1, 3, H, W) float32, RGB 0..255, of the model's size.

    Raises:
        ParityError: the masks are not the same even with the layers at fault in FP32.
        UserError: see `to_fp16`.
    """
    gate = _Gate(model, info, [as_input(photograph, info) for photograph in photographs])
    kept = {
        layer_name(node): "prone to overflow"
        for node in model.graph.node
        if node.op_type in OVERFLOW_PRONE
    }
    kept |= dict.fromkeys(gate.large, "its values are too large for FP16")
    half, agreement = gate.measure(kept)
    if not agreement.passes:
        half, agreement, faulty = _without_faults(gate, list(kept))
        kept |= dict.fromkeys(faulty, "the masks differ with it in FP16")
    return half, Fp16Report(agreement, _count_fp16(half), kept)


def as_input(photograph: FloatImage, info: ModelInfo) -> FloatImage:
    """A photograph, (1, 3, H, W) RGB 0..255, as the model wants its input."""
    channels = photograph if info.input_colour == "RGB" else photograph[:, ::-1]
    mean = np.array(info.input_mean, np.float32).reshape(1, 3, 1, 1)
    std = np.array(info.input_std, np.float32).reshape(1, 3, 1, 1)
    scaled = (channels - mean) / std
    turned = scaled if info.input_layout == "NCHW" else scaled.transpose(0, 2, 3, 1)
    return np.ascontiguousarray(turned, np.float32)


def person(output: FloatImage, info: ModelInfo) -> FloatImage:
    """The person's probability, (H, W), in a model's output."""
    channel = info.output_channel
    return output[0, channel] if info.output_layout == "NCHW" else output[0, ..., channel]


def compare(expected: Sequence[FloatImage], got: Sequence[FloatImage]) -> Agreement:
    """Compare probabilities, one array for each photograph.

    Raises:
        ValueError: there are no photographs.
    """
    if not expected:
        raise ValueError("There are no photographs to compare on.")
    worst, both, either = 0.0, 0, 0
    for one, other in zip(expected, got, strict=True):
        finite = bool(np.isfinite(one).all() and np.isfinite(other).all())
        worst = max(worst, float(np.abs(one - other).max()) if finite else float("inf"))
        a, b = one > THRESHOLD, other > THRESHOLD
        both += int(np.count_nonzero(a & b))
        either += int(np.count_nonzero(a | b))
    return Agreement(len(expected), worst, both / either if either else 1.0)


class _Gate:
    """A graph, what it gives for the photographs, and which of its layers meet large values."""

    def __init__(
        self, model: onnx.ModelProto, info: ModelInfo, inputs: Sequence[FloatImage]
    ) -> None:
        self._model, self._info, self._inputs = model, info, inputs
        self.names = [layer_name(node) for node in model.graph.node]
        self._expected: list[FloatImage] = []
        large: set[str] = set()
        network = LayerwiseNetwork(model)
        for tensor in inputs:
            for name, value in network.trace(tensor):
                if value.dtype == np.float32 and not np.all(np.abs(value) < FP16_MAX / HEADROOM):
                    large.add(name)
                if name == network.output:
                    self._expected.append(person(value, info))
        self.large = [
            layer_name(node)
            for node in model.graph.node
            if not large.isdisjoint([*node.input, *node.output])
        ]

    def measure(self, keep: Iterable[str]) -> tuple[onnx.ModelProto, Agreement]:
        """The graph in FP16 but for the layers named, and how it agrees."""
        half = to_fp16(self._model, set(keep))
        network = LayerwiseNetwork(half)
        got = [person(network(tensor), self._info) for tensor in self._inputs]
        return half, compare(self._expected, got)


def _without_faults(gate: _Gate, kept: list[str]) -> tuple[onnx.ModelProto, Agreement, list[str]]:
    """The graph in FP16 but for as few layers as it takes, beginning with the most harmful."""

    def harm(name: str) -> tuple[float, float]:
        alone = gate.measure(other for other in gate.names if other != name)[1]
        return 1 - alone.iou, alone.max_abs_error

    harms = {name: harm(name) for name in gate.names if name not in kept}
    ranked = sorted(harms, key=lambda name: harms[name], reverse=True)
    low, high = 0, 1  # with `low` of them in FP32 it fails
    while True:
        high = min(high, len(ranked))
        half, agreement = gate.measure([*kept, *ranked[:high]])
        if agreement.passes:
            break
        if high == len(ranked):
            raise ParityError(
                "The model does not give its FP32 mask as an FP16 engine, even with every layer "
                f"in FP32 (mask IoU {agreement.iou:.5f}, at least {MIN_IOU} needed)."
            )
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        fewer, result = gate.measure([*kept, *ranked[:middle]])
        if result.passes:
            high, half, agreement = middle, fewer, result
        else:
            low = middle
    return half, agreement, ranked[:high]


def _count_fp16(half: onnx.ModelProto) -> int:
    import onnx

    types = {value.name: value.type.tensor_type.elem_type for value in half.graph.value_info}
    return sum(
        node.op_type != "Cast"
        and any(types.get(name) == onnx.TensorProto.FLOAT16 for name in node.output)
        for node in half.graph.node
    )
