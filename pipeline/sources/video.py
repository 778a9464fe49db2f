"""Video files: every frame, upright, with its own time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from time import perf_counter

import av

from seg_stream.pipeline.colour import FULL_RANGE, HDR_TRANSFERS, Colour
from seg_stream.pipeline.errors import UserError
from seg_stream.pipeline.frame import Frame
from seg_stream.pipeline.picture import is_full_range, native_format, planes_of, to_native
from seg_stream.pipeline.sources.container import (
    can_seek,
    duration_s,
    open_video,
    seek,
    video_stream,
)
from seg_stream.pipeline.sources.contract import Source
from seg_stream.pipeline.sources.flaws import Flaws
from seg_stream.pipeline.sources.orientation import orientation
from seg_stream.pipeline.sources.trim import Look, Part, Trim
from seg_stream.pipeline.video_gpu import open_on_gpu

NOMINAL_RATE = Fraction(25)
"""Frames a second of a stream that does not say; FFmpeg assumes the same."""

AVFMT_NOTIMESTAMPS = 0x80
"""FFmpeg's flag for formats without times, such as raw H.264."""

TAIL_S = 1.0
"""Seconds by which the picture may end before the sound without a word about it."""


class NoPictureError(UserError):
    """There is no picture in a file, or in a part of it; with what was found instead."""

    def __init__(self, text: str, flaws: Flaws, notes: list[str]) -> None:
        super().__init__(text)
        self.flaws, self.notes = flaws, notes


@dataclass(frozen=True)
class Promise:
    """What a file says it holds: how many frames, and when its last one ends; None if it does not.

    The frames include those before the begin of an edit list.
    """

    frames: int | None
    end_s: Fraction | None

    def broken(self, path: Path, frames: int, shown_s: Fraction) -> list[str]:
        """What to say if so many frames were found, shown for so long."""
        if self.frames:
            if frames < self.frames:
                return [
                    f"{path}: only {frames} of {self.frames} frames could be read; the rest is "
                    "cut off or damaged."
                ]
        elif self.end_s and self.end_s - shown_s > TAIL_S:
            return [
                f"{path}: the picture ends at {float(shown_s):.1f} s of {float(self.end_s):.1f} s; "
                "is the file whole?"
            ]
        return []


