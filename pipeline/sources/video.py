"""Video files: every frame, upright, with its own time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from time import perf_counter

import av
import numpy as np
from av.stream import Disposition

from seg_stream.pipeline.colour import FULL_RANGE, HDR_TRANSFERS, Colour
from seg_stream.pipeline.errors import UserError
from seg_stream.pipeline.frame import Frame
from seg_stream.pipeline.picture import is_full_range, planes_of, to_native
from seg_stream.pipeline.sources.contract import Source
from seg_stream.pipeline.sources.trim import Trim
from seg_stream.pipeline.types import Image

NOMINAL_RATE = Fraction(25)
"""Frames a second of a stream that does not say; FFmpeg assumes the same."""

AVFMT_NOTIMESTAMPS = 0x80
"""FFmpeg's flag for formats without times, such as raw H.264."""

NOT_VIDEO = {"hls": "a playlist", "concat": "a list of files", "tty": "a text"}
"""FFmpeg's formats that lead to other files, or turn anything into pictures."""

TAIL_S = 1.0
"""Seconds by which the picture may end before the sound without a word about it."""


class VideoSource(Source):
    """Reads the first video stream of a file, or a part of it; the part's time begins at 0.

    Raises:
        UserError: the file is missing, unreadable, has no picture (there), or is HDR.
    """

    def __init__(self, path: Path, trim: Trim | None = None) -> None:
        super().__init__()
        self.name, self.path, self.trim = str(path), path, trim
        self._damaged = self._patched = self._unseen = 0
        self._container = open_video(path)
        try:
            self._stream = video_stream(self._container)
            self._read_header()
            self._pictures = self._trimmed(self._decode()) if trim else self._decode()
            self.first = self._read_first()
        except BaseException:
            self._container.close()
            raise

    def _read_header(self) -> None:
        stream, codec = self._stream, self._stream.codec_context
        stream.thread_type = "AUTO"
        # Raw streams have no clock; FFmpeg gives them a made-up time base.
        self._raw = bool(self._container.format.flags & AVFMT_NOTIMESTAMPS)
        rate = (codec.framerate if self._raw else None) or stream.average_rate
        self.rate = Fraction(rate) if rate and 0 < rate <= 1000 else NOMINAL_RATE
        self.time_base = 1 / self.rate if self._raw else Fraction(stream.time_base or 1 / self.rate)
        self._end_s = None if self._raw else _duration_s(self._container, stream)
        self.frames = stream.frames or (round(self._end_s * self.rate) if self._end_s else None)
        self._exact = bool(stream.frames) and not self.trim
        if self.trim:
            ends = [end_s for end_s in (self.trim.end_s, self._end_s) if end_s is not None]
            length_s = min(ends) - self.trim.start_s if ends else None
            self.frames = None if length_s is None else max(0, round(length_s * self.rate))
            self._trim_start_pts = (stream.start_time or 0) + round(
                self.trim.start_s / self.time_base
            )
            if self.trim.start_s:
                seek(self._container, stream, self._trim_start_pts)

    def _read_first(self) -> av.VideoFrame:
        first = next(self._pictures, None)
        if first is None and self.trim and not self._damaged:
            raise UserError(
                f"{self.path} has no frame from {float(self.trim.start_s):g} s on; check --trim."
            )
        if first is None:
            why = f"{self._damaged} packets are damaged" if self._damaged else "it has no frames"
            raise UserError(f"{self.path}: no picture could be decoded ({why}); is it whole?")
        transfer = HDR_TRANSFERS.get(first.color_trc)
        if transfer:
            raise UserError(
                f"{self.path} is HDR video ({transfer}), expected standard dynamic range; tone-map "
                "it first, for example with FFmpeg's zscale and tonemap filters."
            )
        aspect = self._stream.sample_aspect_ratio or Fraction(0)
        turned = bool(first.rotation % 180)
        self.width, self.height = first.width, first.height
        if turned:
            self.width, self.height = self.height, self.width
        self.sample_aspect_ratio = 1 / aspect if turned and aspect else aspect
        return first

    def __iter__(self) -> Iterator[Frame]:
        picture: av.VideoFrame | None = self.first
        size = (self.first.width, self.first.height)
        index = untimed = resized = 0
        step = max(1, round(1 / (self.rate * self.time_base)))
        first_pts = last_pts = 0
        while picture is not None:
            captured_s = perf_counter()
            pts = index if self._raw else picture.pts
            if pts is not None and self.trim and not self._raw:
                pts -= self._trim_start_pts
            if pts is None or (index and pts <= last_pts):
                pts, untimed = last_pts + step if index else 0, untimed + 1
            first_pts = first_pts if index else pts
            last_pts = pts
            rotation = picture.rotation
            self._patched += picture.is_corrupt
            if (picture.width, picture.height) != size:
                picture, resized = picture.reformat(width=size[0], height=size[1]), resized + 1
            colour = self.colour_of(picture)
            format, picture = to_native(picture)
            planes = _turn(planes_of(picture), rotation)
            yield Frame(index, planes, format, colour, pts, self.time_base, captured_s)
            index += 1
            picture = next(self._pictures, None)
        if untimed:
            self.notes.append(f"{self.path}: {untimed} frames had no usable time and were spaced.")
        if resized:
            self.notes.append(
                f"{self.path} changes its size; {resized} frames were scaled to the first one's."
            )
        self._note_losses(index, first_pts, last_pts)

    def colour_of(self, picture: av.VideoFrame) -> Colour:
        """The colour tags that a decoded picture came with."""
        return Colour(
            matrix_tag=picture.colorspace,
            range_tag=FULL_RANGE if is_full_range(picture) else picture.color_range,
            primaries_tag=picture.color_primaries,
            transfer_tag=picture.color_trc,
        )

    def _decode(self) -> Iterator[av.VideoFrame]:
        """Everything that can be decoded, past damaged packets and up to a torn end."""
        packets = self._container.demux(self._stream)
        while True:
            try:
                packet = next(packets)
            except StopIteration:
                return
            except (av.FFmpegError, OSError) as error:
                self.notes.append(f"{self.path} cannot be read to its end ({error.strerror}).")
                yield from self._stream.decode(None)  # what the decoder still holds
                return
            self._unseen += packet.is_discard  # before the begin of an edit list
            try:
                yield from packet.decode()
            except av.FFmpegError:
                self._damaged += 1

    def _trimmed(self, pictures: Iterator[av.VideoFrame]) -> Iterator[av.VideoFrame]:
        """The pictures that begin within the trim."""
        trim = self.trim or Trim()
        time_s = -1 / self.rate
        for picture in pictures:
            if self._raw or picture.pts is None:
                time_s += 1 / self.rate
            else:
                time_s = trim.start_s + (picture.pts - self._trim_start_pts) * self.time_base
            if trim.end_s is not None and time_s >= trim.end_s:
                return
            if time_s >= trim.start_s:
                yield picture

    def _note_losses(self, frames: int, first_pts: int, last_pts: int) -> None:
        """Compare what was read with what the file says it has."""
        if self._damaged:
            self.notes.append(f"{self.path}: {self._damaged} damaged packets were left out.")
        if self._patched:
            self.notes.append(f"{self.path}: {self._patched} frames are damaged and may show it.")
        expected = self.frames - self._unseen if self._exact and self.frames else frames
        if frames < expected:
            self.notes.append(
                f"{self.path}: only {frames} of {expected} frames could be read; the rest is cut "
                "off or damaged."
            )
        elif self._end_s and not self._exact and not self.trim:
            shown_s = (last_pts - min(first_pts, 0)) * self.time_base + 1 / self.rate
            if self._end_s - shown_s > TAIL_S:
                self.notes.append(
                    f"{self.path}: the picture ends at {float(shown_s):.1f} s of "
                    f"{float(self._end_s):.1f} s; is the file whole?"
                )

    def close(self) -> None:
        """See `Source.close`."""
        self._container.close()


