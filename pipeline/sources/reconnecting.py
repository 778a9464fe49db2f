"""A live source that outlives its camera: newest frame, "no picture" at once, back when it is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import partial

from seg_stream.pipeline.errors import SegStreamError
from seg_stream.pipeline.frame import Frame
from seg_stream.pipeline.live.clock import Clock
from seg_stream.pipeline.sources.contract import Feed, FeedLostError, NoPicture, Shot, Source
from seg_stream.pipeline.sources.fit import live_planes

MICROSECOND = Fraction(1, 1_000_000)

READ_S = 0.1
"""How long the reader waits at a time; a stop or a stall is seen after at most that."""

STALL_FRAMES, STALL_S = 5, 0.25
"""A picture that is so many frames late, and so many seconds, is missing."""

FIRST_WAIT_S, LONGEST_WAIT_S = 0.05, 0.5
"""Between two attempts to open; it doubles each time. A camera is back within a second."""

MEASURED_S, SLOW = 5.0, 0.8
"""For how long there must be frames before their rate is judged; what share of it is too few."""

PATIENCE_S = 3.0
"""How long an iteration waits for a lost picture before it ends."""


@dataclass
class Health:
    """What a live source went through, counted."""

    frames: int = 0
    dropped: int = 0
    """Frames that were replaced by a newer one before anybody took them."""
    damaged: int = 0
    """Pictures that could not be decoded."""
    resized: int = 0
    """Frames of another size than the first one's, which were fitted to it."""
    losses: int = 0
    absent_s: float = 0.0