class VideoSource(Source):
    """Reads the first video stream of a file.

    Args:
        path: the file.
        trim: read only this part of it; its time begins at 0.
        part: read only this part of what is left; times stay as they are.
        gpu: decode on the GPU, if that works here.

    Raises:
        NoPictureError: it has no picture (there).
        UserError: the file is missing, unreadable, or is HDR.
    """

    def __init__(
        self, path: Path, trim: Trim | None = None, part: Part | None = None, *, gpu: bool = False
    ) -> None:
        super().__init__()
        self.name, self.path, self.trim, self._part = str(path), path, trim, part
        self._window = part or trim
        self.flaws = Flaws()
        self._container, notes = open_on_gpu(path) if gpu else (open_video(path), [])
        self.notes += notes
        try:
            self._stream = video_stream(self._container)
            self._read_header()
            self._pictures = self._trimmed(self._decode()) if self._window else self._decode()
            self.first = self._read_first()
            if gpu and not notes and not self._stream.codec_context.is_hwaccel:
                self.notes.append(f"{path} is decoded by the CPU: NVDEC cannot take it.")
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
        self._end_s = None if self._raw else duration_s(self._container, stream)
        self.length_s = self._end_s
        self.frames = stream.frames or (round(self._end_s * self.rate) if self._end_s else None)
        self.promise = Promise(stream.frames or None, self._end_s)
        self._begin_pts = stream.start_time or 0
        self._zero_pts = self._pts_at(self.trim.start_s) if self.trim else 0
        if window := self._window:
            ends = [end_s for end_s in (window.end_s, self._end_s) if end_s is not None]
            self.length_s = max(Fraction(0), min(ends) - window.start_s) if ends else None
            self.frames = None if self.length_s is None else round(self.length_s * self.rate)
            if window.start_s > 0:
                seek(self._container, stream, self._pts_at(window.start_s))

    def _read_first(self) -> av.VideoFrame:
        first = next(self._pictures, None)
        if first is None:
            raise self._no_picture()
        _refuse_hdr(self.path, first)
        aspect = self._stream.sample_aspect_ratio or Fraction(0)
        turned = orientation(first).swaps
        size = (first.width, first.height)
        look = Look(size, native_format(first), self.colour_of(first))
        self.look = self._part.look if self._part else look
        self.width, self.height = self.look.size
        if turned:
            self.width, self.height = self.height, self.width
        self.sample_aspect_ratio = 1 / aspect if turned and aspect else aspect
        return first

    def _no_picture(self) -> NoPictureError:
        damaged = self.flaws.damaged
        if self._window and not damaged:
            start_s = float(self._window.start_s)
            text = f"{self.path} has no frame from {start_s:g} s on; check --trim."
        else:
            why = f"{damaged} packets are damaged" if damaged else "it has no frames"
            text = f"{self.path}: no picture could be decoded ({why}); is it whole?"
        return NoPictureError(text, self.flaws, self.notes)

    def __iter__(self) -> Iterator[Frame]:
        picture: av.VideoFrame | None = self.first
        flaws, size = self.flaws, self.look.size
        index = 0
        rotation, shown = self.first.rotation, orientation(self.first)
        step = max(1, round(1 / (self.rate * self.time_base)))
        first_pts = last_pts = 0
        while picture is not None:
            captured_s = perf_counter()
            pts = index if self._raw else picture.pts
            if pts is not None and not self._raw:
                pts -= self._zero_pts
            counts = self._counts(picture.pts)
            if pts is None or (index and pts < last_pts):
                pts = last_pts + step if index else 0
                flaws.untimed += counts
            elif index and pts == last_pts:  # those after it keep their times
                pts = last_pts + 1
                flaws.untimed += counts
            first_pts = first_pts if index else pts
            last_pts = pts
            if picture.rotation != rotation:
                # Not asked of every frame: PyAV's side data keeps its frame until the collector
                # comes by, which is 130 MiB at 720p.
                rotation, shown = picture.rotation, orientation(picture)
            flaws.patched += counts and picture.is_corrupt
            if (picture.width, picture.height) != size:
                picture = picture.reformat(width=size[0], height=size[1])
                flaws.resized += counts
            colour = self.colour_of(picture)
            if colour != self.look.colour:
                _refuse_hdr(self.path, picture)
                flaws.recoloured += counts
            format, picture = to_native(picture)
            planes = shown.apply(planes_of(picture))
            yield Frame(index, planes, format, colour, pts, self.time_base, captured_s)
            index += 1
            picture = next(self._pictures, None)
        if not self._part:  # else whoever has all parts says it
            self.notes += flaws.notes(self.path)
        if not self._window:
            shown_s = (last_pts - min(first_pts, 0)) * self.time_base + 1 / self.rate
            self.notes += self.promise.broken(self.path, index + flaws.unseen, shown_s)

    def _counts(self, pts: int | None) -> bool:
        """Whether flaws of this time are for this source to count."""
        if self._part is None or pts is None:
            return True
        return (pts - self._begin_pts) * self.time_base >= self._part.counted_s

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
            self.flaws.unseen += packet.is_discard  # before the begin of an edit list
            counts = self._counts(packet.pts)
            try:
                yield from packet.decode()
            except av.FFmpegError:
                self.flaws.damaged += counts

    def _trimmed(self, pictures: Iterator[av.VideoFrame]) -> Iterator[av.VideoFrame]:
        """The pictures that begin within the trim or the part."""
        window = self._window or Trim()
        time_s = -1 / self.rate
        for picture in pictures:
            if self._raw or picture.pts is None:
                time_s += 1 / self.rate
            else:
                time_s = (picture.pts - self._begin_pts) * self.time_base
            if window.end_s is not None and time_s >= window.end_s:
                return
            if time_s >= window.start_s:
                yield picture

    @property
    def begin_s(self) -> Fraction:
        """When the first frame is shown, in seconds from the file's beginning."""
        return ((self.first.pts or 0) - self._begin_pts) * self.time_base

    @property
    def seekable(self) -> bool:
        """Whether a part of it can be found without reading all before."""
        return not self._raw and can_seek(self._container)

    def time_s(self, frame: Frame) -> Fraction:
        """When a frame is shown, in seconds from the file's beginning."""
        return (frame.pts + self._zero_pts - self._begin_pts) * self.time_base

    def _pts_at(self, time_s: Fraction) -> int:
        return self._begin_pts + round(time_s / self.time_base)

    def close(self) -> None:
        """See `Source.close`."""
        self._container.close()


def _refuse_hdr(path: Path, picture: av.VideoFrame) -> None:
    transfer = HDR_TRANSFERS.get(picture.color_trc)
    if transfer:
        raise UserError(
            f"{path} is HDR video ({transfer}), expected standard dynamic range; tone-map it "
            "first, for example with FFmpeg's zscale and tonemap filters."
        )
