"""The alpha itself as an output: grey, white where the person is."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from seg_stream.pipeline.colour import FULL_RANGE, Colour
from seg_stream.pipeline.frame import Frame
from seg_stream.pipeline.sinks.contract import Sink

GREY = Colour(matrix_tag=1, range_tag=FULL_RANGE, primaries_tag=1, transfer_tag=1)


class MatteSink(Sink):
    """Hands the alpha of each frame to another sink as a grey picture of full range."""

    def __init__(self, sink: Sink) -> None:
        super().__init__()
        self._sink = sink
        self.notes = sink.notes

    def write(self, frame: Frame) -> None:
        """See `Sink.write`.

        Raises:
            ValueError: the frame carries no alpha.
        """
        alpha_hw = frame.alpha_hw
        if alpha_hw is None:
            raise ValueError("the frame has no alpha; make the effect with keep_alpha")
        if frame.still:
            grey = replace(frame, planes=(np.dstack([alpha_hw] * 3),), format="bgr24")
        else:
            odd = (frame.width | frame.height) % 2
            side = (frame.height, frame.width) if odd else (frame.height // 2, frame.width // 2)
            neutral = np.full(side, 128, np.uint8)
            grey = replace(
                frame,
                planes=(alpha_hw, neutral, neutral),
                format="yuv444p" if odd else "yuv420p",
                colour=GREY,
            )
        self._sink.write(replace(grey, alpha_hw=None))

    def finish(self) -> None:
        """See `Sink.finish`."""
        self._sink.cut_short = self.cut_short
        self._sink.finish()

    def discard(self) -> None:
        """See `Sink.discard`."""
        self._sink.discard()
