"""A live session on a stage: a room that can be recognised, a person in it, trouble on cue.

The tests play it on a simulated clock, `live_soak.py` in real time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import av
import cv2
import numpy as np

from seg_stream.benchmarks.fake_camera import FakeCamera, Mishap, read_number
from seg_stream.engines.contract import Engine
from seg_stream.engines.models import DEFAULT, find_model
from seg_stream.engines.onnxruntime_cpu import OnnxRuntimeEngine
from seg_stream.pipeline.errors import SegStreamError
from seg_stream.pipeline.frame import Frame
from seg_stream.pipeline.live.clock import Clock
from seg_stream.pipeline.live.controls import Controls
from seg_stream.pipeline.live.session import LiveSession
from seg_stream.pipeline.live.settings import LiveSettings
from seg_stream.pipeline.sinks.contract import Sink
from seg_stream.pipeline.sources.reconnecting import LiveSource
from seg_stream.pipeline.types import FloatImage, Image

SIZE = WIDTH, HEIGHT = 160, 96
GREEN = "#00b140"


def room_luma(width: int = WIDTH, height: int = HEIGHT) -> Image:
    """A dark room full of detail, coarse and fine: below what the brightness model calls bright."""
    noise = np.random.default_rng(7)
    coarse = cv2.resize(noise.uniform(20, 90, (6, 10)).astype(np.float32), (width, height))
    fine = noise.uniform(-12, 12, (height, width))
    return np.clip(coarse + fine, 16, 105).astype(np.uint8)


def person_box(width: int = WIDTH, height: int = HEIGHT) -> tuple[slice, slice]:
    """Rows and columns of the person."""
    return slice(height // 5, None), slice(width // 4, width - width // 4)


def scene(width: int = WIDTH, height: int = HEIGHT) -> av.VideoFrame:
    """The person in the room."""
    luma = room_luma(width, height)
    luma[person_box(width, height)] = 200
    grey = np.full((height // 2, width), 120, np.uint8)
    return av.VideoFrame.from_ndarray(np.vstack([luma, grey]), format="yuv420p")


def likeness(luma: Image) -> float:
    """How much of the room is in a picture: the correlation away from the person, 0..1."""
    away = np.ones((HEIGHT, WIDTH), bool)
    rows, columns = person_box()
    away[max(0, rows.start - 8) :, columns.start - 8 : columns.stop + 8] = False
    shown, room = luma[away].astype(np.float64), room_luma()[away].astype(np.float64)
    if shown.std() < 0.5:
        return 0.0
    return abs(float(np.corrcoef(shown, room)[0, 1]))


@dataclass(frozen=True)
class Seen:
    """What an output got: when, which frame of the camera (None: a placeholder), how much room."""

    at_s: float
    number: int | None
    likeness: float
    captured_s: float
    pts: int
    corner: tuple[int, ...]
    """The first pixel of each plane."""


class Watching(Sink):
    """Looks at every frame and keeps what it saw, not the frame.

    Args:
        clock: the session's.
        pause_s: so long it takes for each frame.
    """

    def __init__(self, clock: Clock, pause_s: float = 0.0) -> None:
        super().__init__()
        self._clock, self._pause_s = clock, pause_s
        self._start_s = clock.now_s()
        self.seen: list[Seen] = []
        self.finished = False

    def write(self, frame: Frame) -> None:
        """See `Sink.write`."""
        luma = frame.luma()
        self.seen.append(
            Seen(
                self._clock.now_s() - self._start_s,
                read_number(luma),
                likeness(luma),
                frame.captured_s - self._start_s,
                frame.pts,
                tuple(int(plane[0, 0]) for plane in frame.planes),
            )
        )
        if self._pause_s:
            self._clock.sleep(self._pause_s)

    def finish(self) -> None:
        """See `Sink.finish`."""
        self.finished = True

    def discard(self) -> None:
        """See `Sink.discard`."""
        self.finished = True

    def between(self, from_s: float, to_s: float) -> list[Seen]:
        """What came between two times."""
        return [one for one in self.seen if from_s <= one.at_s < to_s]


@dataclass
class Trouble:
    """Something that happens to the network: `kind` is raise, everything (is person) or slow."""

    at_s: float
    for_s: float
    kind: str
    cost_s: float = 0.0


class BrightEngine(Engine):
    """Does a real network's work, but takes what is bright for the person."""

    def __init__(self, inner: Engine) -> None:
        self._inner, self.name, self.info = inner, inner.name, inner.info
        self.input, self.output = inner.input, inner.output

    def infer(self, tensor: FloatImage) -> FloatImage:
        """See `Engine.infer`."""
        self._inner.infer(tensor)
        first = tensor[0] if self.input.layout == "NCHW" else tensor[0].transpose(2, 0, 1)
        scaled = np.array([self.info.input_mean, self.info.input_std])[..., None, None]
        brightness = np.asarray(first * scaled[1] + scaled[0], np.float32).mean(0)
        mask_hw = np.clip((brightness - 120) / 16, 0, 1)
        size = (self.output.width, self.output.height)
        return np.asarray(cv2.resize(mask_hw, size), np.float32)

    def close(self) -> None:
        """See `Engine.close`."""
        self._inner.close()