class LiveSource(Source):
    """Frames of a feed that is opened again whenever it is lost.

    A thread reads all the time and keeps the newest frame only. All frames have the size of the
    first ones and are YUV 4:2:0 (4:4:4 for odd sizes); `captured_s` and the times are the clock's.

    Args:
        connect: opens the feed; called here, and after each loss in the thread.
        clock: in which the feed stamps and everybody waits; real time by default.
        longest_wait_s: the longest pause between two attempts to open again.

    Raises:
        UserError: the first attempt to open failed.
    """

    def __init__(
        self,
        connect: Callable[[], Feed],
        *,
        clock: Clock | None = None,
        longest_wait_s: float = LONGEST_WAIT_S,
    ) -> None:
        super().__init__()
        feed = connect()
        self.name, self.mode = feed.name, feed.mode
        self.width, self.height, self.rate = feed.width, feed.height, feed.rate
        self.time_base = MICROSECOND
        self.health = Health()
        self.notes += feed.notes
        self._connect, self._longest_wait_s = connect, longest_wait_s
        self._clock = clock or Clock()
        self._changed = self._clock.condition()
        # What follows is read and written with `_changed` held.
        self._frame: Frame | None = None
        self._lost: str | None = None
        self._told: str | None = None
        self._failure: BaseException | None = None
        self._closing = False
        self._start_s = self._last_s = self._clock.now_s()
        self._alive_s = self._last_s  # the last picture or opening; the reader's own
        self._last_pts = -1
        self._stall_s = max(STALL_S, float(STALL_FRAMES / self.rate))
        self._thread = self._clock.start(partial(self._run, feed), "camera")

    @property
    def absent(self) -> str | None:
        """Why there is no picture at the moment; None if there is one."""
        with self._changed:
            return self._absent()

    def newest(self, timeout_s: float) -> Frame | NoPicture | None:
        """Wait for something new: a frame that was not given yet, or that the picture is gone.

        Why it is gone is said once, and again when another reason is found. None means that
        nothing new came in time, or that the source was closed.

        Raises:
            SegStreamError: the reader failed for another reason than a lost feed.
        """
        deadline_s = self._clock.now_s() + timeout_s
        with self._changed:
            while not self._closing:
                if self._failure:
                    raise SegStreamError(f"{self.name} failed: {self._failure}.") from self._failure
                if self._frame is not None:
                    frame, self._frame, self._told = self._frame, None, None
                    return frame
                reason = self._absent()
                if reason and reason != self._told:
                    self._told = reason
                    return NoPicture(reason, self._last_s)
                now_s = self._clock.now_s()
                if now_s >= deadline_s:
                    return None
                stall_s = self._last_s + self._stall_s  # seen here even if the reader is stuck
                until_s = deadline_s if reason else min(deadline_s, stall_s)
                self._changed.wait(max(0.0, until_s - now_s))
            return None

    def __iter__(self) -> Iterator[Frame]:
        """Yield the newest frames; end when the picture was lost for some seconds."""
        while not self._closing:
            item = self.newest(READ_S)
            if isinstance(item, Frame):
                yield item
            elif self._clock.now_s() - self._last_s > PATIENCE_S:
                self.notes.append(f"{self.absent or self.name} The run ended.")
                return

    def close(self) -> None:
        """Stop the reader and close the feed."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        if self._thread.is_alive():
            self._clock.join(self._thread)
            self.health.dropped += self._frame is not None
            self.notes += _sentences(self.name, self.health) + self._too_slow()

    def _too_slow(self) -> list[str]:
        """A sentence if frames came much less often than was negotiated."""
        present_s = self._last_s - self._start_s - self.health.absent_s
        fps = (self.health.frames - 1) / present_s if present_s > MEASURED_S else 0.0
        if not 0 < fps < SLOW * self.rate:
            return []
        return [
            f"{self.name} gave {fps:.1f} frames a second of {float(self.rate):.3g}; in poor light "
            "cameras expose for longer, and slow connections lose some."
        ]

    def _absent(self) -> str | None:
        if self._lost is None and self._clock.now_s() - self._last_s > self._stall_s:
            return f"{self.name} gives no picture."
        return self._lost

    def _run(self, first: Feed) -> None:
        feed: Feed | None = first
        try:
            while not self._closing:
                feed = self._read(feed) if feed else self._reconnect()
        except BaseException as error:  # handed to whoever asks for the next frame
            with self._changed:
                self._failure = error
                self._changed.notify_all()
        finally:
            if feed:
                feed.close()

    def _read(self, feed: Feed) -> Feed | None:
        """Take one picture; None if the feed was lost and closed."""
        damaged = feed.damaged
        try:
            shot = feed.read(READ_S)
            if shot is None and self._clock.now_s() - self._alive_s > feed.patience_s:
                raise FeedLostError(f"{self.name} gives no picture.")
        except FeedLostError as error:
            self._lose(str(error))
            feed.close()
            return None
        finally:
            self.health.damaged += feed.damaged - damaged
        if shot is not None:
            self._put(shot)
        return feed

    def _put(self, shot: Shot) -> None:
        size = (self.width, self.height)
        format, colour, planes = live_planes(shot.picture, *size)
        with self._changed:
            health = self.health
            if health.frames:
                silent_s = shot.captured_s - self._last_s
                health.absent_s += silent_s if silent_s > self._stall_s else 0
            health.resized += (shot.picture.width, shot.picture.height) != size
            health.dropped += self._frame is not None
            if not health.frames:
                self._start_s = shot.captured_s
            pts = max(self._last_pts + 1, round((shot.captured_s - self._start_s) / MICROSECOND))
            self._frame = Frame(
                health.frames, planes, format, colour, pts, MICROSECOND, shot.captured_s
            )
            health.frames += 1
            self._alive_s = self._last_s = shot.captured_s
            self._last_pts, self._lost = pts, None
            self._changed.notify_all()

    def _lose(self, reason: str) -> None:
        with self._changed:
            self.health.losses += self._lost is None
            self._lost = reason
            self._changed.notify_all()

    def _reconnect(self) -> Feed | None:
        """Try to open until it works; None if the source is being closed."""
        wait_s = FIRST_WAIT_S
        while not self._closing:
            try:
                feed = self._connect()
            except SegStreamError as error:
                self._lose(str(error))
            else:
                self.mode = feed.mode
                self._alive_s = self._clock.now_s()
                return feed
            with self._changed:
                if not self._closing:
                    self._changed.wait(wait_s)
            wait_s = min(2 * wait_s, self._longest_wait_s)
        return None


def _sentences(name: str, health: Health) -> list[str]:
    """A sentence for each thing that was not as it should be."""
    found = {
        f"{name} was lost {health.losses} times.": health.losses,
        f"{name} gave no picture for {health.absent_s:.1f} s in all.": health.absent_s,
        f"{name}: {health.damaged} damaged pictures were left out.": health.damaged,
        f"{name}: its size changed; {health.resized} frames were fitted to the first ones' size.":
            health.resized,
    }  # fmt: skip
    return [text for text, count in found.items() if count]
