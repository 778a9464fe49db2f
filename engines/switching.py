"""Runs on one engine while a faster one is being built, and changes over between two frames."""

from __future__ import annotations

from collections.abc import Callable
from threading import Event, Lock, Thread
from time import perf_counter

from seg_stream.engines.contract import Engine
from seg_stream.engines.device_engine import DeviceEngine
from seg_stream.pipeline.errors import SegStreamError, Stopped
from seg_stream.pipeline.types import FloatImage

OpenLater = Callable[[Event], Engine]
"""Builds and opens an engine, unless the event is set first."""


class SwitchingEngine(Engine):
    """Every frame is answered by the engine that is there; from some frame on by the better one.

    Args:
        first: an open engine, which now belongs to this one.
        open_later: builds the other one, in a thread of its own; it is tried before it is used.
        what: how that one is called in notes.
    """

    def __init__(self, first: Engine, open_later: OpenLater, what: str) -> None:
        self._current = first
        self.name, self.info = first.name, first.info
        self.input, self.output = first.input, first.output
        self.notes: list[str] = [
            *first.notes,
            f"An engine of {what} is being built while {first.name} runs; if this ends before, the "
            "next start goes on with it, and --require-gpu waits for it, once.",
        ]
        self._what = what
        self._frames = 0
        self._lock = Lock()
        self._next: Engine | None = None
        self._closed = False
        self._stop = Event()
        self._start_s = perf_counter()
        self._thread = Thread(target=self._open, args=(open_later,), name="engine")
        self._thread.start()

    def infer(self, tensor: FloatImage) -> FloatImage:
        """See `Engine.infer`."""
        mask = self._newest().infer(tensor)
        self._frames += 1
        return mask

    def on_device(self) -> DeviceEngine | None:
        """See `Engine.on_device`."""
        return self._newest().on_device()

    def _newest(self) -> Engine:
        if self._closed:
            raise SegStreamError("The engine is closed; open a new one.")
        with self._lock:
            better, self._next = self._next, None
        if better:
            self._change_to(better)
        return self._current

    def wait(self) -> None:
        """Wait until the other engine is built, or is known not to be possible."""
        self._thread.join()

    def close(self) -> None:
        """See `Engine.close`; a build that goes on is ended."""
        if self._closed:
            return
        self._closed = True
        self._stop.set()
        self._thread.join()
        if self._next:
            self._next.close()
        self._current.close()

    def _open(self, open_later: OpenLater) -> None:
        try:
            engine = open_later(self._stop)
        except Stopped:
            return
        except Exception as error:  # whatever a library raises: the first engine still runs
            self.notes.append(f"{self._what} cannot be used: {error}")
            return
        if (engine.input, engine.output) != (self.input, self.output):
            engine.close()
            self.notes.append(
                f"{self._what} cannot be used: its engine takes {engine.input.shape} and gives "
                f"{engine.output.shape}, expected {self.input.shape} and {self.output.shape}."
            )
            return
        with self._lock:
            self._next = engine

    def _change_to(self, engine: Engine) -> None:
        before, self._current = self._current, engine
        before.close()
        self.notes.extend(engine.notes)
        took_s = perf_counter() - self._start_s
        self.notes.append(
            f"{engine.name} took over from {before.name} after {self._frames} frames; its engine "
            f"was ready after {took_s:.0f} s."
        )
        self.name = engine.name
