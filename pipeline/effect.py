"""The effect itself: one frame in, the same frame with another background out."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from time import perf_counter

import numpy as np

from seg_stream.engines.models import DEFAULT
from seg_stream.engines.select import open_engine
from seg_stream.pipeline.backgrounds import open_background
from seg_stream.pipeline.blend import blend
from seg_stream.pipeline.closable import Closable
from seg_stream.pipeline.colour import Colour
from seg_stream.pipeline.frame import Frame
from seg_stream.pipeline.matte import Matte, MatteSettings
from seg_stream.pipeline.prepare import prepare
from seg_stream.pipeline.runner import Stage
from seg_stream.pipeline.types import FloatImage, Image


@dataclass(frozen=True, slots=True)
class _Job:
    """A frame on its way, with what was made from that very frame."""

    frame: Frame
    input: FloatImage
    mask_hw: FloatImage | None = None


class VirtualBackground(Closable):
    """Finds the person in frames and puts a background behind; use it as a context manager.

    Call it with pictures (BGR, uint8) from one thread, or hand its `stages` to the runner.

    Args:
        background: `blur`, `#rrggbb`, or the name of a picture or video file.
        model: name of a shipped model or path of an ONNX file.
        engine: `auto` or an engine's name.
        matte: how the alpha is made.

    Raises:
        UserError: one of these cannot be used.
    """

    def __init__(
        self,
        background: str | Path = "blur",
        *,
        model: str | Path = DEFAULT,
        engine: str = "auto",
        matte: MatteSettings | None = None,
    ) -> None:
        self._background = open_background(background)
        try:
            self.engine = open_engine(engine, model)
        except BaseException:
            self._background.close()
            raise
        self._matte = Matte(matte)
        self._count = 0
        self.stages = (
            Stage("prepare", self._prepare),
            Stage("infer", self._infer),
            Stage("composite", self._composite),
        )

    def __call__(self, frame_bgr: Image) -> Image:
        """Composite one picture, uint8 (H, W, 3) BGR, the next one of a live stream.

        Raises:
            ValueError: it has another type or shape.
        """
        frame_bgr = np.asarray(frame_bgr)
        shape = frame_bgr.shape
        if frame_bgr.dtype != np.uint8 or len(shape) != 3 or shape[2] != 3 or 0 in shape:
            raise ValueError(f"got {frame_bgr.dtype} {shape}, expected uint8 (H, W, 3)")
        now_s = perf_counter()
        pts = round(now_s * 1000)
        frame = Frame(self._count, (frame_bgr,), "bgr24", Colour(), pts, Fraction(1, 1000), now_s)
        self._count += 1
        return self.process(frame).planes[0]

    def process(self, frame: Frame) -> Frame:
        """Do the work of all stages on one frame, in this thread."""
        return self._composite(self._infer(self._prepare(frame)))

    def _prepare(self, frame: Frame) -> _Job:
        return _Job(frame, prepare(frame, self.engine.input, self.engine.info))

    def _infer(self, job: _Job) -> _Job:
        return replace(job, mask_hw=self.engine.infer(job.input))

    def _composite(self, job: _Job) -> Frame:
        if job.mask_hw is None:
            raise ValueError("the job has no mask; infer comes before composite")
        alpha_hw = self._matte(job.mask_hw, job.frame)
        background = self._background.planes(job.frame, alpha_hw)
        return replace(job.frame, planes=blend(job.frame.planes, alpha_hw, background))

    def close(self) -> None:
        """Free engine and background."""
        self.engine.close()
        self._background.close()
