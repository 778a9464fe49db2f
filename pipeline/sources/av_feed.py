"""A live picture through PyAV: whatever FFmpeg can open and that goes on."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from fractions import Fraction
from time import perf_counter

import av

from seg_stream.pipeline.errors import UserError
from seg_stream.pipeline.sources.contract import Feed, FeedLostError, Shot
from seg_stream.pipeline.sources.mjpeg import STRICT

NOMINAL_RATE = Fraction(25)
"""Frames a second of a stream that does not say, as FFmpeg assumes."""

PATIENCE_S = 10.0
"""A stream may begin long before its next key frame."""


class AvFeed(Feed):
    """Reads the first video stream, every packet as it comes.

    Args:
        address: what FFmpeg opens; it may hold a password and is never shown.
        name: what is shown instead.
        format: FFmpeg's name of the format or device, where it cannot find out.
        options: for FFmpeg.
        timeout_s: how long opening and each reading may take.
        hint: what to do if it cannot be opened.

    Raises:
        UserError: it cannot be opened, or has no picture.
    """

    patience_s = PATIENCE_S

    def __init__(
        self,
        address: str,
        name: str,
        *,
        format: str | None = None,
        options: dict[str, str],
        timeout_s: tuple[float, float],
        hint: str,
    ) -> None:
        super().__init__()
        self.name = name
        try:
            self._container = av.open(
                address,
                "r",
                format,
                options=options,
                timeout=timeout_s,
                metadata_errors="replace",
            )
        except (av.FFmpegError, OSError, ValueError) as error:
            raise UserError(f"{name} cannot be opened ({_reason(error)}); {hint}.") from None
        try:
            if not self._container.streams.video:
                raise UserError(f"{name} has no picture; {hint}.")
            self._read_header()
        except BaseException:
            self._container.close()
            raise

    def _read_header(self) -> None:
        self._stream = self._container.streams.video[0]
        context = self._stream.codec_context
        context.thread_type = "SLICE"  # by frames each thread would hold one back
        context.flags |= av.codec.context.Flags.low_delay
        if context.name == "mjpeg":
            context.options = STRICT
        self.width, self.height = context.width, context.height
        if not (self.width and self.height):
            raise UserError(f"{self.name} does not say how large its picture is; is it video?")
        rate = self._stream.average_rate or self._stream.guessed_rate
        self.rate = Fraction(rate) if rate and 1 <= rate <= 1000 else NOMINAL_RATE
        said = f" at {float(rate):g} fps" if rate and 1 <= rate <= 1000 else ""
        self.mode = f"{self.width}x{self.height} {context.name}{said}"
        self._shots = self._decode()

    def _decode(self) -> Iterator[Shot | None]:
        """A shot for each picture, None for each packet that gave none."""
        for packet in self._container.demux(self._stream):
            captured_s = perf_counter()
            shots = 0
            try:
                for picture in packet.decode():
                    if picture.is_corrupt:
                        self.damaged += 1
                        continue
                    shots += 1
                    yield Shot(picture, captured_s)
            except av.FFmpegError:
                self.damaged += 1
            if not shots:
                yield None

    def read(self, timeout_s: float) -> Shot | None:
        """See `Feed.read`; FFmpeg's own timeout ends a wait, and the feed with it."""
        try:
            return next(self._shots)
        except StopIteration:
            raise FeedLostError(f"{self.name} has ended.") from None
        except (av.FFmpegError, OSError) as error:
            raise FeedLostError(f"{self.name} was lost ({_reason(error)}).") from None

    def close(self) -> None:
        """See `Closable.close`."""
        self._container.close()


def _reason(error: Exception) -> str:
    """What went wrong, without the address, in which a password may stand."""
    if isinstance(error, av.error.ExitError):
        return "no answer in time"
    number = getattr(error, "errno", None)
    if isinstance(number, int) and number in errno.errorcode:
        return os.strerror(number)
    text = getattr(error, "strerror", None)
    return text if isinstance(text, str) and text else type(error).__name__