def open_video(path: Path) -> av.container.InputContainer:
    """Open a file that should hold video.

    Raises:
        UserError: it is missing, unreadable, or has no video stream.
    """
    if path.exists() and not path.is_file():
        raise UserError(f"{path} is a folder or a device, expected a video file.")
    try:
        # Absolute, since FFmpeg takes what stands before a colon for a protocol.
        container = av.open(str(path.absolute()), mode="r", metadata_errors="replace")
    except FileNotFoundError:
        raise UserError(f"{path} does not exist; check the name.") from None
    except PermissionError:
        raise UserError(f"{path} may not be read; check its permissions.") from None
    except (av.FFmpegError, OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise UserError(f"{path} is not a video that can be read ({reason}).") from None
    kind = container.format.name
    if kind in NOT_VIDEO or not container.streams.video:
        container.close()
        what = f"is {NOT_VIDEO[kind]}" if kind in NOT_VIDEO else "has no video stream"
        raise UserError(f"{path} {what}, expected a video file.")
    return container


SEEKABLE = ("mov", "matroska")
"""FFmpeg's formats in which a seek surely leads to a key frame; others are read from the start."""


def seek(container: av.container.InputContainer, stream: av.VideoStream, pts: int) -> None:
    """Go to the key frame before a time where that is sure to work, else stay at the start."""
    if container.format.name.split(",")[0] in SEEKABLE:
        with suppress(av.FFmpegError, OSError):
            container.seek(pts, stream=stream)


def video_stream(container: av.container.InputContainer) -> av.VideoStream:
    """The first stream that is a video and not a cover picture, if there is one."""
    videos = container.streams.video
    moving = [s for s in videos if not s.disposition & Disposition.attached_pic]
    return (moving or list(videos))[0]


def _duration_s(
    container: av.container.InputContainer, stream: av.video.stream.VideoStream
) -> Fraction | None:
    if stream.duration is not None and stream.time_base is not None:
        return stream.duration * stream.time_base
    if container.duration is not None:
        return Fraction(container.duration, av.time_base)
    return None


def _turn(planes: tuple[Image, ...], degrees: int) -> tuple[Image, ...]:
    """Rotate counter-clockwise by a multiple of 90 degrees, as the display matrix says."""
    quarters = round(degrees / 90) % 4
    if not quarters:
        return planes
    return tuple(np.ascontiguousarray(np.rot90(plane, quarters)) for plane in planes)
