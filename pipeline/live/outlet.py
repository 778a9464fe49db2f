"""One output of a session, with a thread of its own: a slow one never holds another."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from threading import Thread

from seg_stream.pipeline.channel import ChannelEnded
from seg_stream.pipeline.errors import SegStreamError
from seg_stream.pipeline.frame import Frame
from seg_stream.pipeline.live.clock import Clock
from seg_stream.pipeline.live.latency import Delays, Percentiles
from seg_stream.pipeline.live.slot import Slot
from seg_stream.pipeline.sinks.contract import Sink


@dataclass(frozen=True)
class Showing:
    """A picture for the outputs: a frame of the camera, or the placeholder."""

    frame: Frame
    real: bool


@dataclass(frozen=True)
class OutletFigures:
    """What one output got. `written` counts placeholders too, the delays do not."""

    written: int = 0
    dropped: int = 0
    delay: Percentiles = field(default_factory=Percentiles)


class Outlet:
    """Feeds a sink with the newest picture.

    Args:
        name: what the user calls the output.
        sink: written from this outlet's thread, finished by `close`.
        clock: by which frames were stamped.
        failed: told once that the sink failed; the outlet then takes nothing any more.
        aside: it is no reason for the session to go on.
    """

    def __init__(
        self,
        name: str,
        sink: Sink,
        clock: Clock,
        failed: Callable[[Outlet, BaseException], None],
        *,
        aside: bool = False,
    ) -> None:
        self.name, self.sink, self.aside = name, sink, aside
        self._clock, self._failed = clock, failed
        self._slot = Slot[Showing](clock)
        self._delays = Delays()
        self._written = self._dropped = 0
        self._thread: Thread | None = None
        self.error: BaseException | None = None

    @property
    def watched(self) -> bool:
        """Whether anybody takes what comes out."""
        return self.error is None and not self.aside and self.sink.watched

    @property
    def waiting(self) -> int:
        """Pictures that wait to be written: 0 or 1."""
        return self._slot.waiting

    def start(self) -> None:
        """Write in a thread of its own."""
        self._thread = self._clock.start(self.run, self.name)

    def offer(self, showing: Showing) -> None:
        """Leave a picture; one that still waited is dropped."""
        try:
            self._dropped += self._slot.put(showing) is not None
        except ChannelEnded:  # the sink has failed
            self._dropped += 1

    def run(self) -> None:
        """Write until `end`; windows want this in the main thread."""
        try:
            while True:
                showing = self._slot.get()
                if showing is None:
                    continue
                self.sink.write(showing.frame)
                self._written += 1
                if showing.real:
                    self._delays.add(self._clock.now_s() - showing.frame.captured_s)
        except ChannelEnded:
            return
        except Exception as error:  # one output's trouble is not the others'
            self.error = error
            self._slot.end()
            self._failed(self, error)

    def end(self) -> None:
        """Let `run` return once it has written what waits."""
        self._slot.end()

    def close(self) -> list[str]:
        """Wait for the thread and finish the sink; returns what to tell the user.

        A sink that failed keeps what it can: what was recorded until then is worth having.
        """
        self.end()
        if self._thread:
            self._clock.join(self._thread)
        self.sink.cut_short = True
        try:
            self.sink.finish()
        except SegStreamError as error:
            self.sink.discard()
            if self.error is None:
                return [*self.sink.notes, str(error)]
        except BaseException:
            self.sink.discard()
            raise
        return self.sink.notes

    def figures(self) -> OutletFigures:
        """What it got so far."""
        return OutletFigures(self._written, self._dropped, self._delays.figures())
