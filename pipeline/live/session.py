"""A live session: newest frame, network, presenter, outputs; each in a thread of its own.

    source (keeps the newest) ──▶ network ──hand over──▶ presenter ──newest──▶ each output

Frames wait at two places only, one at each: in the source while the network is busy, and before an
output that is busy.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from threading import Event
from typing import Any

from seg_stream.engines.models import DEFAULT
from seg_stream.engines.select import EngineChoice, open_engine
from seg_stream.pipeline.channel import ChannelEnded
from seg_stream.pipeline.closable import Closable
from seg_stream.pipeline.errors import SegStreamError, UserError
from seg_stream.pipeline.frame import Frame
from seg_stream.pipeline.live.absence import Absence
from seg_stream.pipeline.live.clock import Clock
from seg_stream.pipeline.live.controls import Controls
from seg_stream.pipeline.live.governor import Governor, levels_of
from seg_stream.pipeline.live.latency import Percentiles
from seg_stream.pipeline.live.outlet import Outlet, OutletFigures
from seg_stream.pipeline.live.presenter import FREEZE_S, Presenter
from seg_stream.pipeline.live.shelf import Shelf
from seg_stream.pipeline.live.slot import Slot
from seg_stream.pipeline.live.worker import Masked, Network, OpenEngine
from seg_stream.pipeline.runner import StageError
from seg_stream.pipeline.sinks.contract import Sink
from seg_stream.pipeline.sources.contract import NoPicture
from seg_stream.pipeline.sources.reconnecting import LiveSource

TICK_S = 0.05
"""How long anybody waits before looking whether the session has ended or the picture is gone."""


@dataclass(frozen=True)
class LiveStatus:
    """What is going on, at one moment; all counts are from the session's start.

    `absence` is why the placeholder is shown; empty while the picture is. Each captured frame is
    counted as shown or as dropped for one reason.
    """

    absence: str = ""
    detail: str = ""
    engine: str = ""
    level: str = ""
    source: str = ""
    fps: float = 0.0
    seconds: float = 0.0
    captured: int = 0
    shown: int = 0
    placeholders: int = 0
    dropped: dict[str, int] = field(default_factory=dict)
    mask_age: Percentiles = field(default_factory=Percentiles)
    outputs: dict[str, OutletFigures] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """In plain values."""
        return asdict(self)

    def line(self) -> str:
        """What is going on, in a few words."""
        what = self.absence or f"{self.fps:.0f} fps"
        delays = [got.delay.p95_ms for got in self.outputs.values() if got.written]
        worst_ms = max(delays, default=0.0)
        late = f", {worst_ms:.0f} ms behind" if worst_ms else ""
        return f"{what}{late}, {self.engine}"

    def sentences(self) -> list[str]:
        """What a person wants to know, a line each."""
        share = ", ".join(f"{count} {why}" for why, count in self.dropped.items() if count)
        lines = [
            f"{self.captured} frames captured, {self.shown} shown, {self.placeholders} "
            f"placeholders; dropped: {share or 'none'}; {self.level} by {self.engine}"
        ]
        for name, got in self.outputs.items():
            late = f", {got.dropped} dropped" if got.dropped else ""
            lines.append(f"{name}: {got.written} written{late}; capture to output {got.delay}")
        lines.append(f"Age of the mask beside its picture: {self.mask_age}")
        return lines


class LiveSession(Closable):
    """Wires an open live source to outputs; `run` it once.

    Args:
        source: closed by this session.
        controls: the settings, read anew for every frame.
        model: name of a shipped model or path of an ONNX file.
        engine: `auto` or an engine's name.
        threads: how many the network uses on a CPU; all cores by default.
        fps_target: the rate below which less is done; the camera's by default.
        say: gets a sentence for the user when something changes.
        clock: by which the source stamps its frames.
        load: loads a model by name instead of `engine`.

    Raises:
        UserError: the model or the background cannot be used.
    """

    def __init__(
        self,
        source: LiveSource,
        controls: Controls,
        *,
        model: str = DEFAULT,
        engine: str | EngineChoice = "auto",
        threads: int | None = None,
        fps_target: float | None = None,
        say: Callable[[str], None] = lambda _: None,
        clock: Clock | None = None,
        load: OpenEngine | None = None,
    ) -> None:
        self._source, self._controls, self._say = source, controls, say
        self._clock = clock or Clock()
        if fps_target is not None and fps_target <= 0:
            raise UserError(f"A rate of {fps_target:g} frames a second is none; give 1 or more.")
        self._governor = Governor(levels_of(model, float(source.rate)), fps_target, say)
        self._network = Network(
            self._governor, load or (lambda name: open_engine(engine, name, threads=threads)),
            self._clock, say,
        )  # fmt: skip
        try:
            self._shelf = Shelf(controls.current.background, self._clock, say)
        except BaseException:
            self._network.close()
            raise
        self.notes = list(self._network.notes)
        """What the engine had to say when it was loaded."""
        self._outlets: list[Outlet] = []
        self._main: Outlet | None = None
        self._inbox = Slot[Masked](self._clock)
        self._presenter = Presenter(
            (source.width, source.height), controls, self._shelf, self._outlets, self._clock, say
        )
        self._start_s = self._end_s = self._clock.now_s()
        self._no_picture: str | None = None
        self._busy_s: float | None = None  # since when the network works on a frame
        self._rested = False
        self._running = self._closed = False
        self._over = Event()
        self._failure: BaseException | None = None

    def add_output(
        self, name: str, sink: Sink, *, main_thread: bool = False, aside: bool = False
    ) -> None:
        """Add an open sink before the run; the session finishes it.

        Args:
            name: what the user calls it.
            sink: takes frames from a thread of its own.
            main_thread: it is written by the thread that calls `run`, as windows want it; only one
                can be.
            aside: it takes a frame now and then, and is no reason for the session to go on.
        """
        outlet = Outlet(name, sink, self._clock, self._output_failed, aside=aside)
        self._outlets.append(outlet)
        if main_thread:
            self._main = outlet

    def run(self, *, stop: Event | None = None, duration_s: float | None = None) -> LiveStatus:
        """Work until `stop` is set or the time is over; returns the final figures.

        Raises:
            UserError: there is no output.
            SegStreamError: the source or the last output failed.
        """
        if not self._outlets:
            raise UserError("There is nowhere to show the picture; add --output or --serve.")
        self._start_s = self._clock.now_s()
        self._presenter.begin()
        end_s = None if duration_s is None else self._start_s + duration_s
        self._running = True
        threads = [
            self._clock.start(self._guard(self._work), "network"),
            self._clock.start(self._guard(self._present), "present"),
            self._clock.start(lambda: self._wait(stop or Event(), end_s), "end"),
        ]
        try:
            for outlet in self._outlets:
                if outlet is not self._main:
                    outlet.start()
            if self._main:
                self._main.run()
                self._clock.join(threads[-1])
            else:
                self._clock.join(threads[-1])
        finally:
            self._over.set()
            self._source.close()
            self._inbox.end()
            for thread in threads:
                self._clock.join(thread)
            self._end_s = self._clock.now_s()
            self._running = False
            self.close()
        if self._failure:
            raise self._failure
        return self.status()

    def status(self) -> LiveStatus:
        """What is going on now; any thread may ask."""
        presenter, health = self._presenter, self._source.health
        now_s = self._clock.now_s() if self._running else self._end_s
        dropped = {str(why): count for why, count in presenter.ledger.reasons().items()}
        if health.dropped:
            dropped = {"network busy": health.dropped, **dropped}
        return LiveStatus(
            absence=str(presenter.absence or ""),
            detail=presenter.detail,
            engine=self._network.engine_name,
            level=str(self._governor.level),
            source=f"{self._source.name}, {self._source.mode}",
            fps=round(presenter.rate.fps(now_s), 1),
            seconds=round(now_s - self._start_s, 3),
            captured=health.frames,
            shown=presenter.ledger.shown,
            placeholders=presenter.ledger.placeholders,
            dropped=dropped,
            mask_age=presenter.mask_age.figures(),
            outputs={each.name: each.figures() for each in self._outlets if not each.aside},
        )

    def close(self) -> None:
        """Finish the outputs and free everything."""
        if self._closed:
            return
        self._closed = True
        for outlet in self._outlets:
            for note in outlet.close():
                self._say(note)
        self._source.close()
        self._network.close()
        self._shelf.close()

    def _guard(self, work: Callable[[], None]) -> Callable[[], None]:
        """A thread's function, whose error ends the session and is raised by `run`."""

        def guarded() -> None:
            try:
                work()
            except ChannelEnded:
                pass
            except SegStreamError as error:
                self._fail(error)
            except BaseException as error:
                failure = StageError(f"The session failed: {type(error).__name__}: {error}.")
                failure.__cause__ = error
                self._fail(failure)

        return guarded

    def _fail(self, error: BaseException) -> None:
        self._failure = self._failure or error
        self._over.set()

    def _output_failed(self, outlet: Outlet, error: BaseException) -> None:
        text = str(error) if isinstance(error, SegStreamError) else repr(error)
        self._say(f"{outlet.name} failed and gets no more frames: {text}")
        if all(each.error or each.aside for each in self._outlets):
            self._fail(error if isinstance(error, SegStreamError) else StageError(text))

    def _work(self) -> None:
        """The network's thread."""
        while not self._over.is_set():
            item = self._source.newest(TICK_S)
            if isinstance(item, NoPicture):
                self._no_picture = item.reason
            elif item is not None:
                self._no_picture, self._busy_s = None, self._clock.now_s()
                masked = self._mask(item)
                self._busy_s = None
                try:
                    self._inbox.hand_over(masked)
                except ChannelEnded:
                    self._presenter.ledger.drop("the session ended")
                    raise

    def _mask(self, frame: Frame) -> Masked:
        watched = any(outlet.watched for outlet in self._outlets)
        paused = self._controls.current.paused
        if paused or not watched:
            if not self._rested:
                self._rested = True
                self._network.restart()
            absence = Absence.PAUSED if paused else Absence.RESTING
            return Masked(frame, absence=absence, detail="" if paused else "Nobody watches.")
        self._rested = False
        return self._network.mask(frame)

    def _present(self) -> None:
        """The presenter's thread."""
        presenter, governor = self._presenter, self._governor
        while True:
            masked = self._inbox.get(TICK_S)
            if masked:
                presenter.present(masked)
            elif (reason := self._no_picture) is not None:
                presenter.idle(Absence.NO_PICTURE, reason)
            else:
                busy_s = self._busy_s
                hangs = busy_s is not None and self._clock.now_s() - busy_s > FREEZE_S
                late = "The network gives no mask." if hangs else ""
                presenter.idle(Absence.LATE if hangs else None, late)
            if presenter.absence in (None, Absence.LATE):
                now_s = self._clock.now_s()
                governor.judge(now_s, self._source.health.frames, presenter.ledger.shown)
            else:
                governor.restart()

    def _wait(self, stop: Event, end_s: float | None) -> None:
        """Until it is over, for whatever reason."""
        while not stop.is_set() and not self._over.is_set():
            left_s = TICK_S if end_s is None else min(TICK_S, end_s - self._clock.now_s())
            if left_s <= 0:
                break
            self._clock.sleep(left_s)
        if self._main:
            self._main.end()