class TroubledEngine(Engine):
    """A real engine that takes its time, on the session's clock, and fails on cue."""

    def __init__(
        self,
        inner: Engine,
        clock: Clock,
        start_s: float,
        cost_s: float,
        troubles: Sequence[Trouble],
    ) -> None:
        self._inner, self._clock, self._start_s = inner, clock, start_s
        self._cost_s, self._troubles = cost_s, troubles
        self.name, self.info = inner.name, inner.info
        self.input, self.output = inner.input, inner.output
        self.calls = 0

    def infer(self, tensor: FloatImage) -> FloatImage:
        """See `Engine.infer`."""
        self.calls += 1
        now_s = self._clock.now_s() - self._start_s
        trouble = next(
            (one for one in self._troubles if one.at_s <= now_s < one.at_s + one.for_s), None
        )
        cost_s = trouble.cost_s if trouble and trouble.cost_s else self._cost_s
        if cost_s:
            self._clock.sleep(cost_s)
        mask_hw = self._inner.infer(tensor)
        if trouble is None or trouble.kind == "slow":
            return mask_hw
        if trouble.kind == "everything":
            return np.ones_like(mask_hw)
        raise SegStreamError(f"The device was lost ({trouble.kind}).")

    def close(self) -> None:
        """See `Engine.close`."""
        self._inner.close()


@dataclass
class Stage:
    """A session with everything around it, on one clock; add outputs and run `session` once.

    `model` is a model file that takes the bright for the person; None takes the default model and
    a `BrightEngine`.
    """

    clock: Clock
    model: Path | None = None
    script: Sequence[Mishap] = ()
    troubles: Sequence[Trouble] = ()
    rate: int = 30
    cost_s: float = 0.02
    jitter_s: float = 0.0
    settings: LiveSettings = field(default_factory=lambda: LiveSettings(background=GREEN))
    fps_target: float | None = None

    def __post_init__(self) -> None:
        """Open everything."""
        self.lines: list[tuple[float, str]] = []
        self.start_s = self.clock.now_s()
        self.camera = FakeCamera(
            SIZE, self.rate, self.script, jitter_s=self.jitter_s, scene=[scene()], clock=self.clock
        )
        self.source = LiveSource(self.camera.connect, clock=self.clock)
        self.controls = Controls(self.settings)
        self.engines: list[TroubledEngine] = []
        try:
            self.session = LiveSession(
                self.source,
                self.controls,
                model=str(self.model or DEFAULT),
                clock=self.clock,
                say=self.say,
                load=self.load,
                fps_target=self.fps_target,
            )
        except BaseException:
            self.source.close()
            raise
        self.sink = Watching(self.clock)

    def load(self, model: str) -> Engine:
        """What the session loads its network with."""
        inner: Engine = OnnxRuntimeEngine(find_model(model), threads=1)
        if self.model is None:
            inner = BrightEngine(inner)
        engine = TroubledEngine(inner, self.clock, self.start_s, self.cost_s, self.troubles)
        self.engines.append(engine)
        return engine

    def say(self, text: str) -> None:
        """Keep a line of the log, with its time."""
        self.lines.append((round(self.clock.now_s() - self.start_s, 3), text))

    def at(self, time_s: float, act: Callable[[], object]) -> None:
        """Do something at a time, from another thread."""

        def later() -> None:
            self.clock.sleep(time_s - (self.clock.now_s() - self.start_s))
            act()

        self.clock.start(later, "script")
