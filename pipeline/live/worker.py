"""The network's side of a session: the newest frame in, the same frame with its mask out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from seg_stream.engines.contract import Engine
from seg_stream.pipeline.errors import SegStreamError
from seg_stream.pipeline.frame import Frame
from seg_stream.pipeline.live.absence import Absence
from seg_stream.pipeline.live.clock import Clock
from seg_stream.pipeline.live.governor import Governor
from seg_stream.pipeline.prepare import prepare
from seg_stream.pipeline.tracking import MaskTracker
from seg_stream.pipeline.types import FloatImage

EVERYTHING = 0.97
"""A mask that takes more of the picture than this for the person hides nothing, and is not used."""

OLDEST_MASK_S = 0.1
"""A mask of a frame captured so long before another one is not moved to that one."""

REOPEN_AFTER = 3
"""So many failures in a row, and the network is loaded anew."""

FIRST_WAIT_S, LONGEST_WAIT_S = 0.5, 10.0
"""Between two attempts to load it; it doubles each time."""

OpenEngine = Callable[[str], Engine]
"""Loads a model by name."""


@dataclass(frozen=True, slots=True)
class Masked:
    """A frame with its mask, or with the reason why it has none.

    `mask_hw` is the network's probability, float32; `seen_s` when the frame was captured that the
    network saw, which is an earlier one where the mask was moved along.
    """

    frame: Frame
    mask_hw: FloatImage | None = None
    seen_s: float = 0.0
    absence: Absence = Absence.STARTING
    detail: str = ""


class Network:
    """Makes masks with the models of a governor's levels; used from one thread.

    A failure gives a frame without a mask; after some in a row the model is loaded again.

    Raises:
        UserError: a model cannot be used.
    """

    def __init__(
        self,
        governor: Governor,
        open_engine: OpenEngine,
        clock: Clock,
        say: Callable[[str], None],
    ) -> None:
        self._say = say
        self._governor, self._open, self._clock = governor, open_engine, clock
        self.notes: list[str] = []
        """What the engines had to say when they were loaded."""
        self._tracker = MaskTracker()
        self._engines: dict[str, Engine] = {}
        self._last_name = ""
        self._model = governor.level.model
        self._since = 0
        self._seen_s = 0.0
        self._failures, self._why = 0, ""
        self._retry_s, self._wait_s = 0.0, FIRST_WAIT_S
        try:
            for model in dict.fromkeys(level.model for level in governor.levels):
                self._engines[model] = open_engine(model)
                self.notes += self._engines[model].notes
            self._last_name = self._engines[self._model].name
        except BaseException:
            self.close()
            raise

    @property
    def engine_name(self) -> str:
        """The engine that really runs."""
        engine = self._engines.get(self._model)
        return engine.name if engine else self._last_name

    def restart(self) -> None:
        """Forget the last mask."""
        self._tracker.restart()
        self._since = 0

    def mask(self, frame: Frame) -> Masked:
        """Find the person in one frame."""
        level = self._governor.level
        if level.model != self._model:
            self._model = level.model
            self.restart()
        if self._model not in self._engines and self._clock.now_s() < self._retry_s:
            return Masked(frame, absence=Absence.NETWORK, detail=self._why)
        try:
            mask_hw = self._find(frame, level.every)
        except Exception as error:  # whatever an engine raises, the room must not be shown
            self._failed(error)
            return Masked(frame, absence=Absence.NETWORK, detail=self._why)
        if float(np.mean(mask_hw)) > EVERYTHING:
            self.restart()
            return Masked(
                frame,
                absence=Absence.NETWORK,
                detail="The mask takes the whole picture for the person.",
            )
        self._failures, self._wait_s = 0, FIRST_WAIT_S
        return Masked(frame, mask_hw, self._seen_s)

    def _find(self, frame: Frame, every: int) -> FloatImage:
        if every == 1:
            self._seen_s = frame.captured_s
            return self._infer(frame)
        grey = self._tracker.grey(frame)
        age_s = frame.captured_s - self._seen_s
        if self._since % every == 0 or age_s > OLDEST_MASK_S or not self._tracker.follows(grey):
            mask_hw = self._tracker.start(grey, self._infer(frame))
            self._seen_s, self._since = frame.captured_s, 0
        else:
            mask_hw = self._tracker.move(grey)
        self._since += 1
        return mask_hw

    def _infer(self, frame: Frame) -> FloatImage:
        engine = self._engines.get(self._model) or self._reload()
        return engine.infer(prepare(frame, engine.input, engine.info))

    def _failed(self, error: Exception) -> None:
        self.restart()
        text = " ".join(str(error).split()) or type(error).__name__
        self._why = text if isinstance(error, SegStreamError) else f"The network failed: {text}."
        self._failures += 1
        engine = self._engines.get(self._model)
        if engine and self._failures < REOPEN_AFTER:
            return
        self._engines.pop(self._model, None)
        self._retry_s = self._clock.now_s() + self._wait_s
        self._wait_s = min(2 * self._wait_s, LONGEST_WAIT_S)
        self._failures = 0
        if engine:
            engine.close()

    def _reload(self) -> Engine:
        engine = self._engines[self._model] = self._open(self._model)
        self._last_name = engine.name
        self._say(f"The network was loaded again: {engine.name}.")
        return engine

    def close(self) -> None:
        """Free the engines."""
        self._last_name = self.engine_name
        for engine in self._engines.values():
            engine.close()
        self._engines.clear()
