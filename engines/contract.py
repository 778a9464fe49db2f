"""What every engine promises: tensors in, tensors out, and nothing about video."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from seg_stream.engines.model_info import ModelInfo
from seg_stream.pipeline.closable import Closable
from seg_stream.pipeline.errors import SegStreamError, UserError
from seg_stream.pipeline.types import FloatImage

if TYPE_CHECKING:
    from seg_stream.engines.device_engine import DeviceEngine

Layout = Literal["NCHW", "NHWC"]


@dataclass(frozen=True)
class TensorSpec:
    """Name, shape, type and layout of an input or output; `range` is what its values mean."""

    name: str
    shape: tuple[int, int, int, int]
    dtype: str
    layout: Layout
    range: str

    @property
    def height(self) -> int:
        return self.shape[2] if self.layout == "NCHW" else self.shape[1]

    @property
    def width(self) -> int:
        return self.shape[3] if self.layout == "NCHW" else self.shape[2]

    @property
    def channels(self) -> int:
        return self.shape[1] if self.layout == "NCHW" else self.shape[3]


TOLERANCE = 0.01
"""How far a probability may stray from 0..1 by rounding."""


def check_mask(mask_hw: FloatImage) -> FloatImage:
    """Return the mask of an engine if it is one.

    Raises:
        SegStreamError: it is not a number somewhere, as half precision can overflow to.
        UserError: its values are no probabilities.
    """
    low, high = float(mask_hw.min()), float(mask_hw.max())
    if not math.isfinite(low + high):
        raise SegStreamError("The network's output is not a number; the engine is at fault.")
    if low < -TOLERANCE or high > 1 + TOLERANCE:
        raise UserError(
            f"The model's output ranges from {low:.3g} to {high:.3g}, expected a probability 0..1; "
            "end the model with a sigmoid or softmax."
        )
    return mask_hw


class Engine(Closable):
    """A model, loaded and ready. Use it as a context manager, from one thread at a time.

    Buffers: the engine reads the input during the call only; the mask it returns belongs to the
    caller and is never written again.
    """

    name: str
    """The engine and the device it really runs on, as shown to the user."""

    notes: Sequence[str] = ()
    """Sentences for the user about how this engine came to be; more can come while it runs."""

    info: ModelInfo
    input: TensorSpec
    output: TensorSpec

    @abstractmethod
    def infer(self, tensor: FloatImage) -> FloatImage:
        """Run the network on one input.

        Args:
            tensor: float32, C-contiguous, of `input.shape` and in `input.range`.

        Returns:
            The person's probability, float32 (H, W) of the output, 0..1.

        Raises:
            ValueError: the shape or type is not the declared one.
            SegStreamError: the engine failed.
        """

    def on_device(self) -> DeviceEngine | None:
        """The engine itself, for the next frame, if its tensors stay on a GPU.

        Raises:
            SegStreamError: the engine is closed.
        """
        return None
