"""Step 7: the gate. An exported model must give what the Keras model gives, or is not written."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

from seg_stream.pipeline.errors import SegStreamError
from seg_stream.pipeline.types import FloatImage

MAX_ABS_ERROR = 1e-4
MIN_IOU = 0.999
THRESHOLD = 0.5

Network = Callable[[FloatImage], FloatImage]
"""From (1, 3, H, W) float32, RGB 0..255, to alpha (1, 1, H, W) float32."""


class ParityError(SegStreamError):
    """The exported model does not give what the Keras model gives."""


@dataclass(frozen=True)
class Parity:
    """How far a model is from its reference; the worst of all photographs."""

    photographs: int
    max_abs_error: float
    """Largest difference of a probability; infinite where one is NaN or infinite."""
    iou: float
    """Intersection over union of the masks at 0.5; 1 where both are empty."""
    person_fraction: float
    """Share of all pixels that the reference gives to the person."""


def measure_parity(
    candidate: Network, reference: Network, photographs: Iterable[FloatImage]
) -> Parity:
    """Compare two networks on photographs of (1, 3, H, W) float32, RGB 0..255.

    Raises:
        ParityError: the two give alphas of different shapes.
        ValueError: there are no photographs.
    """
    errors, ious, fractions = [], [], []
    for photograph in photographs:
        expected, got = reference(photograph), candidate(photograph)
        if expected.shape != got.shape:
            raise ParityError(
                f"The exported model gives an alpha of shape {got.shape}, the Keras model one of "
                f"{expected.shape}."
            )
        finite = bool(np.isfinite(expected).all() and np.isfinite(got).all())
        errors.append(float(np.abs(expected - got).max()) if finite else float("inf"))
        ious.append(mask_iou(expected, got))
        fractions.append(float(np.mean(expected > THRESHOLD)))
    if not errors:
        raise ValueError("There are no photographs to compare on.")
    return Parity(len(errors), max(errors), min(ious), float(np.mean(fractions)))


def mask_iou(first: FloatImage, second: FloatImage) -> float:
    """Intersection over union of two alphas cut at 0.5; 1 if both masks are empty."""
    a, b = first > THRESHOLD, second > THRESHOLD
    union = int(np.count_nonzero(a | b))
    return int(np.count_nonzero(a & b)) / union if union else 1.0


def require_parity(parity: Parity) -> None:
    """Let a model pass only within the limits.

    Raises:
        ParityError: says by how much it misses them.
    """
    if not np.isfinite(parity.max_abs_error):
        raise ParityError("The model gives NaN or infinity on real photographs.")
    if parity.max_abs_error > MAX_ABS_ERROR or parity.iou < MIN_IOU:
        raise ParityError(
            f"The exported model differs from the Keras model by up to {parity.max_abs_error:.2e} "
            f"(at most {MAX_ABS_ERROR:.0e} allowed) with a mask IoU of {parity.iou:.5f} (at least "
            f"{MIN_IOU} needed) on {parity.photographs} photographs."
        )


def onnx_runtime(model: bytes) -> Network:
    """Return an ONNX file's content as a network, run by ONNX Runtime on the CPU."""
    import onnxruntime

    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    return lambda input_nchw: np.asarray(session.run(["alpha"], {"input": input_nchw})[0])
